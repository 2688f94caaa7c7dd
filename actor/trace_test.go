// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTraceText(t *testing.T) {
	full := Trace{ID: [16]byte{0x4b, 15: 1}, Span: [8]byte{7: 0xff}}
	if got, err := ParseTrace(full.String()); got != full || err != nil {
		t.Errorf("%v is read as %v, %v", full, got, err)
	}
	if got := full.String(); got != "4b000000000000000000000000000001-00000000000000ff" {
		t.Errorf("it is written %s", got)
	}
	if got, err := ParseTrace("4b000000000000000000000000000001"); got.ID != full.ID || err != nil {
		t.Errorf("without a span: %v, %v", got, err)
	}
	if got := (Trace{}).String(); got != "" {
		t.Errorf("none is written %q", got)
	}
	if a, b := NewTrace(), NewTrace(); a.IsZero() || a.ID == b.ID {
		t.Errorf("two new ones are %v and %v", a, b)
	}
	for _, s := range []string{"", "4b", "4b000000000000000000000000000001-", "4b000000000000000000000000000001-ff", "00000000000000000000000000000000", "xx000000000000000000000000000001", "4b000000000000000000000000000001-00000000000000fg"} {
		if got, err := ParseTrace(s); err == nil || !got.IsZero() {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}

// seen is what a message has brought along.
type seen struct {
	at    string
	trace Trace
	left  time.Duration // 0: for ever
}

func look(c *Context, at string) seen {
	s := seen{at: at, trace: c.Trace()}
	if end, ok := c.Ctx().Deadline(); ok {
		s.left = time.Until(end)
	}
	if TraceOf(c.Ctx()) != s.trace {
		s.at += ", whose Ctx has another one"
	}
	return s
}

// A trace goes with all that a handler sends and calls, a deadline with what it calls; and neither
// with what comes next.
func TestTraceAndDeadlineTravel(t *testing.T) {
	for name, far := range map[string]bool{"here": false, "to another process": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, rt, there := newNetwork(t)
				if !far {
					there = rt
				}
				var got log[seen]
				last := serve(t, there, func(c *Context, m *Message) error {
					got.add(look(c, m.Value.(string)))
					return replyIfCall(c, m)
				})
				first := serve(t, rt, func(c *Context, m *Message) error {
					got.add(look(c, "first"))
					time.Sleep(time.Second)
					if err := c.Send(last, "sent"); err != nil {
						return err
					}
					c.Fork(func(c *Context) { _ = c.Send(last, "sent by a fork") })
					_, err := c.Call(last, "called")
					_, shorter := c.CallTimeout(time.Millisecond, last, "called shortly")
					_, other := c.CallContext(context.Background(), last, "called without")
					return errors.Join(err, shorter, other, replyIfCall(c, m))
				})
				trace := NewTrace()
				ctx, cancel := context.WithTimeout(WithTrace(t.Context(), trace), time.Minute)
				defer cancel()
				for _, want := range []map[seen]bool{
					{{"first", trace, time.Minute}: true, {"sent", trace, 0}: true, {"sent by a fork", trace, 0}: true, {"called", trace, 59 * time.Second}: true,
						{"called shortly", trace, time.Millisecond}: true, {"called without", trace, 0}: true},
					{{"first", Trace{}, 0}: true, {"sent", Trace{}, 0}: true, {"sent by a fork", Trace{}, 0}: true, {"called", Trace{}, 0}: true,
						{"called shortly", Trace{}, time.Millisecond}: true, {"called without", Trace{}, 0}: true},
				} {
					if _, err := rt.Call(ctx, first, 0); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					for _, s := range got.all() {
						if !want[s] {
							t.Errorf("%+v, which is none of %+v", s, want)
						}
						delete(want, s)
					}
					got.mu.Lock()
					got.list = nil
					got.mu.Unlock()
					if len(want) > 0 {
						t.Errorf("missing: %+v", want)
					}
					ctx = t.Context()
				}
			})
		})
	}
}

func replyIfCall(c *Context, m *Message) error {
	if m.IsCall() {
		return c.Reply(nil)
	}
	return nil
}

// A handler can begin a trace itself, and what reports it has it.
func TestSetTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var failed Failed
		trace := NewTrace()
		rt := newRuntime(t, Config{Events: Events{Failed: func(f Failed) { failed = f }}})
		last := serve(t, rt, func(c *Context, m *Message) error {
			if m.IsCall() {
				_ = c.Sleep(time.Minute)
				return c.Reply(c.Trace())
			}
			return errWhim
		})
		first := serve(t, rt, func(c *Context, _ *Message) error {
			c.SetTrace(trace)
			if err := c.Send(last, 0); err != nil {
				return err
			}
			v, err := c.Call(last, 0)
			if v != trace {
				t.Errorf("the trace over there is %v, want %v", v, trace)
			}
			return errors.Join(err, c.Reply(nil))
		})
		done := make(chan error, 1)
		go func() {
			_, err := rt.Call(t.Context(), first, 0)
			done <- err
		}()
		synctest.Wait()
		tasks := rt.Tasks(PID{}, false)
		if len(tasks) != 2 || tasks[0].Trace != trace || tasks[1].Trace != trace {
			t.Errorf("those that wait are %+v, want two with the trace", tasks)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if failed.Trace != trace {
			t.Errorf("%+v, want the trace %v", failed, trace)
		}
	})
}

// What nobody uses costs nothing: not an allocation.
func TestNoTraceNoAllocation(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	rt := newRuntime(t, Config{Workers: 1})
	p := serve(t, rt, func(c *Context, _ *Message) error { return c.Reply(nil) })
	run := serve(t, rt, func(c *Context, _ *Message) error {
		return c.Reply(testing.AllocsPerRun(100, func() {
			if _, err := c.Call(p, nil); err != nil {
				t.Error(err)
			}
			if err := c.Send(p, nil); err != nil {
				t.Error(err)
			}
			_ = c.Sleep(0) // the mailbox of p does not grow
		}))
	})
	v, err := rt.Call(t.Context(), run, nil)
	if n, ok := v.(float64); err != nil || !ok || n > 2 { // the timer of Sleep
		t.Errorf("%v allocations, %v", v, err)
	}
}
