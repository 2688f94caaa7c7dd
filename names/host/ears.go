// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync"
	"time"

	"github.com/skybus-io/skybus/shm"
)

// lookEach is how often a watcher looks without having been woken: for owners that died, and for
// what a process left undone that was killed.
const lookEach = 250 * time.Millisecond

// ears are the watchers of this process. One goroutine, with one thread, waits for all of them.
type ears struct {
	mu      sync.Mutex
	all     map[chan struct{}]bool
	running bool
	closed  bool
	bell    *shm.Doorbell // that the goroutine waits at; nil while it does not. It is mapped while mu is held
	over    sync.WaitGroup
}

func (e *ears) init() { e.all = map[chan struct{}]bool{} }

// join returns a channel that gets something after each change, and each lookEach. stop is to
// be called.
func (r *Registry) join() (woken <-chan struct{}, stop func(), err error) {
	e := &r.ears
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed
	}
	ear := make(chan struct{}, 1)
	e.all[ear] = true
	if !e.running {
		e.running = true
		e.over.Go(r.listen)
	}
	return ear, func() { e.leave(ear) }, nil
}

func (e *ears) leave(ear chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, ear)
	if len(e.all) == 0 {
		e.wakeLocked()
	}
}

// close ends the goroutine, and waits for that.
func (e *ears) close() {
	e.mu.Lock()
	e.closed = true
	e.wakeLocked()
	e.mu.Unlock()
	e.over.Wait()
}

// wakeLocked has the goroutine look whether anybody is left. Others that wait at the bell look in
// vain.
func (e *ears) wakeLocked() {
	if e.bell != nil {
		e.bell.Ring()
	}
}

// listen wakes the watchers until there are none.
func (r *Registry) listen() {
	looked := time.Now()
	for {
		if time.Since(looked) >= lookEach {
			_ = r.open() // another table may be there; what is wrong with it, the watchers find
			looked = time.Now()
		}
		seg, bell := r.hold()
		on := r.ears.wait(bell)
		if seg != nil {
			seg.Close()
		}
		if !on {
			return
		}
	}
}

// hold keeps the present table's memory, for a look at its bell.
func (r *Registry) hold() (seg *shm.Segment, bell *shm.Doorbell) {
	_ = r.look(func(t *table) error {
		if t != nil {
			seg, bell = t.seg.Acquire(), t.bell()
		}
		return nil
	})
	return seg, bell
}

// wait calls all watchers, and then waits for the next change. on: there are any.
func (e *ears) wait(bell *shm.Doorbell) (on bool) {
	count := uint32(0)
	if bell != nil {
		count = bell.Count() // first: what is changed from now on ends the wait
	}
	e.mu.Lock()
	for ear := range e.all {
		select {
		case ear <- struct{}{}:
		default: // it is about to look
		}
	}
	if on = len(e.all) > 0 && !e.closed; !on {
		e.running = false
		e.mu.Unlock()
		return false
	}
	e.bell = bell
	e.mu.Unlock()
	if bell != nil {
		bell.Wait(count, lookEach)
	} else {
		time.Sleep(lookEach / 25) // the table was removed, or cannot be read
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bell = nil
	return true
}
