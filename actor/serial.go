// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/sys"
)

// A Serial keeps handlers of one service out of each other's way while they wait:
// of those inside Do, one runs at a time, in the order in which they came. It belongs to one
// service's state. The zero Serial is ready.
type Serial struct {
	Name string // for errors and tools

	holder atomic.Pointer[Context]
	depth  int
	line   []*Context
}

// serials guards what is needed to find a cycle: who waits for which section. A
// section with a line changes its holder under mu.
type serials struct {
	mu      sync.Mutex
	waiting map[*Context]*Serial
}

// Do runs f when no other handler is inside s; the same handler may come in again.
// Waiting for something that itself waits for s is an error, not a wait for ever: a *CycleError.
// Errors: ErrStopped, ErrCallCycle, f's.
func (s *Serial) Do(c *Context, f func() error) error {
	c.mine()
	if err := s.enter(c); err != nil {
		return fmt.Errorf("serial section %q: %w", s.Name, err)
	}
	defer s.leave(c)
	return f()
}

func (s *Serial) enter(c *Context) error {
	switch h := s.holder.Load(); {
	case h == c:
		s.depth++
		return nil
	case h == nil:
		s.has(c)
		return nil
	}
	own := c.mine()
	own.add(c)
	c.prepare(reason{what: aSection, name: s.Name})
	if err := c.rt.serials.join(c, s); err != nil {
		own.waits.take(c.session)
		c.goesOn()
		return err
	}
	s.line = append(s.line, c)
	_, err := c.park(nothing)
	if err != nil {
		c.rt.serials.quit(c, s)
	}
	return err
}

// has notes that c is inside.
func (s *Serial) has(c *Context) {
	c.inside.Add(1)
	s.holder.Store(c)
	s.depth = 1
}

// leave lets the next one in.
func (s *Serial) leave(c *Context) {
	if s.depth--; s.depth > 0 {
		return
	}
	c.inside.Add(-1)
	if len(s.line) == 0 {
		s.holder.Store(nil)
		return
	}
	all := &c.rt.serials
	all.mu.Lock()
	next := s.line[0]
	s.line = slices.Delete(s.line, 0, 1)
	delete(all.waiting, next)
	s.has(next)
	session := next.session
	all.mu.Unlock()
	c.rt.tell(c.s, &Message{Kind: kindRoom, Session: session})
}

// quit takes c out of the line: its service ends. It may have become the holder
// meanwhile.
func (all *serials) quit(c *Context, s *Serial) {
	all.mu.Lock()
	delete(all.waiting, c)
	if i := slices.Index(s.line, c); i >= 0 {
		s.line = slices.Delete(s.line, i, i+1)
	}
	holds := s.holder.Load() == c
	all.mu.Unlock()
	if holds {
		s.leave(c)
	}
}

// join notes that c waits for s, unless that would be for ever.
func (all *serials) join(c *Context, s *Serial) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.waiting == nil {
		all.waiting = map[*Context]*Serial{}
	}
	holds := false
	for p := c; p != nil && !holds; p = p.caller() {
		holds = p.inside.Load() > 0
	}
	if holds { // or nobody waits for them
		if path := all.cycle(c, s); path != nil {
			return &CycleError{Path: path}
		}
	}
	all.waiting[c] = s
	return nil
}

// cycle returns how c waits for itself if it waits for s; nil: it does not.
func (all *serials) cycle(c *Context, s *Serial) []CycleStep {
	w := walk{all: all, goal: map[*Context]bool{}, seen: map[*Context]bool{}}
	for p := c; p != nil; p = p.caller() {
		w.goal[p] = true
	}
	return w.from(c, s)
}

// A walk looks for a way from a section back to one of those that wait for it.
type walk struct {
	all    *serials
	goal   map[*Context]bool // whoever wants to wait, and those that wait for its answer
	seen   map[*Context]bool
	places map[uint64]string // stacks by goroutine
}

// from returns the steps of a cycle that begins with c waiting for s, or nil.
func (w *walk) from(c *Context, s *Serial) []CycleStep {
	h := s.holder.Load()
	if h == nil || w.seen[h] {
		return nil
	}
	w.seen[h] = true
	if w.goal[h] {
		return w.steps(c, s, h)
	}
	for c2, s2 := range w.all.waiting { // what h waits for may be one of these
		if !descends(c2, h) {
			continue
		}
		if rest := w.from(c2, s2); rest != nil {
			return append(w.steps(c, s, nil), rest...)
		}
	}
	return nil
}

// descends reports whether h waits for the answer of c, directly or not, or is c.
func descends(c, h *Context) bool {
	for ; c != nil; c = c.caller() {
		if c == h {
			return true
		}
	}
	return false
}

// steps are the callers of c down to c itself, which waits for s. The chain ends above
// the context until, if that is in it.
func (w *walk) steps(c *Context, s *Serial, until *Context) []CycleStep {
	if w.places == nil {
		w.places = stacks()
	}
	list := []CycleStep{w.step(c, "serial section "+s.Name)}
	for p := c; p != until; {
		up := p.caller()
		if up == nil {
			break
		}
		list = append([]CycleStep{w.step(up, fmt.Sprintf("an answer of %v", list[0].Service))}, list...)
		p = up
	}
	return list
}

// step describes a context that waits.
func (w *walk) step(c *Context, what string) CycleStep {
	t, _ := c.task()
	return CycleStep{Service: t.Service, Name: t.Name, Message: t.Message, For: what, Where: userFrame(w.places[c.goroutine])}
}

// follow notes whose request c handles, before it waits for something itself, for
// those that look for a cycle.
func (c *Context) follow() {
	if src := c.msg.src; src != nil && src.c != nil {
		c.up.Store(src.c)
		c.upSession.Store(c.msg.Session)
		c.upFrom.Store(uint64(c.msg.From.Handle))
	} else if c.up.Load() != nil {
		c.up.Store(nil)
	}
	sys.StoreRelease64(&c.waiting, c.session)
}

// caller returns the handler that waits for the answer of c's, or nil.
func (c *Context) caller() *Context {
	up, session, from := c.up.Load(), c.upSession.Load(), Handle(c.upFrom.Load())
	if up == nil || up.waiting.Load() != session {
		return nil
	}
	// It may run for another service by now, and wait there under the same number.
	if Handle(up.of.Load()) != from || up.waiting.Load() != session {
		return nil
	}
	return up
}
