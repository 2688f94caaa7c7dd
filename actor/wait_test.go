// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestServiceHandlesOthersWhileAHandlerWaits(t *testing.T) {
	for _, c := range []struct {
		what string
		wait func(c *Context, other PID) error
	}{
		{"Call", func(c *Context, other PID) error { _, err := c.Call(other, time.Second); return err }},
		{"CallTimeout", func(c *Context, other PID) error { _, err := c.CallTimeout(time.Hour, other, time.Second); return err }},
		{"CallKind", func(c *Context, other PID) error { _, err := c.CallKind(other, KindUser, time.Second); return err }},
		{"Sleep", func(c *Context, _ PID) error { return c.Sleep(time.Second) }},
		{"Wait", func(c *Context, _ PID) error {
			c.After(time.Second, func(c *Context) { c.Wakeup("now") })
			return c.Wait("now")
		}},
		{"Start", func(c *Context, _ PID) error {
			_, err := c.Start(Spec{New: (&probe{start: func(c *Context) error { return c.Sleep(time.Second) }}).new})
			return err
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Trace: true})
				other := serve(t, rt, func(c *Context, m *Message) error {
					err := c.Sleep(m.Value.(time.Duration))
					return errors.Join(err, c.Reply(nil))
				})
				var steps log[string]
				p := start(t, rt, Spec{Name: "it", New: Func(func(ctx *Context, m *Message) error {
					steps.add(m.Value.(string))
					if m.Value != "waits" {
						return nil
					}
					err := c.wait(ctx, other)
					steps.add("goes on")
					if m.Value != "waits" || ctx.Message().Value != "waits" {
						t.Errorf("the message at hand became %v", m.Value)
					}
					return err
				})})
				send(t, rt, p, "waits", "first", "second")
				synctest.Wait()
				check(t, "steps", &steps, "waits", "first", "second")
				tasks := rt.Tasks(p, true)
				if len(tasks) != 1 || tasks[0].Name != "it" || tasks[0].Message != "string" || tasks[0].Waits == "" ||
					!tasks[0].Since.Equal(time.Now()) || tasks[0].Stack == "" {
					t.Errorf("tasks %+v", tasks)
				}
				time.Sleep(2 * time.Second)
				check(t, "steps", &steps, "waits", "first", "second", "goes on")
				checkFree(t, rt)
			})
		})
	}
}

func TestACallsBCallsA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 1})
		var a, b PID
		down := func(to *PID) func(*Context, *Message) error {
			return func(c *Context, m *Message) error {
				n := m.Value.(int)
				if n == 0 {
					return c.Reply(0)
				}
				v, err := c.Call(*to, n-1)
				if err != nil {
					return err
				}
				return c.Reply(v.(int) + 1)
			}
		}
		a, b = serve(t, rt, down(&b)), serve(t, rt, down(&a))
		for _, n := range []int{1, 2, 3, 100} {
			if v := call(t, rt, a, n); v != n {
				t.Errorf("%d deep: %v", n, v)
			}
		}
		if v := call(t, rt, serve(t, rt, func(c *Context, m *Message) error { // calls itself
			if m.Value == 1 {
				return c.Reply("inner")
			}
			v, err := c.Call(c.Self(), 1)
			return errors.Join(err, c.Reply(v))
		}), 0); v != "inner" {
			t.Errorf("a service that calls itself: %v", v)
		}
		checkFree(t, rt)
	})
}

func TestForksRunAfterWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var steps log[string]
		block := make(chan struct{})
		p := serve(t, rt, func(c *Context, m *Message) error {
			if m.Value != "first" {
				steps.add(m.Value.(string))
				return nil
			}
			<-block
			for i := range 3 {
				c.Fork(func(c *Context) {
					steps.add(fmt.Sprintf("fork %d", i))
					if i == 1 { // it is a handler of its own, and may wait
						_ = c.Sleep(time.Second)
						steps.add("fork 1 ends")
					}
				})
				if !c.Message().From.IsZero() {
					t.Errorf("from %v", c.Message().From)
				}
			}
			steps.add("first")
			return nil
		})
		send(t, rt, p, "first", "second", "third")
		synctest.Wait()
		close(block)
		time.Sleep(time.Minute)
		check(t, "steps", &steps, "first", "second", "third", "fork 0", "fork 1", "fork 2", "fork 1 ends")
	})
}

func TestYield(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 1})
		var steps log[string]
		p := serve(t, rt, func(c *Context, m *Message) error {
			if m.Value != "yields" {
				steps.add(m.Value.(string))
				return nil
			}
			for i := range 3 {
				_ = c.Send(c.Self(), fmt.Sprintf("message %d", i))
				steps.add(fmt.Sprintf("yield %d", i))
				if err := c.Yield(); err != nil {
					return err
				}
			}
			return nil
		})
		send(t, rt, p, "yields")
		synctest.Wait()
		check(t, "steps", &steps, "yield 0", "message 0", "yield 1", "message 1", "yield 2", "message 2")
	})
}

