// SPDX-License-Identifier: Apache-2.0

package store

import (
	"log/slog"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// Name is what the service is called on its node.
const Name = "store"

// retry is how long the store waits before it tries a transaction again that has failed: the disk is full, or another program has the file.
const retry = 500 * time.Millisecond

// A Service is the handler.
type Service struct {
	db   *DB
	log  *slog.Logger
	turn *turn // the transaction that gathers; nil: none
}

// A turn is a transaction to be, and the handlers that wait for it.
type turn struct {
	appends []*Append
	waiting []*Append // their pointers are the tokens; the first handler, which commits, is not among them
}

// New returns what makes the handler of a service that writes to db.
func New(db *DB, log *slog.Logger) func() actor.Handler {
	return func() actor.Handler {
		s := &Service{db: db, log: log}
		m := new(actor.Mux)
		actor.On(m, func(c *actor.Context, a *Append) error { return s.commit(c, a) })
		actor.Serve(m, func(c *actor.Context, q *Heads) (*RoomHeads, error) {
			return settled(s, c, func() (*RoomHeads, error) {
				heads, err := db.Heads(q.After, q.Limit)
				return &RoomHeads{heads}, err
			})
		})
		actor.Serve(m, func(c *actor.Context, q *Members) (*RoomMembers, error) {
			return settled(s, c, func() (*RoomMembers, error) {
				members, err := db.Members(q.Room, q.After, q.Limit)
				return &RoomMembers{members}, err
			})
		})
		actor.Serve(m, func(c *actor.Context, q *Page) (*Messages, error) {
			return settled(s, c, func() (*Messages, error) {
				rows, err := db.Page(q)
				return &Messages{rows}, err
			})
		})
		return m
	}
}

// settled answers a question when all is written that came before it.
func settled[T any](s *Service, c *actor.Context, ask func() (T, error)) (T, error) {
	if s.turn != nil {
		if err := s.commit(c, &Append{}); err != nil {
			var none T
			return none, err
		}
	}
	return ask()
}

// commit returns when a is on disk, and its room has been told.
//
// The first handler of a turn lets the service go on with what has come meanwhile, which joins, and
// then writes all in one transaction. While that runs the service stands still; what comes in that time is the next turn.
func (s *Service) commit(c *actor.Context, a *Append) error {
	if s.turn != nil {
		s.turn.appends = append(s.turn.appends, a)
		s.turn.waiting = append(s.turn.waiting, a)
		return c.Wait(a)
	}
	t := &turn{appends: []*Append{a}}
	s.turn = t
	if err := c.Yield(); err != nil {
		return err
	}
	for {
		err := s.db.Write(t.rooms())
		if err == nil {
			break
		}
		s.log.Error("nothing is saved, and nothing lost: the store tries again", "messages", len(t.appends), "err", err)
		if err := c.Sleep(retry); err != nil {
			return err
		}
	}
	s.turn = nil
	err := t.tell(c)
	for _, w := range t.waiting {
		c.Wakeup(w)
	}
	return err
}

// rooms returns the Appends that have something to write.
func (t *turn) rooms() (list []*Append) {
	for _, a := range t.appends {
		if a.Room != "" {
			list = append(list, a)
		}
	}
	return list
}

// tell sends one Saved to each room that has messages in the turn.
func (t *turn) tell(c *actor.Context) error {
	type to struct {
		back Address
		room string
	}
	saved := map[to]*Saved{}
	for _, a := range t.appends {
		if len(a.Rows) == 0 {
			continue
		}
		k := to{a.Back, a.Room}
		s := saved[k]
		if s == nil {
			s = &Saved{Room: a.Room}
			saved[k] = s
		}
		for i := range a.Rows {
			s.Marks = append(s.Marks, Mark{a.Rows[i].N, a.Rows[i].From})
		}
	}
	for k, s := range saved {
		to, named := k.back.Named(s)
		if err := c.Send(to, named); err != nil {
			return err
		}
	}
	return nil
}
