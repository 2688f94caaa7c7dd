// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A watched notes the Downs that it gets.
type watched struct {
	pid   PID
	downs log[Down]
}

// do runs f in the watcher's handler.
func (w *watched) do(t *testing.T, rt *Runtime, f func(c *Context) error) {
	t.Helper()
	if _, err := rt.Call(t.Context(), w.pid, f); err != nil {
		t.Fatal(err)
	}
}

func newWatched(t *testing.T, rt *Runtime) *watched {
	t.Helper()
	w := &watched{}
	w.pid = serve(t, rt, func(c *Context, m *Message) error {
		switch v := m.Value.(type) {
		case Down:
			if m.Kind != KindDown || m.From != v.Service {
				t.Errorf("a Down of kind %d from %v", m.Kind, m.From)
			}
			w.downs.add(v)
		case func(*Context) error:
			if err := v(c); err != nil {
				return err
			}
			return c.Reply(nil)
		}
		return nil
	})
	return w
}

// mortal starts a service that ends as it is told.
func mortal(t *testing.T, rt *Runtime, spec Spec) PID {
	t.Helper()
	lives := 0
	spec.New = frail(&lives)
	return start(t, rt, spec)
}

func TestMonitorTellsOfTheEnd(t *testing.T) {
	for _, c := range []struct {
		what string
		spec Spec
		end  any // nil: kill
		is   error
	}{
		{"exit", Spec{Name: "it"}, quit{}, nil},
		{"failure", Spec{}, quit{errWhim}, errWhim},
		{"panic", Spec{OnPanic: Fail}, crash{}, errWhim},
		{"kill", Spec{}, nil, ErrKilled},
		{"the last restart", Spec{OnPanic: Fail, Restart: Restart{When: OnFailure, Most: 1}}, crash{}, errWhim},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				p, w := mortal(t, rt, c.spec), newWatched(t, rt)
				w.do(t, rt, func(c *Context) error {
					_, err := c.Monitor(p)
					if _, err2 := c.Monitor(p); err2 != nil { // two are told twice
						return err2
					}
					return err
				})
				if c.end == nil {
					_ = rt.Kill(p)
				} else {
					send(t, rt, p, c.end)
				}
				if c.spec.Restart.When == OnFailure {
					time.Sleep(time.Second)
					if w.downs.len() > 0 {
						t.Error("a restart is no end")
					}
					send(t, rt, p, c.end)
				}
				time.Sleep(time.Minute)
				list := w.downs.all()
				if len(list) != 2 || list[0] != list[1] || list[0].Service != p || list[0].Name != c.spec.Name || !errors.Is(list[0].Reason, c.is) {
					t.Errorf("downs %v", list)
				}
				w.do(t, rt, func(c *Context) error { _, err := c.Monitor(p); return err }) // it is gone
				synctest.Wait()
				if list = w.downs.all(); len(list) != 3 || list[2] != (Down{Service: p, Reason: ErrNoService}) {
					t.Errorf("a monitor of one that is gone: %v", list)
				}
			})
		})
	}
}

func TestMonitorIsStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p, w := mortal(t, rt, Spec{}), newWatched(t, rt)
		var first, second *Monitor
		w.do(t, rt, func(c *Context) (err error) {
			if first, err = c.Monitor(p); err == nil {
				second, err = c.Monitor(p)
			}
			return err
		})
		first.Stop()
		first.Stop()
		_ = rt.Kill(p)
		synctest.Wait()
		second.Stop() // too late, and no harm
		if w.downs.len() != 1 {
			t.Errorf("downs %v, want one", w.downs.all())
		}
	})
}

