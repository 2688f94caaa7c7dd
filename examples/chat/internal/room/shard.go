// SPDX-License-Identifier: Apache-2.0

package room

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"strconv"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/node"
)

const (
	mostRooms = 10_000 // of a shard
	greeted   = 50     // messages that a newcomer gets

	// mostJoined is how many rooms a session may be in: a gate remembers 512 bytes of groups of each (gate.Outbox),
	// and a group takes 9. Each shard has its share of that, for none knows how many the others have.
	mostJoined = 56
)

// A shard has a part of the rooms.
type shard struct {
	cfg      Config
	log      *slog.Logger
	number   int
	back     store.Address // its own, for the store
	rooms    map[string]*room
	sessions map[gate.Client]map[*room]bool
	writes   map[*room]*store.Append // what the handler at hand has the store write
	out      gate.Outbox
	told     time.Time // the directory
	turns    actor.Serial
}

func newShard(cfg Config, number int) actor.Handler {
	s := &shard{
		cfg: cfg, log: cfg.Log, number: number, back: cfg.Plan.At(number),
		rooms: map[string]*room{}, sessions: map[gate.Client]map[*room]bool{}, writes: map[*room]*store.Append{},
	}
	m := new(actor.Mux)
	m.OnStart(func(c *actor.Context) error {
		c.Every(cmp.Or(cfg.Tick, 250*time.Millisecond), s.tick)
		return s.load(c)
	})
	// While a Send waits for room in a lane the service handles other messages: those that number and
	// send must not overtake each other. What the store says is not among them, and always gets through.
	actor.On(m, func(c *actor.Context, o *Ops) error { return s.turn(c, func() { s.ops(c, o) }) })
	actor.On(m, func(c *actor.Context, e *Session) error { return s.turn(c, func() { s.session(e) }) })
	actor.On(m, s.saved)
	return m
}

// turn runs f, then sends what that has for the store, and then what it has for clients: nobody hears of a message
// that could be forgotten.
func (s *shard) turn(c *actor.Context, f func()) error {
	return s.turns.Do(c, func() error {
		f()
		for r, a := range s.writes {
			delete(s.writes, r)
			if err := s.write(c, a); err != nil {
				return err
			}
		}
		return s.out.Flush(c)
	})
}

func (s *shard) write(c *actor.Context, a *store.Append) error {
	return c.Send(node.At(s.cfg.Plan.Store), node.Named{Name: store.Name, Value: a})
}

// pending returns what the store is to get of a room at the end of the turn.
func (s *shard) pending(r *room) *store.Append {
	a := s.writes[r]
	if a == nil {
		a = &store.Append{Room: r.name, Back: s.back}
		s.writes[r] = a
	}
	return a
}

// ops does what a client wants.
func (s *shard) ops(c *actor.Context, o *Ops) {
	for i := range o.Items {
		q, n := &o.Items[i].Request, o.Items[i].Number
		switch q.T {
		case wire.Join:
			s.join(o.Client, q, n)
		case wire.Leave:
			s.leave(o.Client, q)
		case wire.Nick:
			for r := range s.sessions[o.Client] {
				s.enter(r, o.Client, q.Name, n)
			}
		case wire.Say:
			s.say(o.Client, q, n)
		case wire.Members:
			s.list(o.Client, q)
		case wire.History:
			s.history(c, o.Client, q)
		}
	}
}

// enter makes a session a member, or gives it another name.
func (s *shard) enter(r *room, c gate.Client, name string, packet uint64) *member {
	m, news := r.add(c, name, packet)
	if news {
		a := s.pending(r)
		a.Changes = append(a.Changes, store.Change{ID: m.id, Name: name, Packet: packet})
	}
	return m
}

// join may come again, from the lane or from a client that is not sure: it changes nothing then, and has the same answer.
func (s *shard) join(c gate.Client, q *wire.Request, packet uint64) {
	r := s.rooms[q.Room]
	in := s.sessions[c]
	switch {
	case r == nil && len(s.rooms) >= mostRooms:
		s.refuse(c, q, "there are too many rooms")
		return
	case len(in) >= max(1, mostJoined/s.cfg.Plan.Shards) && !in[r]:
		s.refuse(c, q, "you are in too many rooms: leave one")
		return
	case r == nil:
		r = newRoom(q.Room)
		s.rooms[q.Room] = r
	}
	if in == nil {
		in = map[*room]bool{}
		s.sessions[c] = in
	}
	in[r] = true
	m := s.enter(r, c, q.Name, packet)
	s.out.Join(c, group(r))
	e := &wire.Event{T: wire.Joined, Room: r.name, You: m.id, Last: r.last, Saved: r.saved, Count: len(r.members)}
	if missed, ok := r.after(q.Have, greeted); ok && q.Have > 0 && q.Have+uint64(len(missed)) >= r.last {
		e.Messages = missed
	} else {
		e.Messages = r.newest(greeted)
	}
	e.More = len(e.Messages) > 0 && e.Messages[0].N > q.Have+1
	s.tell(c, e)
}

