// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/sys"
)

const (
	maxAhead  = 16 // services that a worker takes from the queue at once, beside one
	maxLine   = 32 // services that have only this worker's attention
	maxStreak = 16 // messages that services from the slot handle before the queue has its turn
	maxSpare  = 64 // contexts without work that a worker keeps
)

// A worker is a goroutine that runs one context after the other. The slot is for the
// service that its handler has made runnable last: what it does next is likely to
// be in the processor's caches. Services are kept as handles, and contexts as numbers: those can
// be exchanged by one instruction.
type worker struct {
	rt      *Runtime
	slot    atomic.Uint64          // a service's handle, or 0
	last    *service               // that came into the slot
	ahead   [maxLine]atomic.Uint64 // taken from a long queue at once, or made runnable at the door, from next to end
	next    int
	end     int
	polls   bool          // it is at the door
	running atomic.Uint64 // a context's number; 0 while it parks
	streak  int
	handled int // messages since it was at the door
	spare   []*Context
	seen    sighting // the watch's
}

// run is the worker's goroutine.
func (w *worker) run() {
	over := false
	defer func() {
		if !over { // a handler has called runtime.Goexit, which ends its coroutine and this goroutine
			w.running.Store(0)
			go w.run()
		}
	}()
	for c := w.context(); ; {
		c.w = w
		w.runs(c)
		if _, ok := c.next(); !ok {
			over = true
			w.close()
			return
		}
		w.settle(c) // a handler that c has called waits
		c = w.context()
	}
}

// runs notes what w runs, for the watch, which may as well see it a little later.
func (w *worker) runs(c *Context) { sys.StoreRelease64(&w.running, c.number) }

// context returns a context that waits for a service.
func (w *worker) context() *Context {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare[n-1] = nil
		w.spare = w.spare[:n-1]
		return c
	}
	return w.rt.newContext()
}

// keep puts aside a context that has nothing to do.
func (w *worker) keep(c *Context) {
	if len(w.spare) < maxSpare {
		w.spare = append(w.spare, c)
		return
	}
	c.stop()
}

// close is the worker's last act.
func (w *worker) close() {
	w.running.Store(0)
	for _, c := range w.spare {
		c.stop()
	}
	w.spare = nil
	w.rt.lost(w)
}

// settle does for a context that has just been put aside what would have been too
// early before: its answer may come at once, on another worker. It must not use c
// after the service is given up.
func (w *worker) settle(c *Context) {
	s := c.gaveUp
	c.gaveUp = nil
	if c.act != nothing {
		w.send(c, s)
		c.act, c.out.Value = nothing, nil
	}
	if s.leave() {
		w.rt.queue.put(s)
	}
}

// send sends what c, which waits in s, has left to send.
func (w *worker) send(c *Context, s *service) {
	err := errBlocked
	if c.act == sendRequest {
		err = w.rt.deliver(w, c.to, &c.out)
	}
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		err = w.waitForRoom(c, s)
	}
	if err != nil {
		w.rt.tell(s, &Message{Kind: KindError, Session: c.session, Value: err})
	}
}

// waitForRoom has c's message wait for room. Who has sent a request waits for its answer
// in any case.
func (w *worker) waitForRoom(c *Context, s *service) error {
	b := blocked{m: c.out}
	if c.act == sendWithRoom {
		b.from, b.session = s, c.session
	}
	room, err := w.rt.line(w, c.to, &b)
	if err != nil && b.from != nil {
		b.m.release()
	}
	if room && b.from != nil {
		w.rt.tell(s, &Message{Kind: kindRoom, Session: c.session})
	}
	return err
}

// schedule has somebody run s: the worker w next, if there is one.
func (rt *Runtime) schedule(w *worker, s *service) {
	if w == nil {
		rt.queue.put(s)
		return
	}
	if w.polls && w.slot.Load() != 0 { // others need not be woken for what is done in a moment
		if rt.door.hurry.Load() || !w.line(s) {
			rt.queue.put(s)
		}
		return
	}
	w.last = s
	if old := w.slot.Swap(uint64(s.handle)); old != 0 {
		rt.queue.put(rt.table.find(Handle(old)))
	}
}

// line has s wait for the worker, if there is a place. What is taken is free again only when the queue has
// its turn: else what comes through the door would keep those in it waiting.
func (w *worker) line(s *service) bool {
	if w.end == maxLine {
		return false
	}
	w.ahead[w.end].Store(uint64(s.handle))
	w.end++
	return true
}

// more returns a service that waits, or nil. From a long queue it takes several: the
// lock is for all workers.
func (w *worker) more() *service {
	for ; w.next < w.end; w.next++ {
		if s := w.takes(&w.ahead[w.next]); s != nil {
			w.next++
			return s
		}
	}
	w.next, w.end = 0, 0
	var list [maxAhead]*service
	s := w.rt.queue.get(&list)
	for _, more := range list {
		if more == nil {
			break
		}
		w.line(more)
	}
	return s
}

// takes takes a service out of its place, and returns nil if there is none. Others may do
// the same. Who is to be run has a handle.
func (w *worker) takes(place *atomic.Uint64) *service {
	if place.Load() == 0 {
		return nil
	}
	if h := place.Swap(0); h != 0 {
		return w.rt.table.find(Handle(h))
	}
	return nil
}

// yield takes everything away from the worker that waits for it.
func (w *worker) yield() {
	if s := w.takes(&w.slot); s != nil {
		w.rt.queue.put(s)
	}
	for i := range w.ahead {
		if s := w.takes(&w.ahead[i]); s != nil {
			w.rt.queue.put(s)
		}
	}
}

// own takes what is in the worker's slot, unless somebody has taken it away.
func (w *worker) own() *service {
	s := w.last
	w.last = nil
	if s == nil || w.slot.Swap(0) != uint64(s.handle) {
		return nil
	}
	return s
}

// fetch gives c a service. It reports false when the worker is to end.
func (c *Context) fetch() bool {
	w := c.w
	w.peep(c.turn.n)
	s := (*service)(nil)
	if w.streak += c.turn.n; w.streak >= maxStreak {
		w.streak = 0
		if s = w.more(); s != nil {
			if last := w.takes(&w.slot); last != nil { // it comes after all that wait
				w.rt.queue.put(last)
			}
		}
	}
	if s == nil {
		s = w.own()
	}
	if s == nil {
		w.streak = 0
		if s = w.more(); s == nil {
			s = w.await(c)
		}
	}
	if s == nil {
		return false
	}
	c.s = s
	c.turn.begin(w.rt, int(s.weight))
	return true
}

// await waits for a service, at the door if nobody is there. It returns nil when the worker is
// to end.
func (w *worker) await(c *Context) *service {
	q := w.rt.queue
	for {
		sys.StoreRelease64(&w.running, 0)
		s, attended := w.attend()
		if s == nil && !attended {
			s = q.glance()
		}
		ends := false
		if s == nil {
			s, ends = q.await(w.rt.cfg.Workers)
		}
		if s != nil || ends {
			w.runs(c)
			return s
		}
	}
}
