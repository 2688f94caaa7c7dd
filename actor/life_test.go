// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errWhim = errors.New("a whim")

func TestStartRefusesWhatCannotBe(t *testing.T) {
	rt := newRuntime(t, Config{})
	start(t, rt, Spec{Name: "taken", New: Func(echo)})
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errWhim)
	waits := &probe{start: func(c *Context) error { return c.Wait("nobody") }}
	for _, c := range []struct {
		what string
		ctx  context.Context
		spec Spec
		is   error
		text string
	}{
		{"no New", t.Context(), Spec{}, errHandler, "Spec.New"},
		{"a nil handler", t.Context(), Spec{New: func() Handler { return nil }}, errHandler, "Spec.New"},
		{"a New that panics", t.Context(), Spec{Name: "p", New: func() Handler { panic(errWhim) }}, errWhim, "panic: a whim"},
		{"a name that is taken", t.Context(), Spec{Name: "taken", New: Func(echo)}, ErrNameTaken, `"taken"`},
		{"a name with a space", t.Context(), Spec{Name: "a b", New: Func(echo)}, nil, `"a b"`},
		{"a weight too small", t.Context(), Spec{New: Func(echo), Weight: -1}, nil, "weight -1"},
		{"a weight too large", t.Context(), Spec{New: Func(echo), Weight: 256}, nil, "weight 256"},
		{"a Start that fails", t.Context(), Spec{New: (&probe{start: func(*Context) error { return errWhim }}).new}, errWhim, "start :"},
		{"a context that is over", over, Spec{Name: "late", New: waits.new}, errWhim, "start late (:"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p, err := rt.Start(c.ctx, c.spec)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.is, c.text)
			}
			if !p.IsZero() {
				t.Errorf("PID %v of a service that has not started", p)
			}
			inside := serve(t, rt, func(ctx *Context, _ *Message) error {
				p, err := ctx.Spawn(c.spec)
				if c.ctx.Err() == nil && !strings.HasPrefix(c.what, "a Start") && (err == nil || !p.IsZero()) {
					t.Errorf("Spawn inside a handler: %v, %v", p, err)
				}
				if err == nil {
					_ = rt.Kill(p)
				}
				return ctx.Reply(nil)
			})
			call(t, rt, inside, 0)
		})
	}
}

func TestStartReturnsWhenTheHandlersStartHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		begin := time.Now()
		var steps log[string]
		slow := &probe{
			start:  func(c *Context) error { steps.add("start"); return c.Sleep(time.Second) },
			handle: func(c *Context, m *Message) error { steps.add(m.Value.(string)); return c.Reply(nil) },
		}
		p := start(t, rt, Spec{Name: "slow", New: slow.new})
		if d := time.Since(begin); d != time.Second {
			t.Errorf("Start has returned after %v", d)
		}
		if found, ok := rt.Lookup("slow"); !ok || found != p {
			t.Errorf("looked up %v, %v; want %v", found, ok, p)
		}
		spawned, err := rt.Spawn(Spec{New: slow.new})
		if err != nil || time.Since(begin) != time.Second {
			t.Errorf("Spawn has waited, or failed: %v", err)
		}
		call(t, rt, spawned, "message")
		check(t, "steps", &steps, "start", "start", "message")
	})
}

func TestHandlerStartsServices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		child := func(err error) Spec {
			return Spec{Restart: Restart{When: OnFailure}, New: (&probe{start: func(c *Context) error {
				_ = c.Sleep(time.Second)
				return err
			}}).new}
		}
		parent := serve(t, rt, func(c *Context, m *Message) error {
			err, _ := m.Value.(error)
			p, err := c.Start(child(err))
			if err != nil {
				return err
			}
			return c.Reply(p)
		})
		p := call(t, rt, parent, nil).(PID)
		if v := call(t, rt, p, 7); v != 7 {
			t.Errorf("the child answers %v", v)
		}
		if _, err := rt.Call(t.Context(), parent, errWhim); !errors.Is(err, errWhim) {
			t.Errorf("a child that fails to start: %v", err)
		}
		time.Sleep(time.Hour)
		if n := rt.Stats().Services; n != 2 {
			t.Errorf("%d services, want the parent and the first child", n)
		}
	})
}