func TestWakeup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		type wake struct{ token any }
		var woken log[any]
		p := serve(t, rt, func(c *Context, m *Message) error {
			if w, ok := m.Value.(wake); ok {
				return c.Reply(c.Wakeup(w.token))
			}
			if err := c.Wait(m.Value); err != nil {
				return err
			}
			woken.add(m.Value)
			return nil
		})
		if call(t, rt, p, wake{1}).(bool) {
			t.Error("a wakeup, though nobody waits")
		}
		send(t, rt, p, 1, "1", 2)
		if _, err := rt.Call(t.Context(), p, 2); err == nil || err.Error() != fmt.Sprintf("call %v: wait for 2: another handler does", p) {
			t.Errorf("a second wait for a token: %v", err)
		}
		for _, token := range []any{2, "1", 1} {
			if first, again := call(t, rt, p, wake{token}).(bool), call(t, rt, p, wake{token}).(bool); !first || again {
				t.Errorf("wakeups of %v: %v, and again %v", token, first, again)
			}
		}
		synctest.Wait()
		check(t, "woken", &woken, any(2), "1", 1)
		if _, err := rt.Call(t.Context(), p, []int{}); err == nil {
			t.Error("no error for a token that cannot be compared")
		}
		checkFree(t, rt)
	})
}

// Whatever a handler waits for, the wait ends when its service does, and so do those
// that it tries after that.
func TestWaitsEndWithTheirService(t *testing.T) {
	tooLate := errors.New("too late")
	for _, c := range []struct {
		what string
		wait func(c *Context, stuck, full PID) error
	}{
		{"Call", func(c *Context, stuck, _ PID) error { _, err := c.Call(stuck, 1); return err }},
		{"CallTimeout", func(c *Context, stuck, _ PID) error { _, err := c.CallTimeout(time.Hour, stuck, 1); return err }},
		{"Send", func(c *Context, _, full PID) error { return c.Send(full, 1) }},
		{"Sleep", func(c *Context, _, _ PID) error { return c.Sleep(time.Hour) }},
		{"Yield", func(c *Context, _, _ PID) error {
			for {
				if err := c.Yield(); err != nil {
					return err
				}
			}
		}},
		{"Wait", func(c *Context, _, _ PID) error { return c.Wait(new(int)) }},
		{"Start", func(c *Context, _, _ PID) error {
			_, err := c.Start(Spec{New: (&probe{start: func(c *Context) error { return c.Wait("nobody") }}).new})
			return err
		}},
		{"Serial", func(c *Context, _, _ PID) error {
			return c.Args().(*Serial).Do(c, func() error { return c.Sleep(time.Hour) })
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Workers: 2})
				stuck := serve(t, rt, func(c *Context, _ *Message) error { _, err := c.Later(); return err })
				block := make(chan struct{})
				full := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 1}, New: Func(func(*Context, *Message) error { <-block; return nil })})
				send(t, rt, full, 0)
				synctest.Wait()
				send(t, rt, full, 0)
				var errs log[error]
				p := start(t, rt, Spec{Args: new(Serial), New: Func(func(ctx *Context, _ *Message) error {
					for range 3 { // the second and third time the service has ended
						if err := c.wait(ctx, stuck, full); !errors.Is(err, ErrStopped) {
							t.Errorf("the wait ends with %v", err)
						}
					}
					errs.add(tooLate)
					return nil
				})})
				send(t, rt, p, 1, 2, 3)
				if c.what != "Yield" {
					synctest.Wait()
				}
				_ = rt.Kill(p)
				synctest.Wait()
				close(block)
				synctest.Wait()
				if _, ok := rt.Info(p); ok || errs.len() > 3 || errs.len() < 3 && c.what != "Yield" {
					t.Errorf("the service is there: %v; %d of 3 handlers have ended", ok, errs.len())
				}
				checkFree(t, rt)
			})
		})
	}
}

func TestManyWaitsEndWithTheirService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 10_000
		rt := newRuntime(t, Config{})
		ended := 0 // of one service: no lock
		p := start(t, rt, Spec{MaxWaiting: n, New: Func(func(c *Context, _ *Message) error {
			err := c.Wait(new(int))
			ended++
			return err
		})})
		for range n {
			send(t, rt, p, 0)
		}
		synctest.Wait()
		if st := rt.Stats(); st.Contexts < n {
			t.Fatalf("%d contexts, want %d that wait", st.Contexts, n)
		}
		_ = rt.Kill(p)
		checkFree(t, rt)
		if ended != n {
			t.Errorf("%d waits have ended, want %d", ended, n)
		}
	})
}

func TestContextOutsideItsHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var kept *Context
		p := serve(t, rt, func(c *Context, m *Message) error {
			kept = c
			return c.Reply(c.Name())
		})
		call(t, rt, p, 1)
		synctest.Wait()
		defer func() {
			if v := recover(); v == nil {
				t.Error("a Context could be used when its handler had returned")
			}
		}()
		kept.Self()
	})
}

// Tracing can be switched while services run.
func TestTraceIsSwitched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		s := serve(t, rt, func(c *Context, _ *Message) error { return c.Sleep(time.Minute) })
		for _, on := range []bool{false, true, false, true} {
			rt.Trace(on)
			begin := time.Now()
			send(t, rt, s, 1)
			time.Sleep(time.Second)
			tasks := rt.Tasks(s, false)
			if len(tasks) != 1 || on && !tasks[0].Since.Equal(begin) || !on && !tasks[0].Since.IsZero() {
				t.Errorf("tracing %v: %+v; it began at %v", on, tasks, begin)
			}
			time.Sleep(time.Minute)
		}
	})
}
