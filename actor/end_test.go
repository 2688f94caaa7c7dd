// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// What waits for a service when it ends goes back: a call gets an error, a message
// comes back, and the event tells of what no service has sent.
func TestMailboxBouncesWhenItsServiceEnds(t *testing.T) {
	for _, end := range []struct {
		what string
		f    func(c *Context)
		is   error
	}{
		{"killed", func(c *Context) { _ = c.Runtime().Kill(c.Self()) }, ErrNoService},
		{"exits", func(c *Context) { c.Exit(nil) }, ErrNoService},
		{"panics", func(*Context) { panic(errWhim) }, ErrNoService},
	} {
		for _, n := range []int{1, 2, 40, 500} {
			t.Run(fmt.Sprintf("%s with %d", end.what, n), func(t *testing.T) {
				bubble(t, func(t *testing.T) { bounces(t, n, end.f) })
			})
		}
	}
}

func bounces(t *testing.T, n int, end func(*Context)) {
	var h happened
	rt := newRuntime(t, Config{Events: h.events()})
	release := make(chan struct{})
	p := start(t, rt, Spec{OnPanic: Fail, New: Func(func(c *Context, m *Message) error {
		if m.Value != "end" {
			t.Errorf("handled %v", m.Value)
		}
		<-release
		end(c)
		return nil
	})})
	var back, failed log[any]
	sender := serve(t, rt, func(c *Context, m *Message) error {
		switch v := m.Value.(type) {
		case Undelivered:
			if m.Kind != KindBounce || m.From != p || v.To != p || v.Kind != KindUser || !errors.Is(v.Reason, ErrNoService) {
				t.Errorf("bounced: %+v of kind %v", v, m.Kind)
			}
			back.add(v.Value)
		case int:
			c.Fork(func(c *Context) {
				if _, err := c.Call(p, v); errors.Is(err, ErrNoService) {
					failed.add(v)
				}
			})
			return c.SendKind(p, KindUser, v)
		}
		return nil
	})
	send(t, rt, p, "end")
	synctest.Wait()
	want := make([]any, n)
	for i := range n {
		want[i] = i
		send(t, rt, sender, i)
		send(t, rt, p, -1)
	}
	synctest.Wait()
	close(release)
	checkFree(t, rt)
	check(t, "messages that came back", &back, want...)
	if failed.len() != n {
		t.Errorf("%d of %d calls have failed", failed.len(), n)
	}
	own := 0
	for _, l := range h.undelivered.all() {
		if l.from.IsZero() && l.u.Value == -1 && l.u.To == p {
			own++
		}
	}
	if own != n || h.undelivered.len() != 2*n {
		t.Errorf("%d messages are reported, %d of them the goroutine's; want %d, %d", h.undelivered.len(), own, 2*n, n)
	}
}

func TestPanicIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		p := start(t, rt, Spec{Name: "frail", New: Func(func(c *Context, m *Message) error {
			if m.Value == (crash{}) {
				panic(errWhim)
			}
			return c.Reply(m.Value)
		})})
		by := inHandler(t, rt, (*Context).Call)
		_, err := by(p, crash{})
		var panicked *PanicError
		if !errors.As(err, &panicked) || panicked.Value != any(errWhim) || !errors.Is(err, errWhim) || len(panicked.Stack) == 0 {
			t.Errorf("error %v, want a PanicError with a stack", err)
		}
		if v := call(t, rt, p, 1); v != 1 {
			t.Errorf("after the panic: %v", v)
		}
		list := h.panicked.all()
		if len(list) != 1 || list[0].Service != p || list[0].Name != "frail" || list[0].Message != "actor.crash" || list[0].From.IsZero() || list[0].Err != panicked {
			t.Errorf("panicked: %+v", list)
		}
		if h.failed.len()+h.ended.len() > 0 {
			t.Errorf("failed: %v, ended: %v", h.failed.all(), h.ended.all())
		}
	})
}

func TestErrorThatNoCallerGetsIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		p := start(t, rt, Spec{Name: "frail", New: Func(func(c *Context, m *Message) error {
			if _, ok := m.Value.(leave); ok {
				runtime.Goexit()
			}
			if m.IsCall() {
				_ = c.Reply(1)
			}
			return errWhim
		})})
		send(t, rt, p, refuse{})
		call(t, rt, p, refuse{})
		send(t, rt, p, leave{})
		synctest.Wait()
		var errs log[error]
		for _, f := range h.failed.all() {
			if f.Service != p || f.Name != "frail" || f.Message == "" {
				t.Errorf("failed: %+v", f)
			}
			errs.add(f.Err)
		}
		check(t, "failed", &errs, errWhim, errWhim, ErrGoexit)
		if st := rt.Stats(); st.Failed != 3 || st.Panics != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Goexit, as of a test's FailNow, ends a worker's goroutine. Another one follows it, also