// ending makes a service with Stop hook, ends it with f, and returns what the hook, a
// monitor and the event were told.
func ending(t *testing.T, f func(t *testing.T, rt *Runtime, p PID)) (hook, down error) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		var hooked log[error]
		p := start(t, rt, Spec{Name: "it", New: (&probe{
			handle: func(c *Context, m *Message) error {
				switch v := m.Value.(type) {
				case quit:
					c.Exit(v.why)
				case []quit:
					for _, q := range v {
						c.Exit(q.why)
					}
				case hang:
					return c.Wait("nobody")
				}
				return nil
			},
			stop: func(_ *Context, reason error) { hooked.add(reason) },
		}).new})
		f(t, rt, p)
		synctest.Wait()
		ends := h.ended.all()
		if hooked.len() != 1 || len(ends) != 1 {
			t.Fatalf("Stop was called %d times, Ended %d times", hooked.len(), len(ends))
		}
		if ends[0].Service != p || ends[0].Name != "it" {
			t.Errorf("ended: %+v", ends[0])
		}
		if _, ok := rt.Lookup("it"); ok {
			t.Error("the name is still there")
		}
		if _, ok := rt.Info(p); ok || rt.Stats().Services != 0 {
			t.Error("the service is still there")
		}
		checkFree(t, rt)
		hook, down = hooked.all()[0], ends[0].Reason
	})
	return hook, down
}

func TestReasonOfAnEnd(t *testing.T) {
	short := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	for _, c := range []struct {
		what string
		end  func(t *testing.T, rt *Runtime, p PID)
		want error
	}{
		{"Exit(nil)", func(t *testing.T, rt *Runtime, p PID) { send(t, rt, p, quit{}) }, nil},
		{"Exit(reason)", func(t *testing.T, rt *Runtime, p PID) { send(t, rt, p, quit{errWhim}) }, errWhim},
		{"Exit twice", func(t *testing.T, rt *Runtime, p PID) { send(t, rt, p, []quit{{errWhim}, {ErrType}}) }, errWhim},
		{"Kill", func(_ *testing.T, rt *Runtime, p PID) { _ = rt.Kill(p) }, ErrKilled},
		{"Kill while it waits", func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, p, hang{})
			synctest.Wait()
			_ = rt.Kill(p)
		}, ErrKilled},
		{"Stop", func(t *testing.T, rt *Runtime, p PID) {
			if err := rt.Stop(t.Context(), p); err != nil {
				t.Error(err)
			}
		}, nil},
		{"Stop whose time is over", func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, p, hang{})
			if err := rt.Stop(short(t), p); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stop: %v", err)
			}
		}, context.DeadlineExceeded},
		{"Shutdown", func(t *testing.T, rt *Runtime, _ PID) {
			if err := rt.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}, nil},
		{"Shutdown whose time is over", func(t *testing.T, rt *Runtime, p PID) {
			send(t, rt, p, hang{})
			if err := rt.Shutdown(short(t)); err == nil {
				t.Error("no error from Shutdown")
			}
		}, ErrStopped},
		{"Close", func(t *testing.T, rt *Runtime, p PID) { send(t, rt, p, hang{}); synctest.Wait(); rt.Close() }, ErrStopped},
	} {
		t.Run(c.what, func(t *testing.T) {
			hook, down := ending(t, c.end)
			if !errors.Is(hook, c.want) || !errors.Is(down, c.want) || c.want == nil && (hook != nil || down != nil) {
				t.Errorf("Stop got %v, Down has %v; want %v", hook, down, c.want)
			}
		})
	}
}

func TestHandlesAreNeverUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Life: 5})
		old := map[PID]bool{}
		var dead []PID
		for range 200 {
			p := serve(t, rt, echo)
			if old[p] || p.Handle.Life() != 5 {
				t.Fatalf("%v was used before, or is of another generation", p)
			}
			old[p] = true
			if err := rt.Stop(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			dead = append(dead, p)
		}
		serve(t, rt, echo) // in the place of the last one
		for _, p := range dead {
			if _, err := rt.Call(t.Context(), p, 1); !errors.Is(err, ErrNoService) {
				t.Errorf("call of %v, which is gone: %v", p, err)
			}
			if err := rt.Kill(p); !errors.Is(err, ErrNoService) {
				t.Errorf("kill of %v, which is gone: %v", p, err)
			}
			if err := rt.Stop(t.Context(), p); err != nil {
				t.Errorf("stop of %v, which is gone: %v", p, err)
			}
		}
	})
}

func TestServicesAreListed(t *testing.T) {
	rt := newRuntime(t, Config{})
	a := start(t, rt, Spec{Name: "a", New: Func(echo)})
	g, err := rt.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, rt, Spec{New: Func(echo)})
	call(t, rt, b, 1)
	var list []PID
	for _, i := range rt.Services() {
		list = append(list, i.PID)
		if wants := i.PID == g.PID(); (i.Kind == "group or pool") != wants || i.State != "running" {
			t.Errorf("%+v", i)
		}
	}
	if want := []PID{a, g.PID(), b}; !slices.Equal(list, want) {
		t.Errorf("services %v, want %v", list, want)
	}
	if i, _ := rt.Info(b); i.Handled != 1 || i.Waiting != 0 {
		t.Errorf("%+v, want 1 handled", i)
	}
}
