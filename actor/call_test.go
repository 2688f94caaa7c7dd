// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A caller is how a test calls a service.
type caller func(p PID, v any) (any, error)

// callers runs f with each way to call: as a goroutine, and as a handler.
func callers(t *testing.T, cfg Config, f func(t *testing.T, rt *Runtime, call caller)) {
	t.Helper()
	t.Run("goroutine", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, cfg)
			f(t, rt, func(p PID, v any) (any, error) { return rt.Call(t.Context(), p, v) })
		})
	})
	t.Run("handler", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, cfg)
			f(t, rt, inHandler(t, rt, (*Context).Call))
		})
	})
}

// inHandler returns what calls with f inside a handler.
func inHandler(t *testing.T, rt *Runtime, f func(*Context, PID, any) (any, error)) caller {
	type request struct {
		to PID
		v  any
	}
	type result struct {
		v   any
		err error
	}
	by := serve(t, rt, func(c *Context, m *Message) error {
		q := m.Value.(request)
		v, err := f(c, q.to, q.v)
		return c.Reply(result{v, err})
	})
	return func(p PID, v any) (any, error) {
		r := call(t, rt, by, request{p, v}).(result)
		return r.v, r.err
	}
}

func TestAnswerOfAHandler(t *testing.T) {
	for _, c := range []struct {
		what   string
		handle func(c *Context, m *Message) error
		want   any
		is     error
	}{
		{"replies", echo, 7, nil},
		{"replies nil", func(c *Context, _ *Message) error { return c.Reply(nil) }, nil, nil},
		{"replies, then fails", func(c *Context, _ *Message) error { _ = c.Reply(1); return errWhim }, 1, nil},
		{"replies, then panics", func(c *Context, _ *Message) error { _ = c.Reply(1); panic(errWhim) }, 1, nil},
		{"replies twice", func(c *Context, _ *Message) error {
			_ = c.Reply(1)
			if err := c.Reply(2); !errors.Is(err, ErrReplied) {
				return err
			}
			return c.Fail(errWhim)
		}, 1, nil},
		{"waits, then replies", func(c *Context, m *Message) error { _ = c.Sleep(time.Second); return c.Reply(m.Value) }, 7, nil},
		{"fails", func(c *Context, _ *Message) error { return c.Fail(errWhim) }, nil, errWhim},
		{"returns an error", func(*Context, *Message) error { return errWhim }, nil, errWhim},
		{"returns an error after a wait", func(c *Context, _ *Message) error { _ = c.Yield(); return errWhim }, nil, errWhim},
		{"panics", func(*Context, *Message) error { panic(errWhim) }, nil, errWhim},
		{"panics after a wait", func(c *Context, _ *Message) error { _ = c.Yield(); panic(errWhim) }, nil, errWhim},
		{"calls Goexit", func(*Context, *Message) error { runtime.Goexit(); return nil }, nil, ErrGoexit},
		{"calls Goexit after a wait", func(c *Context, _ *Message) error { _ = c.Yield(); runtime.Goexit(); return nil }, nil, ErrGoexit},
		{"forgets to reply", func(*Context, *Message) error { return nil }, nil, ErrNoReply},
		{"exits", func(c *Context, _ *Message) error { c.Exit(errWhim); return nil }, nil, ErrNoReply},
		{"exits, then replies", func(c *Context, m *Message) error { c.Exit(nil); return c.Reply(m.Value) }, 7, nil},
		{"waits when its service ends", func(c *Context, _ *Message) error {
			_ = c.Runtime().Kill(c.Self())
			return c.Sleep(time.Second)
		}, nil, ErrStopped},
	} {
		t.Run(c.what, func(t *testing.T) {
			callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
				p := serve(t, rt, c.handle)
				v, err := call(p, 7)
				if v != c.want || !errors.Is(err, c.is) || (err == nil) != (c.is == nil) {
					t.Errorf("answer %v, %v; want %v, %v", v, err, c.want, c.is)
				}
				if err != nil && !strings.HasPrefix(err.Error(), "call "+p.String()+": ") {
					t.Errorf("error %q does not name %v", err, p)
				}
				checkFree(t, rt)
			})
		})
	}
}

func TestCallOfNobodyFailsAtOnce(t *testing.T) {
	callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
		gone := serve(t, rt, echo)
		if err := rt.Stop(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, p := range []PID{{}, {Handle: 1 << 40}, {Handle: 12345}, {Handle: ^Handle(0)}, gone} {
			if v, err := call(p, 1); !errors.Is(err, ErrNoService) || v != nil {
				t.Errorf("call of %v: %v, %v", p, v, err)
			}
			if err := rt.Send(t.Context(), p, 1); !errors.Is(err, ErrNoService) {
				t.Errorf("send to %v: %v", p, err)
			}
		}
		if !time.Now().Equal(begin) {
			t.Error("time has passed")
		}
	})
}

