// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A pause is a runtime's state before a hot restart, and what is left of one after it.
type pause struct {
	on atomic.Bool

	mu       sync.Mutex
	over     chan struct{} // closed when the runtime goes on
	monitors map[Handle][]*Monitor
}

const (
	pausedTimer = 10 * time.Millisecond // by which a timer is put off
	pauseLook   = 200 * time.Microsecond
	pauseLooks  = 10 * time.Millisecond // between two looks at most
)

// pass has a goroutine that is no handler wait while the runtime is paused. The error is ctx's cause.
func (p *pause) pass(ctx context.Context) error {
	for p.on.Load() {
		p.mu.Lock()
		over := p.over
		p.mu.Unlock()
		if over == nil {
			return nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *pause) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over != nil {
		return false
	}
	p.over = make(chan struct{})
	p.on.Store(true)
	return true
}

func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over != nil {
		p.on.Store(false)
		close(p.over)
		p.over = nil
	}
}

func (p *pause) addMonitor(by Handle, m *Monitor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.monitors == nil {
		p.monitors = map[Handle][]*Monitor{}
	}
	p.monitors[by] = append(p.monitors[by], m)
}

func (p *pause) monitorsOf(by Handle) []*Monitor {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.monitors[by]
	delete(p.monitors, by)
	return list
}

// A putter is a Held that can be put back before its message was begun.
type putter interface{ PutBack() bool }

// putBack has a message stay where it came from, and reports whether it does: else it has to be handled.
func putBack(h Held) bool {
	p, can := h.(putter)
	return can && p.PutBack()
}

// A BusyError tells what keeps a runtime from pausing.
type BusyError struct {
	Count    int      // services that had something to do, and callers that waited
	Services []string // the first 20 of them
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%d services or callers have not come to an end: %v", e.Count, e.Services)
}

// Pause returns when no service has anything to do, and holds them there: for a hot restart. What came from other processes and waits
// is not handled but put back, where its Held can do that (PutBack); messages between services here are handled, and handlers that wait
// go on. Timers are put off. Goroutines that are no handlers wait in Send and Call.
// When ctx is over first, what handlers and goroutines wait for ends with ErrRestarting, and they have grace to end. Errors:
// *BusyError, then all goes on as before; the runtime is paused already. Not for handlers.
func (rt *Runtime) Pause(ctx context.Context, grace time.Duration) error {
	if !rt.pause.begin() {
		return fmt.Errorf("pause: the runtime is paused already")
	}
	if rt.rests(ctx, nil) {
		return nil
	}
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if rt.rests(late, rt.giveUp) {
		return nil
	}
	err := rt.busy()
	rt.Resume()
	return err
}

// Resume ends a pause: all goes on as before. Without one it does nothing.
func (rt *Runtime) Resume() {
	rt.pause.end()
	rt.table.each(func(s *service) bool {
		if s.kind == ordinary && s.thaw() {
			rt.schedule(nil, s)
		}
		return true
	})
}

// rests waits until all services are at rest, and are held there. each, if any, is called while they are not.
func (rt *Runtime) rests(ctx context.Context, each func()) bool {
	for wait := pauseLook; ; wait = min(2*wait, pauseLooks) {
		if taken, idle := rt.idle(); idle {
			if again, idle := rt.idle(); idle && again == taken && rt.freeze() { // nobody has run between the two
				return true
			}
		}
		if each != nil {
			each()
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
}

// idle reports whether each service was at rest when it was looked at, and how many messages all have taken.
func (rt *Runtime) idle() (taken uint64, all bool) {
	all = true
	rt.table.each(func(s *service) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		all = s.atRest()
		taken += s.taken
		return all
	})
	return taken, all
}

// atRest reports whether s has nothing to do, and nobody waits in it. With mu held.
func (s *service) atRest() bool {
	switch {
	case s.kind == many:
		return true
	case s.kind == external:
		return !s.queued
	case s.state == dead:
		return true
	case s.state != running && s.state != resting, s.queued, s.box.n > 0:
		return false
	case s.extra != nil && len(s.extra.blocked) > 0:
		return false
	}
	return s.waits.count() == 0 && (s.own == nil || len(s.own.held) == 0)
}

// freeze has no service handle anything any more, unless one is found that is not at rest.
func (rt *Runtime) freeze() bool {
	all := true
	rt.table.each(func(s *service) bool {
		if s.kind != ordinary {
			return true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if all = s.atRest(); all && s.state != dead {
			s.frozen, s.jam = true, true
		}
		return all
	})
	if !all {
		rt.table.each(func(s *service) bool {
			if s.kind == ordinary && s.thaw() {
				rt.schedule(nil, s)
			}
			return true
		})
	}
	return all
}

// thaw undoes freeze, and reports whether s has to be scheduled.
func (s *service) thaw() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		return false
	}
	s.frozen = false
	s.jam = s.extra != nil && len(s.extra.blocked) > 0
	return s.state == running && (s.jam || s.box.n > 0) && s.wake()
}

// giveUp ends what handlers and goroutines wait for.
func (rt *Runtime) giveUp() {
	rt.table.each(func(s *service) bool {
		s.mu.Lock()
		n, listens := 0, s.kind == external && s.queued
		if s.kind == ordinary && s.state < dying {
			n = s.asleep
		}
		s.mu.Unlock()
		if listens {
			s.extra.ear.giveUp()
		}
		for range n {
			rt.tell(s, &Message{Kind: kindGiveUp})
		}
		return true
	})
}

// giveUp ends what the ear waits for.
func (e *ear) giveUp() {
	e.s.mu.Lock()
	session := e.session
	e.s.mu.Unlock()
	_ = e.hear(&Message{Kind: KindError, Session: session, Value: ErrRestarting}) // it may just have heard something else
}

// busy says who is not at rest.
func (rt *Runtime) busy() error {
	e := &BusyError{}
	rt.table.each(func(s *service) bool {
		s.mu.Lock()
		rests := s.atRest()
		s.mu.Unlock()
		if !rests {
			if e.Count++; e.Count <= 20 {
				e.Services = append(e.Services, s.title())
			}
		}
		return true
	})
	return e
}
