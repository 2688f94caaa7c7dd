// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"sync"
	"time"
)

// tick is how often the sweeper looks at the connections that are not authenticated,
// and at one of the parts of the others.
const tick = 250 * time.Millisecond

// parts is in how many parts served connections are looked at: each once a second.
const parts = 4

// A sweeper ends what takes too long. It is one goroutine, which runs while there are
// connections. It looks at them as they lie in slices: 10,000 cost some 50 us a tick, and nothing
// is to be started or stopped for a packet or a phase. (internal/wheel is for
// timers that are set; here most limits are states that come and go with each packet.)
type sweeper struct {
	now  func() time.Duration
	each func() // Options.Tick; may be nil

	mu     sync.Mutex
	lists  [1 + parts][]*guest // first those that are not authenticated
	n      int                 // in all lists
	next   int                 // the part that comes next
	asleep bool
	closed bool
	wake   chan struct{}
	done   chan struct{}

	look []*guest // what a tick looks at; the goroutine's own
}

// place is where a guest lies in the lists. The sweeper's lock guards it.
type place struct {
	index int32
	list  int8
	in    bool
}

func newSweeper(now func() time.Duration, each func()) *sweeper {
	w := &sweeper{now: now, each: each, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// add has g looked at.
func (w *sweeper) add(g *guest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.insertLocked(g, 0)
	w.n++
	if w.asleep {
		w.asleep = false
		w.wake <- struct{}{} // has room: it was taken when the goroutine fell asleep
	}
}

// admit moves g to those that are served. It reports whether it was not there yet.
func (w *sweeper) admit(g *guest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !g.place.in || g.place.list != 0 {
		return false
	}
	w.removeLocked(g)
	shortest := 1
	for i := 2; i <= parts; i++ {
		if len(w.lists[i]) < len(w.lists[shortest]) {
			shortest = i
		}
	}
	w.insertLocked(g, shortest)
	return true
}

// remove has g looked at no more; a look that has begun may still come to its end.
func (w *sweeper) remove(g *guest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.place.in {
		w.removeLocked(g)
		w.n--
	}
}

func (w *sweeper) insertLocked(g *guest, list int) {
	g.place = place{list: int8(list), index: int32(len(w.lists[list])), in: true}
	w.lists[list] = append(w.lists[list], g)
}

func (w *sweeper) removeLocked(g *guest) {
	list := w.lists[g.place.list]
	last := list[len(list)-1]
	list[g.place.index] = last
	last.place.index = g.place.index
	list[len(list)-1] = nil
	w.lists[g.place.list] = list[:len(list)-1]
	g.place.in = false
}

// early returns how many guests are not authenticated.
func (w *sweeper) early() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lists[0])
}

// all returns the guests that are there now, or only those not authenticated.
func (w *sweeper) all(onlyEarly bool) (list []*guest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.lists {
		if i == 0 || !onlyEarly {
			list = append(list, l...)
		}
	}
	return list
}

// close ends the goroutine and waits for it.
func (w *sweeper) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.wake)
		w.asleep = false // nobody writes to wake any more
	}
	w.mu.Unlock()
	<-w.done
}

// run is the sweeper's goroutine.
func (w *sweeper) run() {
	defer close(w.done)
	t := time.NewTimer(tick)
	defer t.Stop()
	for {
		if !w.fallAsleep() {
			select {
			case <-t.C:
			case _, ok := <-w.wake:
				if !ok {
					return
				}
			}
			w.pass()
		} else if _, ok := <-w.wake; !ok {
			return
		}
		t.Reset(tick)
	}
}

// fallAsleep reports whether there is nothing to look at: add then wakes the goroutine.
func (w *sweeper) fallAsleep() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = w.n == 0 && w.each == nil && !w.closed
	return w.asleep
}

// pass looks at what is due for a look.
func (w *sweeper) pass() {
	w.mu.Lock()
	w.next = w.next%parts + 1
	w.look = append(append(w.look[:0], w.lists[0]...), w.lists[w.next]...)
	w.mu.Unlock()
	now := w.now()
	for _, g := range w.look {
		g.check(now)
	}
	clear(w.look)
	if w.each != nil {
		w.each()
	}
}
