// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

var errBad = errors.New("bad luck")

// start starts a service that handles messages with f.
func start(t testing.TB, rt *actor.Runtime, f func(c *actor.Context, m *actor.Message) error) actor.PID {
	t.Helper()
	p, err := rt.Start(t.Context(), actor.Spec{New: actor.Func(f)})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return p
}

// send sends v and waits until it is handled.
func send(t testing.TB, rt *actor.Runtime, p actor.PID, v any) {
	t.Helper()
	if err := rt.Send(t.Context(), p, v); err != nil {
		t.Fatalf("send: %v", err)
	}
	if err := rt.Stop(t.Context(), p); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

func TestNewReportsWhatGoesWrong(t *testing.T) {
	var block chan struct{} // ends what a test leaves behind
	leak := func() { <-block }
	tests := []struct {
		name    string
		allowed Allowed
		do      func(t testing.TB, rt *actor.Runtime)
		want    []string
	}{
		{"a panic in a call", AllowPanics, func(t testing.TB, rt *actor.Runtime) {
			p := start(t, rt, func(*actor.Context, *actor.Message) error { panic("no roof") })
			_, _ = rt.Call(t.Context(), p, 1)
		}, []string{"panicked while it handled a int", "no roof", "runtime_test.go"}},
		{"a panic without a caller", AllowPanics, func(t testing.TB, rt *actor.Runtime) {
			send(t, rt, start(t, rt, func(*actor.Context, *actor.Message) error { panic("no roof") }), 1)
		}, []string{"panicked", "from nobody", "no roof"}},
		{"an error that nobody gets", AllowFailures, func(t testing.TB, rt *actor.Runtime) {
			send(t, rt, start(t, rt, func(*actor.Context, *actor.Message) error { return errBad }), 1)
		}, []string{"nobody gets", "a int from nobody", "bad luck"}},
		{"a message to one that is killed", AllowUndelivered, killed, []string{"was not handled", `"too late"`, "from nobody"}},
		{"a goroutine of the test", AllowLeaks, func(testing.TB, *actor.Runtime) { go leak() },
			[]string{"still run", "1 at", "TestNewReportsWhatGoesWrong"}},
		{"a goroutine of a handler that has waited", AllowLeaks, func(t testing.TB, rt *actor.Runtime) {
			send(t, rt, start(t, rt, func(c *actor.Context, _ *actor.Message) error {
				err := c.Sleep(time.Millisecond)
				go leak()
				return err
			}), 1)
		}, []string{"still run", "1 at", "TestNewReportsWhatGoesWrong"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block = make(chan struct{})
				defer close(block)
				fake(t, func(t testing.TB) { test.do(t, New(t, actor.Config{})) }).wants(t, test.want...)
				fake(t, func(t testing.TB) { test.do(t, New(t, actor.Config{}, test.allowed)) }).wants(t)
			})
		})
	}
}

// killed kills a service that has one message left.
func killed(t testing.TB, rt *actor.Runtime) {
	busy, goOn := make(chan struct{}), make(chan struct{})
	p := start(t, rt, func(*actor.Context, *actor.Message) error {
		close(busy)
		<-goOn
		return nil
	})
	_ = rt.Send(t.Context(), p, "first")
	<-busy
	_ = rt.Send(t.Context(), p, "too late")
	_ = rt.Kill(p)
	close(goOn)
	_ = rt.Stop(t.Context(), p) // returns when it has ended
}

func TestNewIsContent(t *testing.T) {
	testutil.NoLeaks(t)
	fake(t, func(t testing.TB) {
		rt := New(t, actor.Config{})
		sleeper := start(t, rt, func(c *actor.Context, _ *actor.Message) error { return c.Sleep(time.Hour) })
		if err := rt.Send(t.Context(), sleeper, "sleep"); err != nil {
			t.Errorf("send: %v", err)
		}
		failing := start(t, rt, func(*actor.Context, *actor.Message) error { return errBad })
		if _, err := rt.Call(t.Context(), failing, 1); !errors.Is(err, errBad) {
			t.Errorf("the caller got %v, want %v", err, errBad)
		}
		ended := make(chan struct{})
		go close(ended)
		<-ended
	}).wants(t)
}

