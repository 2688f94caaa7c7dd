// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A runtime with nothing to do does nothing: its watch sleeps, too.
func TestIdleRuntimeSleeps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 2})
		call(t, rt, serve(t, rt, echo), 1)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		rt.queue.mu.Lock()
		watched := rt.queue.watched
		rt.queue.mu.Unlock()
		if st := rt.Stats(); watched || st.Parked != st.Workers {
			t.Errorf("the watch ticks: %v; %+v", watched, st)
		}
	})
}

func TestStuckHandlerIsReported(t *testing.T) {
	stuck := func(c *Context, m *Message) error { return holdUp(m.Value.(time.Duration)) }
	for _, c := range []struct {
		what  string
		cfg   time.Duration
		begin func(t *testing.T, rt *Runtime) (p PID, message string)
		want  time.Duration // after which it is reported; 0: it is not
	}{
		{"long", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(stuck)})
			send(t, rt, p, time.Minute)
			return p, "time.Duration"
		}, 5 * time.Second},
		{"not so long", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(stuck)})
			for range 10 {
				send(t, rt, p, 4*time.Second)
			}
			return p, ""
		}, 0},
		{"another limit", time.Second, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(stuck)})
			send(t, rt, p, 2*time.Second)
			return p, "time.Duration"
		}, time.Second},
		{"never", -1, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(stuck)})
			send(t, rt, p, time.Minute)
			return p, ""
		}, 0},
		{"it only waits", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(func(c *Context, _ *Message) error { return c.Sleep(time.Hour) })})
			send(t, rt, p, 0)
			return p, ""
		}, 0},
		{"after a wait", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: Func(func(c *Context, m *Message) error {
				_ = c.Sleep(10 * time.Second)
				return stuck(c, m)
			})})
			send(t, rt, p, time.Minute)
			return p, "time.Duration"
		}, 15 * time.Second},
		{"Start", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p, err := rt.Spawn(Spec{Name: "it", New: (&probe{start: func(*Context) error { return holdUp(time.Minute) }}).new})
			if err != nil {
				t.Error(err)
			}
			return p, "Start"
		}, 5 * time.Second},
		{"Stop", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: (&probe{stop: func(*Context, error) { _ = holdUp(time.Minute) }}).new})
			_ = rt.Kill(p)
			return p, "Stop"
		}, 5 * time.Second},
		{"a timer", 0, func(t *testing.T, rt *Runtime) (PID, string) {
			p := start(t, rt, Spec{Name: "it", New: (&probe{start: func(c *Context) error {
				c.After(time.Second, func(*Context) { _ = holdUp(time.Minute) })
				return nil
			}}).new})
			return p, "a timer"
		}, 6 * time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				cfg := Config{Workers: 2, Stuck: c.cfg, Events: h.events()}
				begin := time.Now()
				var after time.Duration
				cfg.Events.Stuck = func(e Stuck) { after = time.Since(begin); h.stuck.add(e) }
				rt := newRuntime(t, cfg)
				p, message := c.begin(t, rt)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				list := h.stuck.all()
				if c.want == 0 {
					if len(list) > 0 {
						t.Errorf("reported: %+v", list)
					}
					return
				}
				if len(list) != 1 {
					t.Fatalf("reported %d times, want once", len(list))
				}
				e := list[0]
				if e.Service != p || e.Name != "it" || e.Message != message || e.For < c.want-time.Since(begin) || !strings.Contains(e.Stack, "actor.holdUp") {
					t.Errorf("reported: %+v", e)
				}
				if after < c.want || after > c.want+20*time.Millisecond {
					t.Errorf("reported after %v, want %v", after, c.want)
				}
			})
		})
	}
}

// holdUp blocks its goroutine, where a stack shows it.
func holdUp(d time.Duration) error {
	time.Sleep(d)
	return nil
}

func TestProfileMeasuresHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := serve(t, rt, func(_ *Context, m *Message) error { return holdUp(m.Value.(time.Duration)) })
		send(t, rt, p, time.Second)
		time.Sleep(time.Minute)
		rt.Profile(true)
		send(t, rt, p, 2*time.Second, 3*time.Second)
		time.Sleep(time.Minute)
		rt.Profile(false)
		send(t, rt, p, time.Second)
		time.Sleep(time.Minute)
		if i, _ := rt.Info(p); i.Time != 5*time.Second || i.Handled != 4 {
			t.Errorf("%+v, want 5s and 4 messages", i)
		}
	})
}
