// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestCallThatIsGivenUp(t *testing.T) {
	timeout := func(c *Context, p PID, v any) (any, error) { return c.CallTimeout(time.Minute, p, v) }
	for _, c := range []struct {
		what string
		call func(t *testing.T, rt *Runtime) caller
		is   error
	}{
		{"CallTimeout of a handler", func(t *testing.T, rt *Runtime) caller { return inHandler(t, rt, timeout) }, context.DeadlineExceeded},
		{"AskTimeout", func(t *testing.T, rt *Runtime) caller {
			return inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return AskTimeout[int](c, time.Minute, p, v) })
		}, context.DeadlineExceeded},
		{"CallContext of a handler", func(t *testing.T, rt *Runtime) caller {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(errWhim) })
			return inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return c.CallContext(ctx, p, v) })
		}, errWhim},
		{"Call of a goroutine", func(t *testing.T, rt *Runtime) caller {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(errWhim) })
			return func(p PID, v any) (any, error) { return rt.Call(ctx, p, v) }
		}, errWhim},
		{"CallTimeout of a goroutine", func(_ *testing.T, rt *Runtime) caller {
			return func(p PID, v any) (any, error) { return rt.CallTimeout(time.Minute, p, v) }
		}, context.DeadlineExceeded},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				call, begin := c.call(t, rt), time.Now()
				p := serve(t, rt, func(c *Context, m *Message) error {
					_ = c.Sleep(m.Value.(time.Duration))
					return c.Reply(1)
				})
				if v, err := call(p, time.Duration(0)); v != 1 || err != nil {
					t.Errorf("an answer in time: %v, %v", v, err)
				}
				if v, err := call(p, time.Hour); !errors.Is(err, c.is) || v != nil && v != 0 {
					t.Errorf("no answer in time: %v, %v; want %v", v, err, c.is)
				}
				if d := time.Since(begin); d != time.Minute {
					t.Errorf("given up after %v, want 1m", d)
				}
				if st := rt.Stats(); st.Late != 0 {
					t.Errorf("%d late answers, want none yet", st.Late)
				}
				if time.Sleep(time.Hour); rt.Stats().Late != 1 {
					t.Errorf("%d late answers, want 1", rt.Stats().Late)
				}
				checkFree(t, rt)
				if n := rt.Stats().Timers; n != 0 {
					t.Errorf("%d timers are pending", n)
				}
			})
		})
	}
}

func TestCallInAContextThatIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errWhim)
		p := serve(t, rt, func(*Context, *Message) error { t.Error("it was called"); return nil })
		if _, err := rt.Call(ctx, p, 1); !errors.Is(err, errWhim) {
			t.Errorf("a goroutine: %v", err)
		}
		byHandler := inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return c.CallContext(ctx, p, v) })
		if _, err := byHandler(p, 1); !errors.Is(err, errWhim) {
			t.Errorf("a handler: %v", err)
		}
		if _, err := rt.CallTimeout(0, p, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no time at all: %v", err)
		}
	})
}

// An answer that comes at the very moment when the wait is over is either taken, or
// counted as late.
func TestAnswerAtTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := serve(t, rt, func(c *Context, _ *Message) error {
			_ = c.Sleep(time.Second)
			return c.Reply(1)
		})
		byHandler := inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return c.CallTimeout(time.Second, p, v) })
		given := uint64(0)
		for range 200 {
			if v, err := byHandler(p, 1); err != nil {
				given++
			} else if v != 1 {
				t.Fatalf("answer %v", v)
			}
		}
		time.Sleep(time.Minute)
		if n := rt.Stats().Late; n != given {
			t.Errorf("%d late answers, but %d calls were given up", n, given)
		}
		checkFree(t, rt)
	})
}
