// SPDX-License-Identifier: Apache-2.0

package room

import (
	"cmp"
	"slices"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
)

// mostListed is how many rooms the list has at most: those with the most members.
const mostListed = 100

// A front is stateless but for the list of rooms, which the shards tell again and again. So nothing is lost with it.
type front struct {
	cfg   Config
	rooms map[int][]wire.Room // by shard
	out   gate.Outbox
}

func newFront(cfg Config) actor.Handler {
	f := &front{cfg: cfg, rooms: map[int][]wire.Room{}}
	m := new(actor.Mux)
	actor.On(m, func(*actor.Context, *gate.Opened) error { return nil }) // it will join a room
	actor.On(m, f.packets)
	actor.On(m, func(c *actor.Context, e *gate.Away) error { return f.all(c, &Session{e.Client, Away}) })
	actor.On(m, func(c *actor.Context, e *gate.Resumed) error { return f.all(c, &Session{e.Client, Back}) })
	actor.On(m, func(c *actor.Context, e *gate.Closed) error { return f.all(c, &Session{e.Client, Closed}) })
	actor.On(m, func(*actor.Context, *gate.Slow) error { return nil }) // the gate's marks are enough
	actor.On(m, func(_ *actor.Context, d *Directory) error {
		f.rooms[d.Shard] = d.Rooms
		return nil
	})
	return m
}

// packets sorts what a client sends by the shards that it is for. What is for one of them stays in order.
func (f *front) packets(c *actor.Context, p *gate.Packets) error {
	byShard := map[int]*Ops{}
	var order []int
	give := func(shard int, i Item) {
		o := byShard[shard]
		if o == nil {
			o = &Ops{Client: p.Client}
			byShard[shard] = o
			order = append(order, shard)
		}
		o.Items = append(o.Items, i)
	}
	for i, data := range p.Data {
		r, err := wire.Parse(data)
		item := Item{Number: p.First + uint64(i), Request: *r}
		switch {
		case err != nil:
			f.tell(p.Client, &wire.Event{T: wire.Error, Why: err.Error(), About: r.C})
		case r.T == wire.Ping:
			f.tell(p.Client, &wire.Event{T: wire.Pong, X: r.X})
		case r.T == wire.Rooms:
			f.tell(p.Client, &wire.Event{T: wire.Rooms, Rooms: f.list()})
		case r.T == wire.Nick:
			for shard := range f.cfg.Plan.Shards {
				give(shard, item)
			}
		default:
			give(f.cfg.Plan.Shard(r.Room), item)
		}
	}
	for _, shard := range order {
		if err := f.send(c, shard, byShard[shard]); err != nil {
			return err
		}
	}
	return f.out.Flush(c)
}

// send sends v to a shard, which may be dead at the moment: then it waits there.
func (f *front) send(c *actor.Context, shard int, v any) error {
	to, named := f.cfg.Plan.At(shard).Named(v)
	return c.Send(to, named)
}

// all tells all shards: only they know who has the session.
func (f *front) all(c *actor.Context, s *Session) error {
	for shard := range f.cfg.Plan.Shards {
		if err := f.send(c, shard, s); err != nil {
			return err
		}
	}
	return nil
}

func (f *front) tell(to gate.Client, e *wire.Event) {
	f.out.Send(to, gate.Must, e.Encode())
}

// list returns the largest rooms.
func (f *front) list() (list []wire.Room) {
	for _, rooms := range f.rooms {
		list = append(list, rooms...)
	}
	slices.SortFunc(list, func(a, b wire.Room) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Room, b.Room))
	})
	return list[:min(len(list), mostListed)]
}
