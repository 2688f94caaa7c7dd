// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A handler's Ctx ends with who waits for it, and says why.
func TestCtxEnds(t *testing.T) {
	giveUp := func(after time.Duration) func(t *testing.T, rt *Runtime, p PID) {
		return func(t *testing.T, rt *Runtime, p PID) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			if _, err := rt.Call(ctx, p, 0); !errors.Is(err, context.Canceled) {
				t.Errorf("the call: %v", err)
			}
		}
	}
	handler := func(f func(c *Context, p PID)) func(t *testing.T, rt *Runtime, p PID) {
		return func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, start(t, rt, Spec{Name: "caller", New: Func(func(c *Context, _ *Message) error { f(c, p); return nil })}), 0)
		}
	}
	for name, c := range map[string]struct {
		call  func(t *testing.T, rt *Runtime, p PID)
		cause error
		after time.Duration
	}{
		"the deadline of a goroutine": {func(_ *testing.T, rt *Runtime, p PID) { _, _ = rt.CallTimeout(time.Minute, p, 0) }, context.DeadlineExceeded, time.Minute},
		"a goroutine gives up":        {giveUp(time.Second), ErrGivenUp, time.Second},
		"given up before it begins":   {giveUp(time.Microsecond / 2), ErrGivenUp, time.Microsecond},
		"the deadline of a handler":   {handler(func(c *Context, p PID) { _, _ = c.CallTimeout(time.Minute, p, 0) }), context.DeadlineExceeded, time.Minute},
		"a handler gives up": {handler(func(c *Context, p PID) {
			ctx, cancel := context.WithCancel(context.Background())
			c.After(time.Second, func(*Context) { cancel() })
			_, _ = c.CallContext(ctx, p, 0)
		}), ErrGivenUp, time.Second},
		"the caller is killed": {func(t *testing.T, rt *Runtime, p PID) {
			handler(func(c *Context, p PID) { _, _ = c.Call(p, 0) })(t, rt, p)
			time.Sleep(time.Second)
			who, _ := rt.Lookup("caller")
			if err := rt.Kill(who); err != nil {
				t.Error(err)
			}
		}, ErrGivenUp, time.Second},
		"the service is killed": {func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, p, 0)
			time.Sleep(time.Second)
			if err := rt.Kill(p); err != nil {
				t.Error(err)
			}
		}, ErrStopped, time.Second},
		"the service fails": {func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, p, 0)
			time.Sleep(time.Second)
			if err := rt.Fail(p, errWhim); err != nil {
				t.Error(err)
			}
		}, ErrStopped, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Workers: 2}) // one stands still in the handler, and others come only after a while
				began := time.Now()
				var causes log[error]
				p := serve(t, rt, func(c *Context, m *Message) error {
					if m.Value == "hold" { // the next one waits in the mailbox
						time.Sleep(time.Microsecond)
						return nil
					}
					<-c.Ctx().Done() // as a database would
					causes.add(context.Cause(c.Ctx()))
					return nil
				})
				send(t, rt, p, "hold")
				c.call(t, rt, p)
				synctest.Wait()
				time.Sleep(c.after - time.Since(began) + time.Nanosecond)
				synctest.Wait()
				if got := causes.all(); len(got) != 1 || !errors.Is(got[0], c.cause) {
					t.Errorf("it ended of %v, want %v", got, c.cause)
				}
				checkForgotten(t, rt)
			})
		})
	}
}

// checkForgotten checks that no context is kept.
func checkForgotten(t *testing.T, rt *Runtime) {
	t.Helper()
	rt.handlings.mu.Lock()
	defer rt.handlings.mu.Unlock()
	if n := len(rt.handlings.all); n != 0 {
		t.Errorf("%d contexts of requests are kept", n)
	}
	rt.table.each(func(s *service) bool {
		if s.extra != nil && len(s.extra.handlings) > 0 {
			t.Errorf("service %v keeps %d contexts", s.pid(), len(s.extra.handlings))
		}
		return true
	})
}

// It is over for those that still have it after the handler has returned, whether they have asked
// before or not; where the answer comes later, after that.
func TestCtxIsOverWithTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var kept []context.Context
		var owed []Request
		p := serve(t, rt, func(c *Context, m *Message) error {
			ctx := c.Ctx()
			if m.Value.(bool) {
				if ctx.Err() != nil || ctx != c.Ctx() {
					t.Errorf("while it handles: %v", ctx.Err())
				}
			}
			kept = append(kept, ctx)
			if len(kept) <= 2 {
				return c.Reply(nil)
			}
			r, err := c.Later()
			owed = append(owed, r)
			return err
		})
		for _, asked := range []bool{true, false} {
			call(t, rt, p, asked)
		}
		for i, ctx := range kept {
			if <-ctx.Done(); !errors.Is(context.Cause(ctx), errHandled) {
				t.Errorf("%d is over of %v", i, context.Cause(ctx))
			}
		}
		go func() { _, _ = rt.Call(t.Context(), p, true) }()
		synctest.Wait()
		if err := kept[2].Err(); err != nil {
			t.Errorf("before the answer: %v", err)
		}
		owed[0].Reply(nil)
		if kept[2].Err() == nil {
			t.Error("it is not over after the answer")
		}
		checkForgotten(t, rt)
	})
}

// A context that is made of a handler's ends with that, at once and without a goroutine of its own, and a wait that is given it does.
func TestContextsOfCtx(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		never := serve(t, rt, func(c *Context, _ *Message) error { return c.Wait("nothing") })
		var got error
		p := serve(t, rt, func(c *Context, _ *Message) error {
			ctx, cancel := context.WithCancel(context.WithValue(c.Ctx(), traceKey{}, NewTrace()))
			defer cancel()
			_, got = c.CallContext(ctx, never, 0)
			return got
		})
		if _, err := rt.CallTimeout(time.Second, p, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("the call within ended of %v", got)
		}
		checkForgotten(t, rt)
	})
}

// Of requests that are given up before anybody has asked for their context a bounded number is kept, the newest.
func TestEarlyCancelsAreBounded(t *testing.T) {
	var a handlings
	const n = 3*earlyMost + 7
	for i := range uint64(n) {
		if a.find(quitted{session: i}) != nil {
			t.Fatal("found one that is not there")
		}
	}
	if len(a.early) != earlyMost || len(a.line) != earlyMost {
		t.Errorf("%d are kept, in a line of %d; want %d", len(a.early), len(a.line), earlyMost)
	}
	for i, want := range map[uint64]bool{0: false, n - earlyMost - 1: false, n - earlyMost: true, n - 1: true} {
		if got := a.add(&handling{session: i}); got != want {
			t.Errorf("that %d is given up is %v, want %v", i, got, want)
		}
	}
}
