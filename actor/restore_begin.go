// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
)

// restored is what a service has from the program before, until its first message.
type restored struct {
	bare     bool
	snapshot []byte
}

// A restoring is a Restore at work.
type restoring struct {
	rt       *Runtime
	st       *State
	services map[Handle]*service
	ended    map[Handle]*CarriedService
	why      map[Handle]error
}

// Restore has a new runtime, which has no service yet and has the same Life, go on with what that of the program before has handed on. specOf
// returns the Spec that a service is to be made of; false: there is none, and the service ends for ErrNotCarried. The services have
// their handles, names, groups and watchers when Restore returns, and take messages; they begin when begin is called, with
// their Restore. Those that watch a service that is not carried get a Down then. Errors: st is
// not consistent, then the runtime is of no use.
func (rt *Runtime) Restore(st *State, specOf func(typ string) (Spec, bool)) (begin func(), err error) {
	r := &restoring{rt: rt, st: st, services: map[Handle]*service{}, ended: map[Handle]*CarriedService{}, why: map[Handle]error{}}
	if err := r.all(specOf); err != nil {
		r.abort()
		return nil, fmt.Errorf("restore: %w", err)
	}
	return r.begin, nil
}

// all makes what the state has.
func (r *restoring) all(specOf func(typ string) (Spec, bool)) error {
	if err := r.rt.table.restore(r.st); err != nil {
		return err
	}
	for i := range r.st.Services {
		if err := r.service(&r.st.Services[i], specOf); err != nil {
			return err
		}
	}
	for i := range r.st.Groups {
		if err := r.group(&r.st.Groups[i]); err != nil {
			return err
		}
	}
	r.rt.table.vacate(r.ended)
	for i := range r.st.Services {
		r.watchers(&r.st.Services[i])
	}
	return nil
}

// abort ends those that were made, without a Stop: they have not begun.
func (r *restoring) abort() {
	for _, s := range r.services {
		s.own.stopped = true
		r.rt.end(s, ErrNotCarried)
		r.rt.schedule(nil, s)
	}
}

// service makes one of the services, or notes why it ends.
func (r *restoring) service(c *CarriedService, specOf func(typ string) (Spec, bool)) error {
	if c.Ended != "" {
		return r.ends(c, errors.New(c.Ended))
	}
	spec, known := specOf(c.Type)
	if !known {
		return r.ends(c, fmt.Errorf("the new program has no Spec of type %q", c.Type))
	}
	h, err := spec.make()
	if err != nil {
		return r.ends(c, err)
	}
	if _, carrier := h.(Carrier); !carrier && !c.Bare {
		return r.ends(c, fmt.Errorf("the new program's handler, a %T, is no actor.Carrier", h))
	}
	s, err := r.rt.body(h, &spec)
	if err != nil {
		return r.ends(c, err)
	}
	s.handle = c.Handle
	s.rest()
	s.own = &own{restored: &restored{c.Bare, c.Snapshot}}
	s.waits = &waits{base: c.Sessions}
	for _, id := range c.Deferred {
		if s.extra.deferred == nil {
			s.extra.deferred = map[RequestID]bool{}
		}
		s.extra.deferred[id] = false
	}
	s.box.put(&Message{Kind: kindStart})
	s.queued = true // until begin
	if err := r.rt.table.place(s); err != nil {
		return err
	}
	r.rt.ordinary.Add(1)
	r.services[c.Handle] = s
	if c.Name == "" {
		return nil
	}
	return r.rt.names.take(r.rt, c.Name, s)
}

// ends notes a service that is not carried.
func (r *restoring) ends(c *CarriedService, why error) error {
	if r.ended[c.Handle] != nil || r.services[c.Handle] != nil {
		return fmt.Errorf("handle %x stands there twice", uint64(c.Handle))
	}
	r.ended[c.Handle], r.why[c.Handle] = c, fmt.Errorf("%w: %w", ErrNotCarried, why)
	return nil
}

func (r *restoring) group(c *CarriedGroup) error {
	g := &Group{rt: r.rt, place: map[*service]int{}, far: c.Far}
	g.s = &service{rt: r.rt, kind: many, weight: 1, handle: c.Handle, extra: &extra{post: g.send, group: g}}
	g.pid = g.s.pid()
	if err := r.rt.table.place(g.s); err != nil {
		return err
	}
	for _, h := range c.Members {
		if r.services[h] != nil {
			if err := g.Join(r.services[h].pid()); err != nil {
				return err
			}
		}
	}
	if c.Name == "" {
		return nil
	}
	return r.rt.names.take(r.rt, c.Name, g.s)
}

