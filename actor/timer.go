// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/wheel"
)

// An expiry ends a wait of a handler when its time, or its context, is over.
type expiry struct {
	timer   wheel.Timer
	rt      *Runtime
	s       *service
	session uint64
	d       time.Duration
	ctx     context.Context
	unwatch func() bool
	wakes   bool        // the end is what was waited for
	gone    atomic.Bool // it is over
	src     source      // of a request that it bounds
	trip    trip        // of that
}

func (rt *Runtime) expiry(d time.Duration) *expiry { return &expiry{rt: rt, d: d} }

// start begins the time of the wait that s has under session.
func (e *expiry) start(s *service, session uint64) {
	e.s, e.session = s, session
	if e.ctx != nil {
		e.unwatch = context.AfterFunc(e.ctx, e.over)
		return
	}
	e.timer.Fire = func(*wheel.Timer) { e.over() }
	e.rt.wheel.Start(&e.timer, e.d)
}

func (e *expiry) over() {
	e.gone.Store(true)
	m := Message{Kind: kindExpired, Session: e.session}
	switch {
	case e.wakes:
		m.Kind = kindRoom
	case e.ctx != nil:
		m.Value = context.Cause(e.ctx)
	default:
		m.Value = context.DeadlineExceeded
	}
	e.rt.tell(e.s, &m)
}

func (e *expiry) stop() {
	if e.unwatch != nil {
		e.unwatch()
	} else if e.s != nil {
		e.rt.wheel.Stop(&e.timer)
	}
}

// later calls f in d. It must be quick, and not wait.
func (rt *Runtime) later(d time.Duration, f func()) {
	rt.wheel.Start(&wheel.Timer{Fire: func(*wheel.Timer) { f() }}, d)
}

// A Timer does something in its service when time is over, once or again and again. One
// of a Context ends when the service ends, or restarts.
type Timer struct {
	timer   wheel.Timer
	rt      *Runtime
	to      PID
	every   time.Duration // 0: once
	f       func(*Context)
	value   any           // sent as KindTick, where f is nil
	next    time.Duration // since the runtime's birth: when it is to fire, if again and again
	life    uint32        // of the service that it belongs to
	free    bool          // it belongs to none: any life may get it
	stopped atomic.Bool
	queued  atomic.Bool // the last one is not handled yet
}

// After has f run as a handler of the service in d, with a resolution of 1 ms.
func (c *Context) After(d time.Duration, f func(c *Context)) *Timer {
	return c.timer(d, 0, f, nil)
}

// Every has f run each d, first in d; at least 1 ms. When the service is late, the ones in between
// are left out.
func (c *Context) Every(d time.Duration, f func(c *Context)) *Timer {
	d = max(d, time.Millisecond)
	return c.timer(d, d, f, nil)
}

// Tick has the handler's service get v as KindTick in d.
func (c *Context) Tick(d time.Duration, v any) *Timer {
	return c.timer(d, 0, nil, v)
}

// TickEvery is Tick again and again, as Every.
func (c *Context) TickEvery(d time.Duration, v any) *Timer {
	d = max(d, time.Millisecond)
	return c.timer(d, d, nil, v)
}

// SendAfter has a service get v as KindTick in d. Any goroutine may call it.
func (rt *Runtime) SendAfter(d time.Duration, to PID, v any) *Timer {
	t := &Timer{rt: rt, to: to, value: v, free: true}
	t.start(d)
	return t
}

// timer starts one of the handler's service. It ends when that restarts: what it would
// run belongs to the handler before.
func (c *Context) timer(d, every time.Duration, f func(*Context), v any) *Timer {
	s := c.mine()
	t := &Timer{rt: c.rt, to: s.pid(), every: every, f: f, value: v, life: s.life()}
	t.start(d)
	return t
}

func (t *Timer) start(d time.Duration) {
	if t.every > 0 {
		t.next = time.Since(t.rt.born) + d
	}
	t.timer.Fire = func(*wheel.Timer) { t.fire() }
	t.rt.wheel.Start(&t.timer, d)
}

// Stop ends the timer: nothing of it runs any more. It reports whether something
// was to come. Any goroutine may call it.
func (t *Timer) Stop() bool {
	if t.stopped.Swap(true) {
		return false
	}
	return t.rt.wheel.Stop(&t.timer) || t.queued.Load() || t.every > 0
}

func (t *Timer) fire() {
	if t.stopped.Load() {
		return
	}
	if t.rt.pause.on.Load() { // it fires late, or in no program
		t.rt.wheel.Start(&t.timer, pausedTimer)
		return
	}
	if t.queued.Swap(true) { // the last one still waits
		t.again()
		return
	}
	m := Message{Kind: kindTimer, Value: t}
	if s, _ := t.rt.local(t.to); s == nil || s.kind != ordinary { // several may get it, or another process
		m = Message{Kind: KindTick, Value: t.value}
		t.stopped.Store(true)
	}
	if t.rt.deliver(nil, t.to, &m) == nil {
		t.again()
	}
}

// again starts the timer for its next time. It goes by when it should have fired, not by when it has, or
// it would be late more and more.
func (t *Timer) again() {
	if t.every == 0 || t.stopped.Load() {
		return
	}
	now := time.Since(t.rt.born)
	if t.next += t.every; t.next <= now {
		t.next = now + t.every - (now-t.next)%t.every
	}
	t.rt.wheel.Start(&t.timer, t.next-now)
}

// due reports whether s has something to do now that it takes m, which becomes a
// tick if there is no function.
func (t *Timer) due(s *service, m *Message) bool {
	t.queued.Store(false)
	if !t.free && t.life != s.life() {
		t.stopped.Store(true)
	}
	if t.stopped.Load() {
		return false
	}
	if t.every == 0 {
		t.stopped.Store(true)
	}
	if t.f == nil {
		m.Kind, m.Value = KindTick, t.value
	}
	return true
}
