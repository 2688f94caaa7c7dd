// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"slices"
)

// A watcher hears of a service's end.
type watcher struct {
	id   uint64
	pid  PID
	link bool // it ends, too, if the end was a failure
}

func (w *watcher) tell(rt *Runtime, down *Down) {
	if w.link {
		s, _ := rt.local(w.pid)
		switch {
		case s == nil || s.kind != ordinary:
		case down.Reason != nil:
			rt.fail(s, fmt.Errorf("linked to %v: %w", down.Service, down.Reason))
		default:
			s.unwatch(func(w *watcher) bool { return w.link && w.pid == down.Service })
		}
		return
	}
	_ = rt.deliver(nil, w.pid, &Message{Kind: KindDown, From: down.Service, Value: *down}) // it may be gone, too
}

// Fail ends a service as if it had failed with reason: monitors hear of it, and its Restart
// makes it anew. Errors: ErrNoService.
func (rt *Runtime) Fail(p PID, reason error) error {
	s, _ := rt.local(p)
	if s == nil || s.kind != ordinary {
		return fmt.Errorf("%v: %w", p, ErrNoService)
	}
	rt.fail(s, reason)
	return nil
}

// fail ends s as a failure of its own, which its Restart heals.
func (rt *Runtime) fail(s *service, reason error) {
	s.mu.Lock()
	run := false
	if s.state < dying {
		s.state = dying
		s.rest().reason = reason
		s.ends.Store(true)
		run = s.wake()
	}
	s.mu.Unlock()
	s.endHandlings(ErrStopped)
	if run {
		rt.schedule(nil, s)
	}
}

// A Monitor is one service's watch over another.
type Monitor struct {
	rt     *Runtime
	target PID
	id     uint64
	stop   func()
}

// Monitor has the service get a Down (KindDown) when target ends: at once if it is
// gone already.
func (c *Context) Monitor(target PID) (*Monitor, error) {
	return c.rt.Monitor(c.Self(), target)
}

// Monitor is Context.Monitor for any service.
func (rt *Runtime) Monitor(by, target PID) (*Monitor, error) {
	s, here := rt.local(target)
	if !here {
		if rt.cfg.Remote == nil {
			return nil, fmt.Errorf("monitor %v: %w", target, ErrNoRemote)
		}
		stop, err := rt.cfg.Remote.Monitor(by, target)
		if err != nil {
			return nil, fmt.Errorf("monitor %v: %w", target, err)
		}
		return &Monitor{rt: rt, target: target, stop: stop}, nil
	}
	w := watcher{id: rt.watchers.Add(1), pid: by}
	if !s.watch(w) {
		w.tell(rt, &Down{Service: target, Reason: ErrNoService})
	}
	return &Monitor{rt: rt, target: target, id: w.id}, nil
}

// Target returns whose end it is about.
func (m *Monitor) Target() PID { return m.target }

// Stop ends the watch. A Down that is under way still comes.
func (m *Monitor) Stop() {
	if m.stop != nil {
		m.stop()
		return
	}
	s, _ := m.rt.local(m.target)
	if s != nil {
		s.unwatch(func(w *watcher) bool { return w.id == m.id })
	}
}

// A Linker is a Remote that links services of different processes. Its methods must not wait.
type Linker interface {
	// Link has by, of this process, and target end together: when target fails, or cannot be reached any more, Runtime.Linked
	// is called for by; and the other way round over there. A second Link of the same two is none.
	Link(by, target PID) error
	// Unlink undoes Link, whichever side has called that.
	Unlink(by, target PID)
}

// Linked says that d.Service, to which p is linked, has ended: p ends, too, if that was a failure. It is for a
// Linker. Any goroutine may call it.
func (rt *Runtime) Linked(p PID, d Down) {
	if d.Reason != nil {
		_ = rt.Fail(p, fmt.Errorf("linked to %v: %w", d.Service, d.Reason)) // it may be gone, too
	}
}

// Link joins the ends of the service and target: when one fails, the other ends
// with that as its reason. Errors: ErrNoService; a Remote's own, ErrNoRemote. That one of another process is gone, Link cannot
// know: that ends the service, as its failure would. So does the end of its process.
func (c *Context) Link(target PID) error {
	self := c.mine()
	s, here := c.rt.local(target)
	if !here {
		return c.rt.linkFar(self.pid(), target)
	}
	if s == nil || s.kind != ordinary || !s.watch(watcher{pid: self.pid(), link: true}) {
		return fmt.Errorf("link to %v: %w", target, ErrNoService)
	}
	self.watch(watcher{pid: target, link: true})
	return nil
}

func (rt *Runtime) linkFar(by, target PID) error {
	l, ok := rt.cfg.Remote.(Linker)
	if !ok {
		return fmt.Errorf("link to %v: %w", target, ErrNoRemote)
	}
	if err := l.Link(by, target); err != nil {
		return fmt.Errorf("link to %v: %w", target, err)
	}
	return nil
}

// Unlink undoes Link.
func (c *Context) Unlink(target PID) {
	self := c.mine()
	if _, here := c.rt.local(target); !here {
		if l, ok := c.rt.cfg.Remote.(Linker); ok {
			l.Unlink(self.pid(), target)
		}
		return
	}
	self.unwatch(func(w *watcher) bool { return w.link && w.pid == target })
	if s, _ := c.rt.local(target); s != nil {
		s.unwatch(func(w *watcher) bool { return w.link && w.pid == self.pid() })
	}
}

// watch adds w, unless s has ended.
func (s *service) watch(w watcher) bool {
	if s == nil || s.kind != ordinary {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == dead {
		return false
	}
	e := s.rest()
	for i := range e.watchers {
		if w.link && e.watchers[i].link && e.watchers[i].pid == w.pid {
			return true
		}
	}
	if len(e.watchers) == cap(e.watchers) { // before it grows
		e.watchers = slices.DeleteFunc(e.watchers, func(w watcher) bool {
			by, here := s.rt.local(w.pid)
			return here && by == nil
		})
	}
	e.watchers = append(e.watchers, w)
	return true
}

func (s *service) unwatch(is func(*watcher) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return
	}
	s.extra.watchers = slices.DeleteFunc(s.extra.watchers, func(w watcher) bool { return is(&w) })
}