// when all of them do that again and again.
func TestGoexitAgainAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 2})
		var defers log[int]
		p := serve(t, rt, func(c *Context, m *Message) error {
			n := m.Value.(int)
			defer defers.add(n)
			if n%2 == 0 {
				_ = c.Yield()
			}
			runtime.Goexit()
			return nil
		})
		for i := range 200 {
			if _, err := rt.Call(t.Context(), p, i); !errors.Is(err, ErrGoexit) {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		synctest.Wait()
		if st := rt.Stats(); defers.len() != 200 || st.Workers != 2 || st.Contexts > 4 {
			t.Errorf("%d deferred functions have run; %+v", defers.len(), st)
		}
	})
}

func TestStopHook(t *testing.T) {
	for _, c := range []struct {
		what string
		hook func(c *Context, other PID) error
		is   error
	}{
		{"sends", func(c *Context, other PID) error { return c.Send(other, "farewell") }, nil},
		{"calls", func(c *Context, other PID) error { _, err := c.Call(other, 1); return err }, ErrStopped},
		{"sleeps", func(c *Context, _ PID) error { return c.Sleep(time.Hour) }, ErrStopped},
		{"sends to itself", func(c *Context, _ PID) error { return c.Send(c.Self(), 1) }, ErrNoService},
		{"starts one", func(c *Context, _ PID) error { _, err := c.Spawn(Spec{Name: "heir", New: Func(echo)}); return err }, nil},
		{"exits again", func(c *Context, _ PID) error { c.Exit(errWhim); return nil }, nil},
		{"panics", func(*Context, PID) error { panic(errWhim) }, nil},
		{"calls Goexit", func(*Context, PID) error { runtime.Goexit(); return nil }, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events(), Workers: 1})
				var got log[any]
				other := serve(t, rt, func(_ *Context, m *Message) error { got.add(m.Value); return nil })
				p := start(t, rt, Spec{Name: "it", New: (&probe{stop: func(ctx *Context, _ error) {
					if err := c.hook(ctx, other); !errors.Is(err, c.is) {
						t.Errorf("error %v, want %v", err, c.is)
					}
				}}).new})
				if err := rt.Stop(t.Context(), p); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				_, heir := rt.Lookup("heir")
				if heir != (c.what == "starts one") || (got.len() == 1) != (c.what == "sends") || (h.panicked.len() == 1) != (c.what == "panics") {
					t.Errorf("heir: %v; the other got %v; panicked: %v", heir, got.all(), h.panicked.all())
				}
				if h.ended.len() != 1 {
					t.Errorf("ended: %v", h.ended.all())
				}
				checkFree(t, rt)
			})
		})
	}
}

// A service that fails and is killed, or stopped, before it rests does not start again.
func TestKilledWhileItFails(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(t *testing.T, rt *Runtime, p PID)
	}{
		{"kill", func(_ *testing.T, rt *Runtime, p PID) { _ = rt.Kill(p) }},
		{"stop", func(t *testing.T, rt *Runtime, p PID) { go func() { _ = rt.Stop(t.Context(), p) }() }},
		{"shutdown", func(t *testing.T, rt *Runtime, _ PID) { go func() { _ = rt.Shutdown(t.Context()) }() }},
		{"close", func(_ *testing.T, rt *Runtime, _ PID) { go rt.Close() }},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events()})
				stops, release := make(chan struct{}), make(chan struct{})
				p := start(t, rt, Spec{OnPanic: Fail, Restart: Restart{When: Always}, New: (&probe{
					handle: func(*Context, *Message) error { panic(errWhim) },
					stop:   func(*Context, error) { close(stops); <-release },
				}).new})
				send(t, rt, p, 1)
				<-stops
				c.end(t, rt, p)
				synctest.Wait()
				close(release)
				time.Sleep(time.Minute)
				if h.restarting.len() > 0 || h.ended.len() != 1 {
					t.Errorf("restarting: %v, ended: %v", h.restarting.all(), h.ended.all())
				}
				if _, ok := rt.Info(p); ok {
					t.Error("the service is still there")
				}
			})
		})
	}
}