// What waits at the end of the test is the end's fault.
func TestEndOfTheTestIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake(t, func(t testing.TB) {
			rt := New(t, actor.Config{})
			p := start(t, rt, func(*actor.Context, *actor.Message) error {
				time.Sleep(time.Second) // keeps the next one waiting
				return errBad
			})
			for range 2 {
				if err := rt.Send(t.Context(), p, 1); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		}).wants(t)
	})
}

func TestAHandlerThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		fake(t, func(t testing.TB) {
			rt := New(t, actor.Config{})
			p := start(t, rt, func(*actor.Context, *actor.Message) error {
				<-goOn
				return nil
			})
			if err := rt.Send(t.Context(), p, 1); err != nil {
				t.Errorf("send: %v", err)
			}
			synctest.Wait() // it is handled
		}).wants(t, "services have not ended 30s", " is ending, 0 messages wait", "TestAHandlerThatDoesNotEnd")
		close(goOn)
		time.Sleep(time.Second) // the runtime ends now
	})
}

// A handler that panics after New has given up must not touch the test any more.
func TestNothingIsReportedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		inner := fake(t, func(t testing.TB) {
			rt := New(t, actor.Config{})
			p := start(t, rt, func(*actor.Context, *actor.Message) error {
				<-goOn
				panic("late")
			})
			if err := rt.Send(t.Context(), p, 1); err != nil {
				t.Errorf("send: %v", err)
			}
			synctest.Wait() // it is handled
		})
		close(goOn)
		time.Sleep(time.Second) // the runtime ends now
		inner.wants(t, "have not ended")
	})
}

// A runtime may be closed by the test itself.
func TestClosedByTheTest(t *testing.T) {
	fake(t, func(t testing.TB) {
		rt := New(t, actor.Config{})
		NewProbe(t, rt)
		rt.Close()
	}).wants(t)
}

func TestEventsAreStillCalled(t *testing.T) {
	var panics, failures, undelivered, ends atomic.Int32
	fake(t, func(t testing.TB) {
		rt := New(t, actor.Config{Events: actor.Events{
			Panicked:    func(actor.Panicked) { panics.Add(1) },
			Failed:      func(actor.Failed) { failures.Add(1) },
			Undelivered: func(actor.PID, actor.Undelivered) { undelivered.Add(1) },
			Ended:       func(actor.Down) { ends.Add(1) },
		}}, AllowPanics, AllowFailures, AllowUndelivered)
		send(t, rt, start(t, rt, func(*actor.Context, *actor.Message) error { panic(1) }), 1)
		send(t, rt, start(t, rt, func(*actor.Context, *actor.Message) error { return errBad }), 1)
		killed(t, rt)
	}).wants(t)
	if panics.Load() != 1 || failures.Load() < 1 || undelivered.Load() != 1 || ends.Load() != 3 {
		t.Errorf("heard of %d panics, %d failures, %d messages, %d ends; want 1, at least 1, 1, 3",
			panics.Load(), failures.Load(), undelivered.Load(), ends.Load())
	}
}

// Tests that run at the same time do not see each other's goroutines.
func TestLeaksOfOneTestAreItsOwn(t *testing.T) {
	goOn := make(chan struct{})
	leaking := make(chan struct{})
	done := make(chan *fakeT)
	go func() {
		done <- fake(t, func(t testing.TB) {
			New(t, actor.Config{})
			go func() { <-goOn }()
			close(leaking)
			<-goOn
		})
	}()
	<-leaking
	fake(t, func(t testing.TB) { New(t, actor.Config{}) }).wants(t)
	close(goOn)
	(<-done).wants(t)
}
