// SPDX-License-Identifier: Apache-2.0

package room

import (
	"slices"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/node"
)

const (
	again   = 5 * time.Second // the store has not confirmed a message: it is sent once more
	rumour  = 2 * time.Second // between two directories
	perAsk  = 500             // rooms or members in an answer of the store
	patient = 300 * time.Millisecond
)

// load reads what the shard was before. What its process had sent to the store, the store
// has written when it answers: both go through the same lane.
func (s *shard) load(c *actor.Context) error {
	for after := ""; ; {
		heads, err := ask[*store.RoomHeads](s, c, &store.Heads{After: after, Limit: perAsk})
		if err != nil {
			return err
		}
		for _, h := range heads.Rooms {
			after = h.Room
			if s.cfg.Plan.Shard(h.Room) != s.number {
				continue
			}
			if err := s.loadRoom(c, h); err != nil {
				return err
			}
		}
		if len(heads.Rooms) < perAsk {
			return s.out.Flush(c)
		}
	}
}

func (s *shard) loadRoom(c *actor.Context, h store.Head) error {
	r := newRoom(h.Room)
	s.rooms[h.Room] = r
	got, err := ask[*store.Messages](s, c, &store.Page{Room: h.Room, Limit: wire.MaxPage})
	if err != nil {
		return err
	}
	for _, row := range got.Rows {
		r.remember(row)
	}
	r.last, r.saved = h.Last, h.Last
	for after := ""; ; {
		list, err := ask[*store.RoomMembers](s, c, &store.Members{Room: h.Room, After: after, Limit: perAsk})
		if err != nil {
			return err
		}
		for _, m := range list.Members {
			after = m.ID
			s.readmit(r, m)
		}
		if len(list.Members) < perAsk {
			return nil
		}
	}
}

// readmit makes a session a member again. For the gate it is one already, or it has been closed: then the front
// has been told, and the shard will be.
func (s *shard) readmit(r *room, m store.Change) {
	var c gate.Client
	if err := c.UnmarshalText([]byte(m.ID)); err != nil {
		s.log.Error("the store has a member that is no session", "room", r.name, "member", m.ID, "err", err)
		return
	}
	r.add(c, m.Name, m.Packet)
	if s.sessions[c] == nil {
		s.sessions[c] = map[*room]bool{}
	}
	s.sessions[c][r] = true
	s.out.Join(c, group(r))
}

// ask asks the store until it answers, for without it there is nothing to do.
func ask[T any](s *shard, c *actor.Context, q any) (T, error) {
	for {
		v, err := actor.AskTimeout[T](c, 10*time.Second, node.At(s.cfg.Plan.Store), node.Named{Name: store.Name, Value: q})
		if err == nil {
			return v, nil
		}
		s.log.Warn("the store does not answer yet", "shard", s.number, "err", err)
		if err := c.Sleep(patient); err != nil {
			var none T
			return none, err
		}
	}
}

// saved tells authors that their messages are on disk.
func (s *shard) saved(c *actor.Context, e *store.Saved) error {
	r := s.rooms[e.Room]
	if r == nil {
		return nil
	}
	packet := (*wire.Event)(nil)
	var out gate.Outbox
	for id := range r.confirm(e.Marks, time.Now()) {
		var client gate.Client
		if client.UnmarshalText([]byte(id)) != nil {
			continue
		}
		if packet == nil {
			packet = &wire.Event{T: wire.Saved, Room: r.name, Saved: r.saved}
		}
		out.Send(client, gate.Must, packet.Encode())
	}
	return out.Flush(c)
}

// tick tells who came and went, and what rooms there are, and looks after messages that the store has not confirmed.
func (s *shard) tick(c *actor.Context) {
	now := time.Now()
	if err := s.turn(c, func() {
		for _, r := range s.rooms {
			s.presence(r)
			s.remind(r, now)
		}
	}); err != nil {
		s.log.Warn("presence was not told", "shard", s.number, "err", err)
	}
	if now.Sub(s.told) >= rumour {
		s.told = now
		s.directory(c)
	}
}

func (s *shard) presence(r *room) {
	e := r.presence()
	switch {
	case e == nil || e.Count == 0:
	case e.More: // only the newest number counts
		s.out.NewestToGroup(group(r), 1, e.Encode())
	default:
		s.out.ToGroup(group(r), gate.Must, e.Encode())
	}
}

// remind sends the store again what it has not confirmed. It has had the message in its
// lane; but a lane that overflows lets go of what is long in a handler (package node), and
// if the process is killed right then, nobody else would know.
func (s *shard) remind(r *room, now time.Time) {
	if len(r.unsaved) == 0 || now.Sub(r.since) < again {
		return
	}
	r.since = now
	a := s.pending(r)
	a.Rows = append(a.Rows, slices.Clone(r.unsaved[:min(len(r.unsaved), wire.MaxPage)])...)
}

// directory tells the fronts what rooms there are.
func (s *shard) directory(c *actor.Context) {
	d := &Directory{Shard: s.number}
	for _, r := range s.rooms {
		if len(r.members) > 0 || r.last > 0 {
			d.Rooms = append(d.Rooms, wire.Room{Room: r.name, Count: len(r.members), Last: r.last})
		}
	}
	slices.SortFunc(d.Rooms, func(a, b wire.Room) int { return b.Count - a.Count })
	d.Rooms = d.Rooms[:min(len(d.Rooms), mostListed)]
	for _, at := range s.cfg.Plan.Rooms {
		if err := c.Send(node.At(at), node.Named{Name: FrontName, Value: d}); err != nil {
			s.log.Warn("a front was not told of the rooms", "front", at, "err", err)
		}
	}
}
