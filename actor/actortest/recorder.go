// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/actor"
)

// A Recorder notes what happens to services in the order in which it happens, and
// prints it when the test ends and has failed. All methods may be called by any
// goroutine.
type Recorder struct {
	mu  sync.Mutex
	log log
}

// NewRecorder returns a recorder. Its time begins now. Made before New it also prints
// what the end of the runtime makes the services do.
func NewRecorder(t testing.TB) *Recorder {
	t.Helper()
	r := &Recorder{log: newLog()}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			t.Logf("what was recorded:\n%s", r)
		}
	})
	return r
}

// Wrap returns a function for Spec.New whose handlers do what those of newHandler do, and are
// recorded under name: each start, message, panic and end. A message is noted when
// its handler begins; how it ended is added later.
//
// A handler that has no Start of its own gets one that does nothing.
func (r *Recorder) Wrap(name string, newHandler func() actor.Handler) func() actor.Handler {
	return func() actor.Handler {
		h := newHandler()
		if h == nil {
			return nil
		}
		return &recorded{r: r, name: name, h: h}
	}
}

// Tap starts a service in rt that notes what it gets under name, and passes it on to target: the
// sender stays the sender, and gets the answer from target. It is for services that the test
// does not start itself: give its PID to those that send. Errors: those of Runtime.Spawn.
func (r *Recorder) Tap(rt *actor.Runtime, name string, target actor.PID) (actor.PID, error) {
	return rt.Spawn(actor.Spec{
		New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			end := r.begin(&Entry{What: Passed, Service: c.Self(), Name: name, Message: *m})
			err := c.Redirect(target, m.Value)
			end(err, true)
			return err
		}),
		Mailbox: actor.Mailbox{Capacity: actor.Unbounded},
	})
}

// Entries returns what was recorded so far.
func (r *Recorder) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Entry, len(r.log.entries))
	for i, e := range r.log.entries {
		list[i] = *e
	}
	return list
}

// String returns the timeline: a line for each entry.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// begin notes e. end is for the end of the handler.
func (r *Recorder) begin(e *Entry) (end func(err error, returned bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.add(e)
	return func(err error, returned bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		e.Took = r.log.now() - e.At
		e.Err, e.Done, e.Panicked = err, true, !returned
	}
}

// recorded is a handler with its recorder.
type recorded struct {
	r    *Recorder
	name string
	h    actor.Handler
}

// Handle notes m before and after it is handled.
func (w *recorded) Handle(c *actor.Context, m *actor.Message) (err error) {
	end := w.r.begin(&Entry{Service: c.Self(), Name: w.name, Message: *m})
	returned := false
	defer func() { end(err, returned) }()
	err = w.h.Handle(c, m)
	returned = true
	return err
}

// Start notes a start.
func (w *recorded) Start(c *actor.Context) (err error) {
	end := w.r.begin(&Entry{What: Started, Service: c.Self(), Name: w.name})
	returned := false
	defer func() { end(err, returned) }()
	if s, ok := w.h.(actor.Starter); ok {
		err = s.Start(c)
	}
	returned = true
	return err
}

// Stop notes an end and its reason.
func (w *recorded) Stop(c *actor.Context, reason error) {
	end := w.r.begin(&Entry{What: Stopped, Service: c.Self(), Name: w.name})
	returned := false
	defer func() { end(reason, returned) }()
	if s, ok := w.h.(actor.Stopper); ok {
		s.Stop(c, reason)
	}
	returned = true
}

var (
	_ actor.Starter = (*recorded)(nil)
	_ actor.Stopper = (*recorded)(nil)
	_ fmt.Stringer  = (*Recorder)(nil)
)