// watchers restores who watches a service, and whom those may stop watching.
func (r *restoring) watchers(c *CarriedService) {
	s := r.services[c.Handle]
	for _, by := range c.Watchers {
		w := r.services[by.By]
		if s == nil || w == nil {
			continue
		}
		id := r.rt.watchers.Add(1)
		s.watch(watcher{id: id, pid: w.pid(), link: by.Link})
		if !by.Link {
			r.rt.pause.addMonitor(by.By, &Monitor{rt: r.rt, target: s.pid(), id: id})
		}
	}
}

// begin has the services begin, and tells of those that have ended.
func (r *restoring) begin() {
	for h, c := range r.ended {
		r.tell(h, c)
	}
	for _, s := range r.services {
		r.rt.schedule(nil, s)
	}
}

// tell does for a service that is not carried what its end would have done.
func (r *restoring) tell(h Handle, c *CarriedService) {
	rt := r.rt
	down := Down{Service: PID{Node: rt.cfg.Node, Handle: h}, Name: c.Name, Reason: r.why[h]}
	rt.ended(&down)
	for _, w := range c.Watchers {
		if s := r.services[w.By]; s != nil {
			(&watcher{pid: s.pid(), link: w.Link}).tell(rt, &down)
		}
	}
	for _, id := range c.Deferred {
		rt.reply(nil, id.From, id.Session, nil, down.Reason)
	}
}

// restore is start for a service from the program before.
func (c *Context) restore(o *own) error {
	s, r := c.s, o.restored
	o.restored, o.starts = nil, true
	defer func() {
		o.starts = false
		_ = c.rt.pause.monitorsOf(s.handle) // those that it has not asked for go on
		s.disown()
	}()
	if h, carries := s.h.(Carrier); carries && !r.bare {
		return h.Restore(c, r.snapshot)
	}
	if h, starts := s.h.(Starter); starts {
		return h.Start(c)
	}
	return nil
}

// disown answers those requests that nobody in the service has taken up again.
func (s *service) disown() {
	var list []RequestID
	s.mu.Lock()
	if s.extra != nil {
		for id, taken := range s.extra.deferred {
			if !taken {
				list = append(list, id)
				delete(s.extra.deferred, id)
			}
		}
	}
	s.mu.Unlock()
	for _, id := range list {
		s.rt.reply(nil, id.From, id.Session, nil, fmt.Errorf("%v: %w", s.pid(), ErrNotCarried))
	}
}

// restore gives a table that is empty the counts of another one. Its places are filled by place, and then vacate is called.
func (t *table) restore(st *State) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.live > 0:
		return fmt.Errorf("the runtime has %d services already", t.live)
	case st.Life != t.life:
		return fmt.Errorf("the runtime has the life %x, and the state is of %x", t.life, st.Life)
	case st.Used > maxIndex || uint64(st.Used) != uint64(len(st.Reuse)):
		return fmt.Errorf("%d counts for %d places", len(st.Reuse), st.Used)
	}
	t.used, t.free = st.Used, nil
	for i := uint32(1); i <= t.used; i++ {
		p := t.pages[i/pageSize].Load()
		if p == nil {
			p = new(page)
			t.pages[i/pageSize].Store(p)
		}
		p.reuse[i%pageSize] = st.Reuse[i-1]
	}
	return nil
}

// vacate has the places that are empty be given away again, under handles that nobody has had.
func (t *table) vacate(ended map[Handle]*CarriedService) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range ended {
		i := h.index()
		if i == 0 || i > t.used {
			continue
		}
		if p := t.pages[i/pageSize].Load(); p.at[i%pageSize].Load() == nil && p.reuse[i%pageSize] == uint16(h>>indexBits) {
			p.reuse[i%pageSize]++
		}
	}
	for i := t.used; i > 0; i-- {
		p := t.pages[i/pageSize].Load()
		if p.at[i%pageSize].Load() == nil && p.reuse[i%pageSize] != 0 {
			t.free = append(t.free, i)
		}
	}
}

// place puts s where its handle says.
func (t *table) place(s *service) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := s.handle.index()
	if i == 0 || i > t.used || s.handle.Life() != t.life {
		return fmt.Errorf("handle %x is none of this runtime's", uint64(s.handle))
	}
	p := t.pages[i/pageSize].Load()
	if p.at[i%pageSize].Load() != nil || uint16(s.handle>>indexBits) != p.reuse[i%pageSize] {
		return fmt.Errorf("handle %x: its place was given to another service", uint64(s.handle))
	}
	p.at[i%pageSize].Store(s)
	t.live++
	return nil
}
