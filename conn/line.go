// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A line is the handlers that wait at one side of something. The first is served, until it has
// all that it wants, or goes.
//
// A handler that waits has a call under way, to the keeper; whoever has something for it, the goroutine of a
// socket for example, answers that. Then the handler looks for itself, and takes. So what
// comes between is nobody's until it is taken, and nothing is lost when a wait ends early.
type line struct {
	mu       sync.Mutex // guards what follows, and what the line is about
	waiters  []*waiter
	deadline time.Time // zero: none
	timer    *time.Timer
}

// A want is what a handler waits for. Its methods are called with the line's mu held.
type want interface {
	ready() bool // take has something to do
	take()
}

// A waiter is a handler in a line.
type waiter struct {
	want
	line *line
	need int // bytes that have to be there at least, if that is known

	req    actor.Request // answers its call
	asleep bool          // req is one
	woken  bool          // it is to look again
}

// do takes what w wants when it is its turn, and waits until then. Errors: those of keeper.wait,
// os.ErrDeadlineExceeded; then nothing was taken. What is there already is taken without a wait, whatever
// the deadline.
func (l *line) do(c *actor.Context, k *keeper, w *waiter) error {
	w.line = l
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiters) == 0 && w.ready() {
		w.take()
		return nil
	}
	l.waiters = append(l.waiters, w)
	defer l.leave(w)
	for l.waiters[0] != w || !w.ready() {
		if !l.deadline.IsZero() && !time.Now().Before(l.deadline) {
			return os.ErrDeadlineExceeded
		}
		if err := l.sleep(c, k, w); err != nil {
			return err
		}
	}
	w.take()
	return nil
}

// sleep waits until w is woken, without mu.
func (l *line) sleep(c *actor.Context, k *keeper, w *waiter) error {
	w.woken = false
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		w.asleep = false
	}()
	return k.wait(c, w)
}

// when is a want of functions.
type when struct {
	is func() bool
	do func()
}

func (w *when) ready() bool { return w.is() }
func (w *when) take()       { w.do() }

// leave takes w out. What is left is for the next.
func (l *line) leave(w *waiter) {
	w.woken = true // its call may not have been seen yet
	i := slices.Index(l.waiters, w)
	l.waiters = slices.Delete(l.waiters, i, i+1)
	l.wake()
}

// wake has the first go on, if there is something for it. With mu held.
func (l *line) wake() {
	if len(l.waiters) > 0 && l.waiters[0].ready() {
		l.waiters[0].wake()
	}
}

// wakeAll has all look again. With mu held.
func (l *line) wakeAll() {
	for _, w := range l.waiters {
		w.wake()
	}
}

// wake answers the call that w waits in, or will. With mu held.
func (w *waiter) wake() {
	w.woken = true
	if w.asleep {
		w.asleep = false
		w.req.Reply(nil)
	}
}

// lie notes what answers the call of w. The keeper calls it, for it gets that call.
func (w *waiter) lie(req actor.Request) {
	w.line.mu.Lock()
	defer w.line.mu.Unlock()
	if w.woken {
		req.Reply(nil)
		return
	}
	w.req, w.asleep = req, true
}

// setDeadline has those that wait look at their time.
func (l *line) setDeadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if !t.IsZero() {
		l.timer = time.AfterFunc(time.Until(t), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.wakeAll()
		})
	}
}

// stopTimer lets go of the deadline's timer. With mu held.
func (l *line) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// empty reports whether nobody waits.
func (l *line) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiters) == 0
}
