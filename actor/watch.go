// SPDX-License-Identifier: Apache-2.0

package actor

import "time"

// watchTick is how often the watch looks while handlers run.
const watchTick = time.Millisecond

// A sighting is what the watch saw of a worker last.
type sighting struct {
	c     *Context
	turns uint64
	since time.Time
	told  bool
}

// watch adds workers while those that there are do not get on, and reports handlers
// that do not either. It sleeps while no worker runs.
func (rt *Runtime) watch() {
	defer rt.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var taken uint64
	var door doorWatch
	for added := 0; ; {
		slept, open := rt.queue.awaitBusy()
		if !open {
			return
		}
		if slept {
			rt.forgetSeen()
		}
		timer.Reset(watchTick)
		<-timer.C
		waiting, now := rt.queue.progress()
		rt.look(time.Now())
		if door.look(rt) || waiting && now-taken <= uint64(added) { // what was taken, the new ones took, and block
			added = max(1, 2*added)
			rt.addWorkers(added)
		} else {
			added = 0
		}
		taken = now
	}
}

// forgetSeen is for a watch that has slept: all workers have parked meanwhile.
func (rt *Runtime) forgetSeen() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for w := range rt.workers {
		w.seen = sighting{}
	}
}

// awaitBusy returns when a worker runs, and whether it had to wait for that; not open: the
// queue is closed.
func (q *queue) awaitBusy() (slept, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.n == 0 && q.parked >= q.workers {
		slept = true
		q.watched = false
		q.busy.Wait()
	}
	q.watched = true
	return slept, !q.closed
}

// progress reports whether services wait while nobody parks, and how many were taken
// so far.
func (q *queue) progress() (waiting bool, taken uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n > 0, q.taken
}

// look compares each worker with what it was. From one that is still at the same message
// the service in its slot is taken away.
func (rt *Runtime) look(now time.Time) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for w := range rt.workers {
		c := rt.all.find(w.running.Load())
		if c == nil {
			w.seen = sighting{}
			continue
		}
		is := sighting{c: c, turns: c.turns.Load()}
		old := &w.seen
		if is.c != old.c || is.turns != old.turns {
			is.since = now
			*old = is
			continue
		}
		w.yield()
		if rt.cfg.Stuck > 0 && !old.told && now.Sub(old.since) >= rt.cfg.Stuck {
			old.told = true
			go rt.tellStuck(c, is.turns, now.Sub(old.since)) // the program's function may wait for us
		}
	}
}

// tellStuck reports a handler that does not get on, if that is still so.
func (rt *Runtime) tellStuck(c *Context, turns uint64, since time.Duration) {
	f := rt.cfg.Events.Stuck
	if f == nil {
		return
	}
	t, same := c.peek(turns)
	if !same {
		return
	}
	f(Stuck{Service: t.Service, Name: t.Name, From: t.From, Trace: t.Trace, Message: t.Message, For: since, Stack: stacks()[c.goroutine]})
}