func TestLaterIsAnsweredElsewhere(t *testing.T) {
	for _, c := range []struct {
		what   string
		answer func(r Request)
		want   any
		is     error
	}{
		{"with a value", func(r Request) { r.Reply(1) }, 1, nil},
		{"with an error", func(r Request) { r.Fail(errWhim) }, nil, errWhim},
		{"twice", func(r Request) { r.Reply(1); r.Fail(errWhim) }, 1, nil},
		{"by two goroutines", func(r Request) { go r.Reply(1); go r.Reply(1) }, 1, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
				requests := make(chan Request, 1)
				p := serve(t, rt, func(c *Context, m *Message) error {
					r, err := c.Later()
					if err != nil || r.From() != m.From {
						return c.Fail(errors.New("no request"))
					}
					if err := c.Reply(2); !errors.Is(err, ErrReplied) {
						t.Errorf("reply after Later: %v", err)
					}
					if _, err := c.Later(); !errors.Is(err, ErrReplied) {
						t.Errorf("a second Later: %v", err)
					}
					requests <- r
					return nil
				})
				go func() { c.answer(<-requests) }()
				v, err := call(p, 7)
				if v != c.want || !errors.Is(err, c.is) || (err == nil) != (c.is == nil) {
					t.Errorf("answer %v, %v; want %v, %v", v, err, c.want, c.is)
				}
				synctest.Wait()
				if n := rt.Stats().Late; n != uint64(strings.Count("twice by two goroutines", c.what)) {
					t.Errorf("%d late answers", n)
				}
			})
		})
	}
}

func TestMessageIsNoRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var errs log[error]
		p := serve(t, rt, func(c *Context, m *Message) error {
			errs.add(c.Reply(1))
			errs.add(c.Fail(errWhim))
			_, err := c.Later()
			errs.add(err)
			if m.IsCall() || m != c.Message() || !m.From.IsZero() {
				t.Errorf("message %+v", m)
			}
			return nil
		})
		send(t, rt, p, 1)
		synctest.Wait()
		check(t, "errors", &errs, ErrReplied, ErrReplied, ErrReplied)
	})
}

func TestRedirect(t *testing.T) {
	callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
		last := serve(t, rt, func(c *Context, m *Message) error { return c.Reply([]any{m.Value, m.From}) })
		full := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 1}, New: Func(func(c *Context, m *Message) error {
			_ = c.Sleep(time.Second)
			return c.Reply([]any{m.Value, m.From})
		})})
		send(t, rt, full, 0, 0, 0)
		middle := serve(t, rt, func(c *Context, m *Message) error {
			err := c.Redirect(m.Value.(PID), "passed on")
			if err == nil {
				if err := c.Redirect(last, 1); m.IsCall() && !errors.Is(err, ErrReplied) {
					t.Errorf("a second redirect: %v", err)
				}
			}
			return err
		})
		direct, err := call(last, "passed on")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []PID{last, full} {
			v, err := call(middle, p)
			if err != nil {
				t.Fatalf("redirected to %v: %v", p, err)
			}
			if got, want := v.([]any), direct.([]any); got[0] != want[0] || got[1] != want[1] {
				t.Errorf("redirected to %v: %v, want %v", p, got, want)
			}
		}
		if _, err := call(middle, PID{Handle: 99}); !errors.Is(err, ErrNoService) {
			t.Errorf("redirected to nobody: %v", err)
		}
	})
}

func TestRedirectOfWhatIsNoRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		var got log[any]
		last := serve(t, rt, func(_ *Context, m *Message) error { got.add(m.Value); return nil })
		middle := serve(t, rt, func(c *Context, m *Message) error {
			if m.Value == "all" { // in a message, a fork and a timer
				c.Fork(func(c *Context) { _ = c.Redirect(last, "from a fork") })
				c.After(time.Second, func(c *Context) { _ = c.Redirect(last, "from a timer") })
				c.Tick(2*time.Second, "tick")
			}
			return c.Redirect(last, m.Value)
		})
		send(t, rt, middle, "all")
		time.Sleep(time.Minute)
		synctest.Wait()
		check(t, "redirected", &got, any("all"), "from a fork", "from a timer", "tick")
		if h.panicked.len()+h.failed.len() > 0 {
			t.Errorf("panicked: %v, failed: %v", h.panicked.all(), h.failed.all())
		}
	})
}

func TestStartMayBeRedirected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		judge := serve(t, rt, func(c *Context, m *Message) error {
			if m.Value == "good" {
				return c.Reply(nil)
			}
			return errWhim
		})
		for _, v := range []string{"good", "bad"} {
			_, err := rt.Start(t.Context(), Spec{New: (&probe{start: func(c *Context) error { return c.Redirect(judge, v) }}).new})
			if (err == nil) != (v == "good") || err != nil && !errors.Is(err, errWhim) {
				t.Errorf("%s: %v", v, err)
			}
		}
	})
}