// group is what the gates call those that are in a room: short, and the same in each life of a shard. That two of
// 10,000 rooms share one is as likely as 1 to 5 million; their members would be sent what they do not look at.
func group(r *room) string {
	sum := sha256.Sum256([]byte(r.name))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

func (s *shard) leave(c gate.Client, q *wire.Request) {
	if r := s.rooms[q.Room]; r != nil {
		s.out.Leave(c, group(r))
		s.remove(r, c)
	}
	s.tell(c, &wire.Event{T: wire.Left, Room: q.Room})
}

func (s *shard) remove(r *room, c gate.Client) {
	if !r.remove(c) {
		return
	}
	delete(s.sessions[c], r)
	if len(s.sessions[c]) == 0 {
		delete(s.sessions, c)
	}
	a := s.pending(r)
	a.Changes = append(a.Changes, store.Change{ID: c.String(), Gone: true})
}

// say numbers a message, unless it is known: then those that may have missed it get it again.
func (s *shard) say(c gate.Client, q *wire.Request, packet uint64) {
	r := s.rooms[q.Room]
	var m *member
	if r != nil {
		m = r.members[c]
	}
	if m == nil {
		s.refuse(c, q, "you are not in this room: join it")
		return
	}
	if packet <= m.packet {
		// This process, or the one before, has done it, and may have died before all had heard of it.
		if row := r.said(q.C, m.id, packet); row != nil {
			s.out.ToGroup(group(r), gate.Must, (&wire.Event{T: wire.Msg, Room: r.name, Message: &row.Message, Again: true}).Encode())
		}
		return
	}
	if row := r.said(q.C, "", 0); row != nil { // sent again in another session
		m.packet = packet
		s.tell(c, &wire.Event{T: wire.Msg, Room: r.name, Message: &row.Message, Again: true})
		return
	}
	row := r.say(m, q, packet, time.Now())
	a := s.pending(r)
	a.Rows = append(a.Rows, *row)
	a.Changes = append(a.Changes, store.Change{ID: m.id, Name: m.name, Packet: packet})
	s.out.ToGroup(group(r), gate.Must, (&wire.Event{T: wire.Msg, Room: r.name, Message: &row.Message}).Encode())
}

func (s *shard) list(c gate.Client, q *wire.Request) {
	r := s.rooms[q.Room]
	if r == nil {
		s.refuse(c, q, "there is no such room")
		return
	}
	e := &wire.Event{T: wire.Members, Room: r.name, Count: len(r.members)}
	e.Members, e.Next = r.page(q.After, q.Limit)
	s.tell(c, e)
}

// history answers from memory, or has the store answer: in a handler of its own, for nobody is to wait for a disk.
func (s *shard) history(c *actor.Context, client gate.Client, q *wire.Request) {
	r := s.rooms[q.Room]
	if r == nil || !s.sessions[client][r] {
		s.refuse(client, q, "you are not in this room: join it")
		return
	}
	if after, err := strconv.ParseUint(q.After, 10, 63); err == nil {
		if list, ok := r.after(after, q.Limit); ok {
			s.tell(client, &wire.Event{T: wire.History, Room: r.name, Messages: list, Saved: r.saved, More: len(list) > 0 && list[len(list)-1].N < r.last})
			return
		}
		s.page(c, client, r, &store.Page{Room: r.name, Before: after + 1, Limit: q.Limit, Forward: true})
		return
	}
	s.page(c, client, r, &store.Page{Room: r.name, Before: q.Before, Limit: q.Limit})
}

func (s *shard) page(c *actor.Context, client gate.Client, r *room, p *store.Page) {
	c.Fork(func(c *actor.Context) {
		e := &wire.Event{T: wire.History, Room: r.name}
		got, err := actor.AskTimeout[*store.Messages](c, 5*time.Second, node.At(s.cfg.Plan.Store), node.Named{Name: store.Name, Value: p})
		if err != nil {
			e = &wire.Event{T: wire.Error, Room: r.name, Why: "the history cannot be read at the moment: " + err.Error()}
		} else {
			for i := range got.Rows {
				e.Messages = append(e.Messages, got.Rows[i].Message)
			}
			e.Saved = r.saved
			e.More = len(e.Messages) == p.Limit
		}
		if err := s.turn(c, func() { s.tell(client, e) }); err != nil {
			s.log.Warn("a page of history was not sent", "client", client, "err", err)
		}
	})
}

// session tells of the gate's news.
func (s *shard) session(e *Session) {
	if e.State == Closed {
		s.out.Forget(e.Client)
	}
	for r := range s.sessions[e.Client] {
		switch e.State {
		case Closed:
			s.remove(r, e.Client)
		case Away, Back:
			r.mark(e.Client, e.State == Away)
		}
	}
}

func (s *shard) tell(to gate.Client, e *wire.Event) { s.out.Send(to, gate.Must, e.Encode()) }

func (s *shard) refuse(to gate.Client, q *wire.Request, why string) {
	s.tell(to, &wire.Event{T: wire.Error, Room: q.Room, Why: why, About: q.C})
}
