// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMessagesWaitForStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		release := make(chan struct{})
		slow := serve(t, rt, func(c *Context, _ *Message) error {
			if err := c.Sleep(time.Second); err != nil {
				return err
			}
			<-release
			return c.Reply(nil)
		})
		var steps log[int]
		p, err := rt.Spawn(Spec{New: (&probe{
			start: func(c *Context) error {
				steps.add(-1)
				_, err := c.Call(slow, nil)
				steps.add(-2)
				return err
			},
			handle: func(_ *Context, m *Message) error { steps.add(m.Value.(int)); return nil },
		}).new})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 { // some before Start waits, some while it does
			send(t, rt, p, i)
			if i == 50 {
				synctest.Wait()
			}
		}
		time.Sleep(time.Second)
		for i := 100; i < 200; i++ {
			send(t, rt, p, i)
		}
		close(release) // the answer is among those that follow
		for i := 200; i < 300; i++ {
			send(t, rt, p, i)
		}
		synctest.Wait()
		want := []int{-1, -2}
		for i := range 300 {
			want = append(want, i)
		}
		check(t, "steps", &steps, want...)
	})
}

// The answer that Start waits for comes between messages in one chunk: those that came
// before it are handled before those that came after it.
func TestMessagesKeepTheirOrderAroundTheAnswerToStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 1})
		var asked Request
		far := serve(t, rt, func(c *Context, _ *Message) (err error) {
			asked, err = c.Later()
			return err
		})
		var got log[int]
		p, err := rt.Spawn(Spec{New: (&probe{
			start:  func(c *Context) error { _, err := c.Call(far, nil); return err },
			handle: func(_ *Context, m *Message) error { got.add(m.Value.(int)); return nil },
		}).new})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		busy := serve(t, rt, func(_ *Context, _ *Message) error { // has the only worker: nothing is taken meanwhile
			for i := range 5 {
				_ = rt.TrySend(p, i)
			}
			asked.Reply(nil)
			for i := 5; i < 10; i++ {
				_ = rt.TrySend(p, i)
			}
			return nil
		})
		send(t, rt, busy, 0)
		synctest.Wait()
		check(t, "handled", &got, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	})
}

func TestStartThatEndsEarly(t *testing.T) {
	for _, c := range []struct {
		what  string
		start func(c *Context) error
		is    error
		text  string
	}{
		{"with an error", func(*Context) error { return errWhim }, errWhim, "a whim"},
		{"with a panic", func(*Context) error { panic(errWhim) }, errWhim, "panic: a whim"},
		{"with a nil pointer", func(*Context) error { return nobody().Value.(error) }, nil, "nil pointer"},
		{"with Goexit", func(*Context) error { runtime.Goexit(); return nil }, ErrGoexit, "Goexit"},
		{"with Goexit after a wait", func(c *Context) error { _ = c.Sleep(1); runtime.Goexit(); return nil }, ErrGoexit, "Goexit"},
		{"with a panic after a wait", func(c *Context) error { _ = c.Sleep(1); panic("late") }, nil, "panic: late"},
		{"and exits", func(c *Context) error { c.Exit(errWhim); return c.Sleep(1) }, ErrStopped, "stopped"},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events()})
				spec := Spec{Name: "it", New: (&probe{start: c.start}).new}
				_, err := rt.Start(t.Context(), spec)
				if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %v, want %v with %q", err, c.is, c.text)
				}
				synctest.Wait() // until its name is free
				parent := serve(t, rt, func(c *Context, _ *Message) error { _, err := c.Start(spec); return err })
				if _, err := rt.Call(t.Context(), parent, nil); err == nil || c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("in a handler: error %v, want %v", err, c.is)
				}
				synctest.Wait()
				p, err := rt.Spawn(spec)
				if err != nil {
					t.Fatal(err)
				}
				_ = rt.TrySend(p, "it came too early")
				time.Sleep(time.Second)
				synctest.Wait()
				if n := rt.Stats().Services; n != 1 {
					t.Errorf("%d services, want the parent alone", n)
				}
				if ends := h.ended.all(); len(ends) != 3 || ends[0].Reason == nil {
					t.Errorf("ended: %v, want three failures", ends)
				}
				if h.undelivered.len() > 1 {
					t.Errorf("undelivered: %v", h.undelivered.all())
				}
				checkFree(t, rt)
			})
		})
	}
}

// A service may be killed before its Start has begun: whoever waits for that hears of it.
func TestKilledBeforeItsStart(t *testing.T) {
	for _, inside := range []bool{false, true} {
		t.Run(fmt.Sprintf("started by a handler: %v", inside), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Workers: 1, MaxWorkers: 1})
				block := make(chan struct{})
				busy := func(*Context, *Message) error { <-block; return nil }
				began, result := false, make(chan error, 1)
				spec := Spec{New: (&probe{start: func(*Context) error { began = true; return nil }}).new}
				if inside {
					p := serve(t, rt, func(c *Context, _ *Message) error {
						other, err := c.Spawn(Spec{New: Func(busy)})
						if err == nil {
							err = c.Send(other, nil)
						}
						if err == nil {
							_, err = c.Start(spec)
						}
						result <- err
						return nil
					})
					send(t, rt, p, nil)
				} else {
					send(t, rt, serve(t, rt, busy), nil)
					synctest.Wait()
					go func() { _, err := rt.Start(t.Context(), spec); result <- err }()
				}
				synctest.Wait()
				list := rt.Services()
				last := slices.MaxFunc(list, func(a, b ServiceInfo) int { return int(a.PID.Handle) - int(b.PID.Handle) })
				_ = rt.Kill(last.PID)
				close(block)
				if err := <-result; err == nil != began {
					t.Errorf("Start returns %v, and the handler's Start has begun: %v", err, began)
				} else if err != nil && !errors.Is(err, ErrNoService) {
					t.Errorf("Start returns %v", err)
				}
			})
		})
	}
}

func TestCloseWhileServicesStart(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, Config{Workers: 2})
			var results log[error]
			for range 4 {
				go func() {
					for range 8 {
						_, err := rt.Start(t.Context(), Spec{New: (&probe{}).new})
						results.add(err)
					}
				}()
			}
			for results.len() < 5 {
				runtime.Gosched()
			}
			rt.Close()
			synctest.Wait()
			if results.len() != 32 {
				t.Errorf("%d starts have returned, want 32", results.len())
			}
			for _, err := range results.all() {
				if err != nil && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrNoService) {
					t.Errorf("start: %v", err)
				}
			}
			if st := rt.Stats(); st.Services != 0 {
				t.Errorf("%d services are left", st.Services)
			}
		})
	}
}

// nobody returns no message, which the linter does not see.
func nobody() *Message { return nil }
