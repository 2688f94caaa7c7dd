// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// frail panics, exits, or does what else it is told, and answers with the number of its
// life.
func frail(lives *int) func() Handler {
	return func() Handler {
		*lives++
		life := *lives
		return &probe{handle: func(c *Context, m *Message) error {
			switch v := m.Value.(type) {
			case crash:
				panic(errWhim)
			case quit:
				c.Exit(v.why)
				return nil
			case hang:
				return c.Wait("nobody")
			}
			return c.Reply(life)
		}}
	}
}

func TestWhenAServiceRestarts(t *testing.T) {
	for _, c := range []struct {
		what  string
		when  When
		panic OnPanic
		end   any
		again bool // it is there afterwards
		lives int
	}{
		{"never, a panic that goes on", Never, GoOn, crash{}, true, 1},
		{"never, a panic", Never, Fail, crash{}, false, 1},
		{"on failure, a panic that goes on", OnFailure, GoOn, crash{}, true, 1},
		{"on failure, a panic", OnFailure, Fail, crash{}, true, 2},
		{"on failure, an error", OnFailure, GoOn, quit{errWhim}, true, 2},
		{"on failure, an end as it wanted", OnFailure, GoOn, quit{}, false, 1},
		{"always, a panic", Always, Fail, crash{}, true, 2},
		{"always, an end as it wanted", Always, GoOn, quit{}, true, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events()})
				lives := 0
				p := start(t, rt, Spec{Name: "frail", OnPanic: c.panic, Restart: Restart{When: c.when}, New: frail(&lives)})
				send(t, rt, p, c.end)
				time.Sleep(time.Minute)
				v, err := rt.Call(t.Context(), p, 1)
				if (err == nil) != c.again || lives != c.lives || err == nil && v != lives {
					t.Errorf("answer %v, %v in life %d; want life %d", v, err, lives, c.lives)
				}
				if named, ok := rt.Lookup("frail"); ok != c.again || ok && named != p {
					t.Errorf("looked up: %v, %v", named, ok)
				}
				if h.restarting.len() != c.lives-1 || rt.Stats().Restarts != uint64(c.lives-1) {
					t.Errorf("restarting: %v", h.restarting.all())
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what string
		r    Restart
		want []time.Duration // before each start
		ends bool
	}{
		{"defaults", Restart{When: OnFailure}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms}, false},
		{"three at most", Restart{When: OnFailure, Most: 3, Min: time.Second}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, true},
		{"a short maximum", Restart{When: OnFailure, Most: 4, Min: time.Second, Max: 3 * time.Second}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}, true},
		{"a minimum above the maximum", Restart{When: OnFailure, Most: 2, Min: time.Hour, Max: time.Second}, []time.Duration{time.Second, time.Second}, true},
		{"a long minimum", Restart{When: OnFailure, Most: 9, Min: 30 * 24 * time.Hour, Max: 1 << 62, Within: 1 << 62}, []time.Duration{30 * 24 * time.Hour, 60 * 24 * time.Hour, 120 * 24 * time.Hour}, false},
		{"a short window", Restart{When: OnFailure, Most: 2, Min: time.Second, Within: time.Second / 2}, []time.Duration{time.Second, time.Second, time.Second, time.Second}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events()})
				var starts log[time.Time]
				fails := false
				p := start(t, rt, Spec{Name: "frail", Restart: c.r, New: (&probe{
					start: func(*Context) error {
						starts.add(time.Now())
						if fails {
							return errWhim
						}
						return nil
					},
					handle: func(*Context, *Message) error { return nil },
				}).new})
				last, total := time.Now(), time.Duration(0)
				fails = true
				s, _ := rt.local(p)
				rt.fail(s, errWhim)
				for _, d := range c.want {
					total += d
				}
				time.Sleep(total)
				synctest.Wait()
				var waits []time.Duration
				for _, at := range starts.all()[1:] {
					waits = append(waits, at.Sub(last))
					last = at
				}
				if len(waits) > len(c.want) {
					waits = waits[:len(c.want)]
				}
				if !slices.Equal(waits, c.want) {
					t.Errorf("starts after %v, want %v", waits, c.want)
				}
				checkRestarting(t, p, &h, c.want, c.ends)
				if _, ok := rt.Info(p); ok == c.ends {
					t.Errorf("the service is there: %v", ok)
				}
			})
		})
	}
}

func checkRestarting(t *testing.T, p PID, h *happened, want []time.Duration, ends bool) {
	t.Helper()
	list := h.restarting.all()
	if ends {
		last := Restarting{Service: p, Name: "frail", Reason: errWhim, GaveUp: len(want)}
		if list[len(list)-1] != last || len(list) != len(want)+1 || h.ended.len() != 1 {
			t.Errorf("restarting: %v, ended: %v; want at last %v", list, h.ended.all(), last)
		}
	}
	for i, d := range want {
		if e := (Restarting{Service: p, Name: "frail", Reason: errWhim, In: d}); list[i] != e {
			t.Errorf("restarting: %v, want %v", list[i], e)
		}
	}
}

func TestRestingServiceIsEnded(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(t *testing.T, rt *Runtime, p PID) error
	}{
		{"kill", func(_ *testing.T, rt *Runtime, p PID) error { return rt.Kill(p) }},
		{"stop", func(t *testing.T, rt *Runtime, p PID) error { return rt.Stop(t.Context(), p) }},
		{"shutdown", func(t *testing.T, rt *Runtime, _ PID) error { return rt.Shutdown(t.Context()) }},
		{"close", func(_ *testing.T, rt *Runtime, _ PID) error { rt.Close(); return nil }},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				lives := 0
				p := start(t, rt, Spec{OnPanic: Fail, Restart: Restart{When: Always}, New: frail(&lives)})
				send(t, rt, p, crash{})
				synctest.Wait()
				failed := make(chan error, 1)
				go func() { _, err := rt.Call(t.Context(), p, 1); failed <- err }()
				synctest.Wait()
				if err := c.end(t, rt, p); err != nil {
					t.Error(err)
				}
				if err := <-failed; !errors.Is(err, ErrNoService) {
					t.Errorf("a call that waited: %v", err)
				}
				if time.Sleep(time.Minute); lives != 1 {
					t.Errorf("it has started %d times", lives)
				}
			})
		})
	}
}

// Nobody hears that a service is gone while it only restarts.
func TestSendsWhileAServiceFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		stops, release := make(chan struct{}, 9), make(chan struct{})
		p := start(t, rt, Spec{OnPanic: Fail, Restart: Restart{When: OnFailure}, New: (&probe{
			handle: func(c *Context, m *Message) error {
				if _, ok := m.Value.(crash); ok {
					panic(errWhim)
				}
				return c.Reply(m.Value)
			},
			stop: func(*Context, error) { stops <- struct{}{}; <-release },
		}).new})
		send(t, rt, p, crash{})
		<-stops
		errs := make(chan error)
		go func() {
			v, err := rt.Call(t.Context(), p, 7)
			if v != 7 {
				err = errors.Join(err, fmt.Errorf("answer %v", v))
			}
			errs <- err
		}()
		synctest.Wait()
		close(release)
		if err := <-errs; err != nil {
			t.Errorf("a call while its Stop runs: %v", err)
		}
	})
}
