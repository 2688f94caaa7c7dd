// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A queue holds the services that have something to do, in the order in which they
// began to have it. Workers without work park in it.
type queue struct {
	size    atomic.Int64 // n, for a look without the lock
	looking atomic.Int32 // workers that glance, or spin at the door
	shut    atomic.Bool  // closed, for a look without the lock
	knock   func()       // wakes the worker that waits at the door

	mu      sync.Mutex
	work    sync.Cond // there is a service, or the queue is closed
	busy    sync.Cond // a worker does not park any more: the watch goes on
	ring    []*service
	head, n int
	taken   uint64 // services, since the beginning
	workers int
	parked  int
	atDoor  int  // of those: 1 if one waits at the door, in the kernel
	called  bool // one of the others is to go there
	watched bool // the watch ticks
	closed  bool
}

func newQueue() *queue {
	q := &queue{ring: make([]*service, 64)}
	q.work.L, q.busy.L = &q.mu, &q.mu
	return q
}

// put appends services and wakes workers for them.
func (q *queue) put(list ...*service) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range list {
		if q.n == len(q.ring) {
			q.grow()
		}
		q.ring[(q.head+q.n)&(len(q.ring)-1)] = s
		q.n++
	}
	q.size.Store(int64(q.n))
	q.wake(len(list))
}

// wake wakes workers for n services, unless others look for one at this moment. With mu
// held.
func (q *queue) wake(n int) {
	n = min(n, q.parked) - int(q.looking.Load())
	for range min(n, q.parked-q.atDoor) {
		q.work.Signal()
	}
	if n > q.parked-q.atDoor {
		q.knock()
	}
}

// call sends a worker that parks, or is the next to do so, to the door. It reports whether one
// parks.
func (q *queue) call() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.called = true
	q.work.Signal()
	return q.parked > q.atDoor
}

// attends is called by whoever waits at the door, before and after a wait in the kernel.
func (q *queue) attends(parked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if parked {
		q.looking.Add(-1)
		q.atDoor, q.parked = 1, q.parked+1
		return
	}
	q.looking.Add(1)
	q.atDoor = 0
	q.leave()
}

// leave counts a worker that does not park any more. With mu held.
func (q *queue) leave() {
	q.parked--
	if !q.watched {
		q.watched = true
		q.busy.Signal()
	}
}

// relieve is called by who leaves the door. What has come meanwhile may have counted on
// that worker.
func (q *queue) relieve(hurry bool) {
	if q.size.Load() > 0 {
		q.mu.Lock()
		q.wake(q.n)
		q.mu.Unlock()
	}
	if hurry {
		q.call()
	}
}

func (q *queue) grow() {
	ring := make([]*service, 2*len(q.ring))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

// get takes the first service, or returns nil. Where many wait those that follow come
// into the end of more, in order.
func (q *queue) get(more *[maxAhead]*service) *service {
	if q.size.Load() == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.first()
	if more != nil && q.n >= manyWait*q.workers {
		for i := range more {
			more[i] = q.first()
		}
		q.taken -= maxAhead // they are not run yet: the watch goes by this
	}
	return s
}

// manyWait is how many services wait for each worker where it takes several.
const manyWait = 2 * maxAhead

func (q *queue) first() *service {
	if q.n == 0 {
		return nil
	}
	s := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.taken++
	q.size.Store(int64(q.n))
	return s
}

// glances is how often a worker looks before it parks: what comes next often
// comes soon.
const glances = 30

// glance waits a moment for a service.
func (q *queue) glance() *service {
	q.looking.Add(1)
	for range glances {
		if s := q.get(nil); s != nil {
			q.looking.Add(-1)
			if q.size.Load() > 0 { // what came meanwhile may have counted on this worker
				q.mu.Lock()
				q.wake(q.n)
				q.mu.Unlock()
			}
			return s
		}
		runtime.Gosched()
	}
	q.looking.Add(-1)
	return nil
}

// await returns the next service. It is nil when the worker is to go to the door, or to end: the
// queue is closed, or as many as usual park already.
func (q *queue) await(usual int) (s *service, ends bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 {
		if q.closed || q.parked >= usual {
			q.workers--
			return nil, true
		}
		if q.called {
			q.called = false
			return nil, false
		}
		q.parked++
		q.work.Wait()
		q.leave()
	}
	return q.first(), false
}

// close has all workers end that find nothing to do.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.shut.Store(true)
	q.knock()
	q.work.Broadcast()
	q.busy.Broadcast()
}
