// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math"
	"sync"
	"time"
)

// Resolution is the length of a tick: deadlines are rounded up to it.
const Resolution = time.Millisecond

// farthest is the time since New up to which a wheel reaches, a whole number of
// ticks: 292 years.
const farthest = math.MaxInt64 - math.MaxInt64%Resolution

// A Wheel is a set of pending timers, and the goroutine that fires them. It is
// made by New and takes 17 KiB. All methods may be called from any goroutine.
type Wheel struct {
	origin time.Time // tick 0

	mu     sync.Mutex
	slots  slots
	closed bool

	// wakeAt is the tick for which the alarm is set; never if it is not, and 0
	// while the goroutine is awake and will look at what there is by itself.
	wakeAt int64
	wakes  uint64 // times that the goroutine woke up

	// Both are made by the first Start, together with the goroutine.
	alarm *time.Timer
	done  chan struct{} // closed by the goroutine when it ends
}

// New returns a wheel without timers. In a bubble of testing/synctest, it is for
// use in that bubble. Close must be called on a wheel that was used.
func New() *Wheel {
	w := &Wheel{origin: time.Now(), wakeAt: never}
	w.slots.init()
	return w
}

// Start has t fire once, when d has passed: never earlier, and at the end of the
// millisecond if nothing keeps the goroutine of the wheel. With d <= 0 it fires as
// soon as possible. Every duration is accepted; one that reaches beyond 292 years
// from New ends there. Timers fire in the order of their milliseconds, and those
// of the same one in the order in which they were started.
//
// If t is pending it is stopped first; if it is about to fire it does so, and
// once more for this Start. Start reports false, and does nothing, after Close.
// It does not allocate, except for the first Start of a wheel.
func (w *Wheel) Start(t *Timer, d time.Duration) bool {
	now := w.now()
	when := deadline(now, d)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if t.pending() {
		w.slots.remove(t)
	}
	w.slots.skip(ticks(now))
	t.when = when
	w.slots.add(t)
	if t.when < w.wakeAt {
		w.setAlarm(t.when)
	}
	return true
}

// Stop reports whether t was pending; then it will not fire. If it was not, it was
// never started, or was stopped, or its Fire has run, runs, or is about to.
// Stop does not wait for that. It does not allocate.
func (w *Wheel) Stop(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !t.pending() {
		return false
	}
	w.slots.remove(t)
	return true
}

// Pending returns how many timers were started and have neither fired nor been
// stopped; after Close, those that never will fire.
func (w *Wheel) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slots.n
}

// Close ends the wheel: what is pending does not fire. It waits until the
// goroutine of the wheel has ended, and with it a Fire that runs, which therefore
// must not call it. It may be called again, and then waits as well.
func (w *Wheel) Close() {
	w.mu.Lock()
	if w.alarm != nil && !w.closed {
		w.alarm.Reset(0)
	}
	w.closed = true
	done := w.done
	w.mu.Unlock()
	if done != nil {
		<-done
	}
}

// now returns the time since tick 0.
func (w *Wheel) now() time.Duration { return time.Since(w.origin) }

// ticks returns how many ticks have passed.
func ticks(now time.Duration) int64 { return int64(now / Resolution) }

// deadline returns the first tick at which d has passed since now.
func deadline(now, d time.Duration) int64 {
	switch {
	case d <= 0:
		return ticks(now)
	case d > farthest-now:
		return ticks(farthest)
	}
	return ticks(now+d-1) + 1
}

// setAlarm has the goroutine wake up at a tick. The lock is held.
func (w *Wheel) setAlarm(when int64) {
	w.wakeAt = when
	delay := time.Duration(when)*Resolution - w.now()
	if w.alarm != nil {
		w.alarm.Reset(delay)
		return
	}
	w.alarm, w.done = time.NewTimer(delay), make(chan struct{})
	go w.run()
}

// run is the goroutine of the wheel.
func (w *Wheel) run() {
	defer close(w.done)
	for range w.alarm.C { // which is never closed
		if !w.serve() {
			return
		}
	}
}

// serve does what is to be done by now, and sets the alarm for what comes next.
// It reports false after Close.
func (w *Wheel) serve() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeAt = 0
	w.wakes++
	for now := ticks(w.now()); !w.closed; {
		t, more := w.slots.next(now)
		switch {
		case t != nil:
			w.fire(t)
		case more: // others may want the lock
			w.mu.Unlock()
			w.mu.Lock()
		case ticks(w.now()) > now: // it took a while
			now = ticks(w.now())
		default:
			w.sleep()
			return true
		}
	}
	return false
}

// fire calls what t is for, without the lock.
func (w *Wheel) fire(t *Timer) {
	fire := t.Fire // before others may start t anew, with another Fire
	if fire == nil {
		return
	}
	w.mu.Unlock()
	defer w.mu.Lock() // also when it panics, or the panic would not be what is seen
	fire(t)
}

// sleep sets the alarm for the first thing to do.
func (w *Wheel) sleep() {
	if when := w.slots.earliest(); when != never {
		w.setAlarm(when)
		return
	}
	w.wakeAt = never
	w.alarm.Stop() // a Start may have set it while the goroutine was about to wake up
}
