// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrGivenUp is the cause of a handler's Ctx whose caller waits for the answer no more.
var ErrGivenUp = errors.New("the caller has given up")

// errHandled is the cause of a handler's Ctx after the handler has returned.
var errHandled = errors.New("the handler has returned")

// Ctx returns the context of the message at hand, for what takes one: a database, a file, another
// goroutine, which all may use it. It is over when the handler has returned, or has answered later (Later); when the
// deadline of the request has passed, or its caller has given up: the cause is DeadlineExceeded, or ErrGivenUp; and when the
// service is killed. It has the trace of the message (TraceOf). The handler's waits do not end with it,
// but those do that are given it: CallContext.
func (c *Context) Ctx() context.Context {
	s := c.mine()
	if c.ctx == nil {
		h := &handling{rt: c.rt, s: s, from: c.msg.From, session: c.msg.Session, trace: c.Trace(), deadline: c.deadline()}
		c.ctx = h
	}
	return c.ctx
}

// Cancelable reports whether the request at hand has a deadline, or a caller that may give up. Where that is not so, its Ctx ends
// with the handler, or its service.
func (c *Context) Cancelable() bool {
	c.mine()
	if !c.msg.IsCall() {
		return false
	}
	if n := c.msg.From.Node; !n.IsNone() && n != c.rt.cfg.Node {
		return true
	}
	t := c.trip.Load()
	return t != nil && (t.quits || !t.end.IsZero())
}

// A handling is the context of one message. It becomes one that can end when somebody asks for
// Done, which few handlers do.
type handling struct {
	rt       *Runtime
	s        *service
	from     PID
	session  uint64
	trace    Trace
	deadline time.Time

	mu     sync.Mutex // guards what follows; not held while inner is cancelled
	inner  context.Context
	cancel context.CancelCauseFunc
	free   context.CancelFunc // of the deadline
	over   error              // it has ended, of this
}

// Deadline is context.Context's.
func (h *handling) Deadline() (time.Time, bool) { return h.deadline, !h.deadline.IsZero() }

// Done is context.Context's.
func (h *handling) Done() <-chan struct{} { return h.begin().Done() }

// Err is context.Context's.
func (h *handling) Err() error { return h.begin().Err() }

// Value is context.Context's. Package context asks for what it has inside only after Done.
func (h *handling) Value(key any) any {
	if _, is := key.(traceKey); is {
		return h.trace
	}
	h.mu.Lock()
	inner := h.inner
	h.mu.Unlock()
	if inner == nil {
		return nil
	}
	return inner.Value(key)
}

// begin makes what can end, once, and has the service and the caller know of it.
func (h *handling) begin() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.inner != nil {
		return h.inner
	}
	h.inner, h.cancel = context.WithCancelCause(context.Background())
	if h.over != nil {
		h.cancel(h.over)
		return h.inner
	}
	if !h.deadline.IsZero() {
		h.inner, h.free = context.WithDeadline(h.inner, h.deadline)
	}
	if why := h.join(); why != nil {
		h.cancel(why)
	}
	return h.inner
}

// join notes h where those find it that end it, and returns why it is over already.
func (h *handling) join() error {
	if h.session != 0 && h.rt.handlings.add(h) {
		return h.givenUp()
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	e := h.s.rest()
	e.handlings = append(e.handlings, h)
	if h.s.state == dying || h.s.state == dead {
		return ErrStopped
	}
	return nil
}

// end ends h, of a reason, and forgets it.
func (h *handling) end(why error) {
	h.mu.Lock()
	began, first := h.inner != nil, h.over == nil
	if first {
		h.over = why
	}
	h.mu.Unlock()
	if !began || !first {
		return
	}
	h.cancel(why)
	if h.free != nil {
		h.free()
	}
	if h.session != 0 {
		h.rt.handlings.remove(h)
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if e := h.s.extra; e != nil {
		e.handlings = slices.DeleteFunc(e.handlings, func(other *handling) bool { return other == h })
	}
}

// endHandlings ends the contexts of a service that was killed.
func (s *service) endHandlings(why error) {
	s.mu.Lock()
	var all []*handling
	if s.extra != nil {
		all = slices.Clone(s.extra.handlings)
	}
	s.mu.Unlock()
	for _, h := range all {
		h.end(why)
	}
}

// quitted is a request whose caller has given up.
type quitted struct {
	from    PID
	session uint64
}

// earlyMost is how many requests are remembered that were given up before their handler has
// asked for its context: those that wait in a mailbox among them. The oldest is forgotten
// first, and its handler does in vain what it does.
const earlyMost = 1024

// handlings are the contexts of requests, of all services.
type handlings struct {
	mu    sync.Mutex
	all   map[quitted]*handling
	early map[quitted]struct{}
	line  []quitted // early, in order
	next  int       // of line, where it is full
}

// add notes h, and reports whether its caller has given up already.
func (a *handlings) add(h *handling) (over bool) {
	key := quitted{h.from, h.session}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[quitted]*handling{}
	}
	a.all[key] = h
	_, over = a.early[key]
	delete(a.early, key)
	return over
}

func (a *handlings) remove(h *handling) {
	key := quitted{h.from, h.session}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[key] == h {
		delete(a.all, key)
	}
}

// find returns the context of a request. Without one it remembers that the request was given up.
func (a *handlings) find(key quitted) *handling {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.all[key]; h != nil {
		return h
	}
	if a.early == nil {
		a.early = map[quitted]struct{}{}
	}
	if len(a.line) < earlyMost {
		a.line = append(a.line, key)
	} else {
		delete(a.early, a.line[a.next])
		a.line[a.next] = key
		a.next = (a.next + 1) % earlyMost
	}
	a.early[key] = struct{}{}
	return nil
}

// Cancel says that the caller of a request waits for the answer no more: its handler's Ctx is over. It is for
// a Remote; within the process the runtime sees to that itself. Any goroutine may call it.
func (rt *Runtime) Cancel(from PID, session uint64) {
	if h := rt.handlings.find(quitted{from, session}); h != nil {
		h.end(h.givenUp())
	}
}

// givenUp is why h ends whose caller waits no more: where its time is over, that is the reason.
func (h *handling) givenUp() error {
	if !h.deadline.IsZero() && !time.Now().Before(h.deadline) {
		return context.DeadlineExceeded
	}
	return ErrGivenUp
}
