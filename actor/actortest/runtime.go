// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// An Allowed is something that a test expects to happen, and that New does not fail
// it for.
type Allowed uint8

// What can be allowed.
const (
	AllowPanics      Allowed = iota // panics in handlers
	AllowFailures                   // errors that a handler returns and no caller gets
	AllowUndelivered                // messages that come back as actor.Undelivered
	AllowLeaks                      // goroutines that run on after the test
)

// closeTime is how long the services of a runtime may take to end.
const closeTime = 30 * time.Second

// New returns a runtime that is closed when the test and its subtests have ended. The
// test fails for each panic in a handler, for each error of a handler that no caller
// gets, for each message that was sent and not handled, for services that have not ended
// 30 s after they were told to, and for each goroutine that the test has begun after New, or
// that a handler has begun, and that still runs when the runtime is closed. What is in
// allowed is let pass. A handler that is stuck (actor.Config.Stuck) is logged with its stack.
//
// That services are ended by the end of the test is no failure: messages that wait then,
// and errors of handlers that are ended then, or were killed before, are not reported.
//
// The functions in cfg.Events are called as ever; they must not use t after the test has
// ended. Goroutines are told apart by a label of runtime/pprof that the calling one gets, so tests
// may run in parallel; labels that it had are lost. Cleanups that are registered after New run before
// the runtime is closed.
func New(t testing.TB, cfg actor.Config, allowed ...Allowed) *actor.Runtime {
	t.Helper()
	j := &judge{t: t, allowed: allowed}
	cfg.Events = j.events(cfg.Events)
	name := mark(t)
	rt := actor.New(cfg)
	t.Cleanup(func() {
		t.Helper()
		j.end(rt, name)
	})
	return rt
}

// A judge fails a test for what happens in its runtime.
type judge struct {
	t       testing.TB
	allowed []Allowed

	mu    sync.Mutex // guards what follows, and is held while t is told
	stage stage
}

// A stage is how far a test is.
type stage uint8

const (
	runs    stage = iota
	closing       // its services are ended
	over          // t must not be used
)

// report fails the test, unless what has happened is allowed. last is the last stage in which it
// counts.
func (j *judge) report(what Allowed, last stage, format string, args ...any) {
	if slices.Contains(j.allowed, what) {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stage <= last {
		j.t.Errorf(format, args...)
	}
}

// note tells the test something that is no failure.
func (j *judge) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stage < over {
		j.t.Logf(format, args...)
	}
}

func (j *judge) enter(s stage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stage = s
}

// events returns e with a look at what is not to happen before.
func (j *judge) events(e actor.Events) actor.Events {
	panicked, failed, stuck, undelivered := e.Panicked, e.Failed, e.Stuck, e.Undelivered
	e.Panicked = func(p actor.Panicked) {
		j.report(AllowPanics, closing, "%s panicked while it handled a %s from %s: %v\n%s", who(p.Service, p.Name), p.Message, sender(p.From), p.Err.Value, p.Err.Stack)
		if panicked != nil {
			panicked(p)
		}
	}
	e.Failed = func(f actor.Failed) {
		if !errors.Is(f.Err, actor.ErrStopped) && !isPanic(f.Err) {
			j.report(AllowFailures, runs, "%s returned an error that nobody gets, for a %s from %s: %v", who(f.Service, f.Name), f.Message, sender(f.From), f.Err)
		}
		if failed != nil {
			failed(f)
		}
	}
	e.Stuck = func(s actor.Stuck) {
		j.note("%s has handled a %s from %s for %v:\n%s", who(s.Service, s.Name), s.Message, sender(s.From), s.For, s.Stack)
		if stuck != nil {
			stuck(s)
		}
	}
	e.Undelivered = func(from actor.PID, u actor.Undelivered) {
		j.report(AllowUndelivered, runs, "a message from %s to %v was not handled: %s: %v", sender(from), u.To, describe(u.Value), u.Reason)
		if undelivered != nil {
			undelivered(from, u)
		}
	}
	return e
}

// isPanic reports whether err is a panic, which is an event of its own.
func isPanic(err error) bool {
	var p *actor.PanicError
	return errors.As(err, &p)
}

func who(p actor.PID, name string) string {
	if name == "" {
		return p.String()
	}
	return fmt.Sprintf("%s (%v)", name, p)
}

// end closes the runtime and looks what is left of the test.
func (j *judge) end(rt *actor.Runtime, name string) {
	j.t.Helper()
	defer j.enter(over)
	j.enter(closing)
	closed := make(chan struct{})
	go func() {
		rt.Close()
		close(closed)
	}()
	if !ends(closed) {
		j.t.Errorf("services have not ended %v after they were told to:\n%s", closeTime, left(rt, name))
		return
	}
	unmark()
	if slices.Contains(j.allowed, AllowLeaks) {
		return
	}
	if left := leaked(name); len(left) > 0 {
		j.t.Errorf("goroutines of the test still run:\n%s", strings.Join(left, "\n"))
	}
}

// ends reports whether closed is closed within closeTime, in which the machine does not stand still: a timer would
// count that, too.
func ends(closed <-chan struct{}) bool {
	const steps = 100
	for range steps {
		select {
		case <-closed:
			return true
		case <-time.After(closeTime / steps):
		}
	}
	return false
}

// left describes the services that have not ended, and where the goroutines of the test are.
func left(rt *actor.Runtime, name string) string {
	var b strings.Builder
	for _, s := range rt.Services() {
		if s.Kind == "service" {
			fmt.Fprintf(&b, "%s is %s, %d messages wait\n", who(s.PID, s.Name), s.State, s.Waiting)
		}
	}
	b.WriteString(strings.Join(labelled(name), "\n"))
	return b.String()
}
