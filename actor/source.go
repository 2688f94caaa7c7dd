// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// A Source has messages from other processes. The workers take them out themselves, one worker at a
// time: a message is so handled by the goroutine that has waited for it. Its methods are
// called by one goroutine at a time, but for Wake and Ready.
type Source interface {
	// Poll delivers what is there, a batch at most, and does not wait. It reports whether there
	// was something.
	Poll(in Inlet) bool
	// Wait returns when there may be something, when work is true, after Wake, and now and then without a
	// reason. parks is called before and after a wait in the kernel: Wake is needed from then on,
	// and not before, to have work asked.
	Wait(work func() bool, parks func(parked bool))
	// Wake has Wait return if it waits in the kernel. It must not wait. Any goroutine may call it.
	Wake()
	// Ready reports whether somebody should come, and call Poll and Wait: else nobody does while all workers
	// run handlers. Any goroutine may call it.
	Ready() bool
}

// An Inlet is what a Source delivers by while Poll runs: what it makes runnable is what the
// calling worker does next.
type Inlet struct{ w *worker }

// Deliver is Runtime.Deliver. m is the caller's again.
func (in Inlet) Deliver(rt *Runtime, to PID, m *Message) error {
	return rt.deliverFree(in.w, to, m)
}

// DeliverHeld is Runtime.DeliverHeld. m is the caller's again.
func (in Inlet) DeliverHeld(rt *Runtime, to PID, m *Message, held Held) error {
	return rt.deliverHeld(in.w, to, m, held)
}

// A door is where the workers take messages from a Source.
type door struct {
	src   atomic.Pointer[Source]
	taken atomic.Uint32 // a worker is at it, or it is shut
	polls atomic.Uint64 // how often one was; written by that one
	hurry atomic.Bool   // handlers take long: another worker comes to it while one runs
	work  func() bool   // Runtime.called
	parks func(bool)    // queue.attends
}

// From has the workers take messages from src, until stop is called, which returns when
// none does any more. A runtime has one Source at a time. Handlers must not call stop: it waits for them.
func (rt *Runtime) From(src Source) (stop func()) {
	d := &rt.door
	d.src.Store(&src)
	rt.queue.call()
	return func() {
		d.src.Store(nil)
		for !d.taken.CompareAndSwap(0, 1) {
			src.Wake()
			time.Sleep(dozeFor)
		}
		d.leave()
	}
}

// knock wakes the worker that waits at the door.
func (rt *Runtime) knock() {
	if src := rt.door.src.Load(); src != nil {
		(*src).Wake()
	}
}

// enter makes the caller the one at the door, if there is something behind it.
func (d *door) enter() Source {
	if d.src.Load() == nil || d.taken.Load() != 0 || !d.taken.CompareAndSwap(0, 1) {
		return nil
	}
	src := d.src.Load()
	if src == nil {
		d.taken.Store(0)
		return nil
	}
	sys.StoreRelease64(&d.polls, d.polls.Load()+1)
	return *src
}

func (d *door) leave() { sys.StoreRelease(&d.taken, 0) }

// peep takes what there is at the door, after n messages more, now and then: a worker that always
// has something to do comes there, too.
func (w *worker) peep(n int) {
	d := &w.rt.door
	if d.src.Load() == nil {
		return
	}
	if w.handled += n; w.handled < maxStreak {
		return
	}
	w.handled = 0
	if src := d.enter(); src != nil {
		w.poll(src)
		d.leave()
	}
}

// poll has src deliver what there is. Code of the program that ends its goroutine there does
// not leave the door shut.
func (w *worker) poll(src Source) (got bool) {
	over := false
	w.polls = true
	defer func() {
		if w.polls = false; !over {
			w.rt.door.leave()
		}
	}()
	got = src.Poll(Inlet{w})
	over = true
	return got
}

// attend waits at the door until there is something to run. here is false when another worker is
// there already, or there is no door.
func (w *worker) attend() (s *service, here bool) {
	d, q := &w.rt.door, w.rt.queue
	src := d.enter()
	if src == nil {
		return nil, false
	}
	for {
		got := w.poll(src)
		if s = w.own(); s == nil {
			s = w.more()
		}
		switch {
		case s != nil, w.rt.over(): // not for less: others may rely on this worker's being here
			d.leave()
			q.relieve(d.hurry.Load())
			return s, true
		case !got:
			q.looking.Add(1)
			src.Wait(d.work, d.parks)
			q.looking.Add(-1)
		}
	}
}

// called reports whether whoever is at the door has something else to do.
func (rt *Runtime) called() bool { return rt.queue.size.Load() > 0 || rt.over() }

// over reports whether nobody is to be at the door any more.
func (rt *Runtime) over() bool { return rt.queue.shut.Load() || rt.door.src.Load() == nil }

// A doorWatch is what the watch knows of the door.
type doorWatch struct {
	polls uint64
	away  int // grows with ticks that find nobody there
}

const (
	fewPolls = 20 // in a tick: then handlers take so long that another worker had better be at the door meanwhile
	mostAway = 32
)

// look sees to it that messages do not wait at the door while all workers that could take
// them run handlers, or sleep. It reports whether more workers are needed for that.
func (o *doorWatch) look(rt *Runtime) (stalled bool) {
	d := &rt.door
	src := d.src.Load()
	if src == nil {
		return false
	}
	polls := d.polls.Load()
	n := polls - o.polls
	o.polls = polls
	if d.taken.Load() != 0 || n >= fewPolls {
		if o.away = max(o.away-1, 0); o.away == 0 {
			d.hurry.Store(false)
		}
		return false
	}
	if o.away = min(o.away+2, mostAway); o.away >= mostAway/2 { // a third of the ticks: one alone may have met a short handler
		d.hurry.Store(true)
	}
	return n == 0 && (*src).Ready() && !rt.queue.call()
}
