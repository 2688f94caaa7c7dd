// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// State says what a paused runtime hands on, and asks the services' Snapshots for it. Errors: a Snapshot's, with the service's
// name; ctx's cause. Not for handlers.
func (rt *Runtime) State(ctx context.Context) (*State, error) {
	st := &State{Life: rt.table.life}
	members := rt.ofPools()
	var err error
	rt.table.each(func(s *service) bool {
		switch {
		case s.kind == many:
			if g, ok := rt.Group(s.pid()); ok {
				st.Groups = append(st.Groups, g.carried())
			}
		case s.kind == ordinary:
			var c CarriedService
			if c, err = rt.carry(ctx, s, members[s]); err == nil {
				st.Services = append(st.Services, c)
			}
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	listed := map[Handle]bool{}
	for i := range st.Services {
		listed[st.Services[i].Handle] = true
	}
	for i := range st.Groups {
		listed[st.Groups[i].Handle] = true
	}
	st.Used, st.Reuse = rt.table.uses(listed)
	return st, nil
}

// ofPools returns the members of pools, which are made anew.
func (rt *Runtime) ofPools() map[*service]bool {
	all := map[*service]bool{}
	rt.table.each(func(s *service) bool {
		if s.kind == many && s.extra.pool != nil {
			for _, m := range s.extra.pool.members {
				all[m] = true
			}
		}
		return true
	})
	return all
}

// carried describes a group.
func (g *Group) carried() CarriedGroup {
	c := CarriedGroup{Handle: g.pid.Handle, Name: g.s.name()}
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, m := range g.members {
		c.Members = append(c.Members, m.handle)
	}
	c.Far = slices.Clone(g.far)
	return c
}

// carry describes a service.
func (rt *Runtime) carry(ctx context.Context, s *service, ofPool bool) (CarriedService, error) {
	s.mu.Lock()
	c := CarriedService{Handle: s.handle, Bare: s.state == resting}
	if w := s.waits; w != nil {
		c.Sessions = w.base
		for i := range w.list {
			c.Sessions = max(c.Sessions, w.list[i].use+1)
		}
	}
	var spec *Spec
	if e := s.extra; e != nil {
		c.Name, spec = e.name, e.spec
		for id := range e.deferred {
			c.Deferred = append(c.Deferred, id)
		}
		for _, w := range e.watchers {
			if _, here := rt.local(w.pid); here {
				c.Watchers = append(c.Watchers, CarriedWatcher{w.pid.Handle, w.link})
			}
		}
	}
	h, ends := s.h, s.state != running && s.state != resting
	s.mu.Unlock()
	if spec != nil {
		c.Type = spec.key()
	}
	_, carrier := h.(Carrier)
	switch {
	case ends:
		c.Ended = "it has just ended"
	case ofPool:
		c.Ended = "it is a member of a pool"
	case c.Type == "":
		c.Ended = "its Spec has neither a Type nor a Name"
	case c.Bare || spec.Stateless && !carrier:
		c.Bare = true
	case !carrier:
		c.Ended = fmt.Sprintf("its handler, a %T, is no actor.Carrier, and its Spec is not Stateless", h)
	default:
		var err error
		if c.Snapshot, err = rt.snapshotOf(ctx, s); err != nil {
			return c, fmt.Errorf("snapshot of %s: %w", s.title(), err)
		}
	}
	return c, nil
}

// key is what a Spec is known by over a hot restart.
func (spec *Spec) key() string {
	if spec.Type != "" {
		return spec.Type
	}
	return spec.Name
}

// snapshotOf has the handler of a frozen service make its snapshot.
func (rt *Runtime) snapshotOf(ctx context.Context, s *service) ([]byte, error) {
	e := rt.ear()
	defer rt.giveBack(e)
	m := Message{Kind: kindSnapshot, From: e.pid, Session: e.expect()}
	s.mu.Lock()
	if s.state != running {
		s.mu.Unlock()
		return nil, ErrNoService
	}
	s.box.put(&m)
	run := s.wake()
	s.mu.Unlock()
	if run {
		rt.schedule(nil, s)
	}
	v, err := e.wait(ctx)
	b, _ := v.([]byte)
	return b, err
}

// snapshot answers a kindSnapshot.
func (c *Context) snapshot() error {
	h, ok := c.s.h.(Carrier)
	if !ok {
		return errors.New("the handler is no Carrier any more")
	}
	b, err := h.Snapshot(c)
	if err != nil {
		return err
	}
	return c.Reply(b)
}

// uses returns how many places were given away, and how often each. Those that are in use and are not listed end with
// the program.
func (t *table) uses(listed map[Handle]bool) (used uint32, reuse []uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	reuse = make([]uint16, t.used)
	for i := range reuse {
		place := uint32(i + 1)
		p := t.pages[place/pageSize].Load()
		reuse[i] = p.reuse[place%pageSize]
		if s := p.at[place%pageSize].Load(); s != nil && !listed[s.handle] {
			reuse[i]++
		}
	}
	return t.used, reuse
}
