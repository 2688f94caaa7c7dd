// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"os"
	"sync"

	"github.com/skybus-io/skybus/internal/sys"
)

// readiness tells event loops that the inbox has something: one goroutine waits
// for the bell, signals, and then rests until a receive has found the inbox empty.
type readiness struct {
	e      *Endpoint
	notify chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex // guards the next two
	event *os.File   // eventfd, nil until asked for
	armed chan struct{}
}

// Ready returns a channel that gets a value when messages may wait. It gets the
// next one only after a receive has returned ErrEmpty, so a loop drains the
// inbox by TryRecv until that. The last value comes with Close, and TryRecv then
// says so; the channel is never closed.
func (e *Endpoint) Ready() <-chan struct{} {
	r := e.readiness()
	if r == nil {
		over := make(chan struct{}, 1)
		over <- struct{}{}
		return over
	}
	return r.notify
}

// EventFD returns a file whose descriptor polls as readable when messages may
// wait, for epoll loops. It counts as an eventfd does: read it to reset it, then
// TryRecv until ErrEmpty. It belongs to the endpoint and is closed with it.
func (e *Endpoint) EventFD() (*os.File, error) {
	r := e.readiness()
	if r == nil {
		return nil, e.closedErr()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.event == nil {
		f, err := sys.Eventfd()
		if err != nil {
			return nil, err
		}
		r.event = f
		r.signalLocked() // something may wait already
	}
	return r.event, nil
}

// readiness starts the goroutine at the first use; nil when closed.
func (e *Endpoint) readiness() *readiness {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if e.drain == nil || e.closed.Load() {
		return nil
	}
	if e.ready == nil {
		ctx, cancel := context.WithCancel(context.Background())
		r := &readiness{
			e: e, cancel: cancel, done: make(chan struct{}),
			notify: make(chan struct{}, 1), armed: make(chan struct{}, 1),
		}
		e.ready = r
		go r.run(ctx)
	}
	return e.ready
}

func (r *readiness) run(ctx context.Context) {
	defer close(r.done)
	w := waiter{e: r.e, ctx: ctx, mode: WaitPark}
	defer w.done()
	ready := func() bool { return r.e.look(0) }
	for {
		for !ready() {
			if w.wait(ready, r.e.park.sleep, r.e.park.awake) != nil {
				return
			}
			r.e.upkeep()
		}
		select {
		case <-r.armed: // by a receive before this signal
		default:
		}
		r.signal()
		select {
		case <-r.armed:
		case <-ctx.Done():
			return
		}
	}
}

func (r *readiness) signal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signalLocked()
}

func (r *readiness) signalLocked() {
	select {
	case r.notify <- struct{}{}:
	default:
	}
	if r.event != nil {
		_, _ = r.event.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only when the count is full: it is readable then
	}
}

// rearm is called when the inbox was found empty. r may be nil.
func (r *readiness) rearm() {
	if r == nil {
		return
	}
	select {
	case r.armed <- struct{}{}:
	default:
	}
}

// close ends the goroutine and the eventfd.
func (r *readiness) close() {
	r.cancel()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signalLocked()
	if r.event != nil {
		r.event.Close()
		r.event = nil
	}
}