// Watchers that have come and gone leave nothing behind in one that lives long.
func TestWatchersThatAreGoneAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := mortal(t, rt, Spec{})
		watcher := &probe{start: func(c *Context) error {
			_, err := c.Monitor(p)
			return errors.Join(err, c.Link(p))
		}, handle: func(c *Context, _ *Message) error { c.Exit(nil); return nil }}
		for range 500 {
			send(t, rt, start(t, rt, Spec{New: watcher.new}), 1)
			synctest.Wait()
		}
		s, _ := rt.local(p)
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.extra.watchers); n > 20 {
			t.Errorf("%d watchers are left", n)
		}
	})
}

func TestLinkJoinsTheEnds(t *testing.T) {
	for _, c := range []struct {
		what  string
		end   any
		other bool // it is the other one that ends
		lives bool // the one that is left
	}{
		{"failure of the target", quit{errWhim}, true, false},
		{"failure of the one that has linked", quit{errWhim}, false, false},
		{"end of the target as it wanted", quit{}, true, true},
		{"end of the one that has linked", quit{}, false, true},
		{"kill", nil, true, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events()})
				target := mortal(t, rt, Spec{})
				lives := 0
				by := start(t, rt, Spec{New: func() Handler {
					inner := frail(&lives)()
					return &probe{handle: inner.Handle, start: func(c *Context) error { return c.Link(target) }}
				}})
				ends, stays := by, target
				if c.other {
					ends, stays = target, by
				}
				if c.end == nil {
					_ = rt.Kill(ends)
				} else {
					send(t, rt, ends, c.end)
				}
				synctest.Wait()
				if _, ok := rt.Info(stays); ok != c.lives {
					t.Errorf("the other one is there: %v, want %v", ok, c.lives)
				}
				list := h.ended.all()
				if !c.lives && (len(list) != 2 || !errors.Is(list[1].Reason, list[0].Reason) || list[1].Reason.Error() != fmt.Sprintf("linked to %v: %v", ends, list[0].Reason)) {
					t.Errorf("ended: %v", list)
				}
			})
		})
	}
}

func TestUnlink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		a, b, w := mortal(t, rt, Spec{}), mortal(t, rt, Spec{}), newWatched(t, rt)
		w.do(t, rt, func(c *Context) error {
			err := errors.Join(c.Link(a), c.Link(a), c.Link(b))
			c.Unlink(a)
			return err
		})
		send(t, rt, a, quit{errWhim})
		synctest.Wait()
		if _, ok := rt.Info(w.pid); !ok {
			t.Fatal("it has ended with one that it was unlinked from")
		}
		w.do(t, rt, func(c *Context) error {
			if err := c.Link(a); !errors.Is(err, ErrNoService) {
				t.Errorf("a link to one that is gone: %v", err)
			}
			return nil
		})
		send(t, rt, b, quit{errWhim})
		synctest.Wait()
		if _, ok := rt.Info(w.pid); ok {
			t.Error("it lives on, though one that it is linked to has failed")
		}
	})
}

// A service that is ended by its link is healed by its Restart.
func TestLinkedServiceRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		target := mortal(t, rt, Spec{})
		life := 0
		p := start(t, rt, Spec{Restart: Restart{When: OnFailure}, New: func() Handler {
			life++
			return &probe{start: func(c *Context) error {
				if life == 1 {
					return c.Link(target)
				}
				return nil
			}}
		}})
		_ = rt.Kill(target)
		time.Sleep(time.Minute)
		if call(t, rt, p, 1); life != 2 {
			t.Errorf("life %d, want the second", life)
		}
	})
}

// A ring of links ends as a whole.
func TestRingOfLinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		const n = 100
		var pids [n]PID
		for i := range pids {
			pids[i] = serve(t, rt, func(c *Context, m *Message) error {
				return errors.Join(c.Link(m.Value.(PID)), c.Reply(nil))
			})
		}
		for i, p := range pids {
			call(t, rt, p, pids[(i+1)%n])
		}
		_ = rt.Kill(pids[n/2])
		synctest.Wait()
		if got := rt.Stats().Services; got != 0 {
			t.Errorf("%d services are left", got)
		}
	})
}
