// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

func TestNames(t *testing.T) {
	rt := newRuntime(t, Config{})
	p := start(t, rt, Spec{Name: "one", New: Func(func(c *Context, m *Message) error {
		if name, ok := m.Value.(string); ok {
			return errors.Join(c.Register(name), c.Reply(c.Name()))
		}
		return c.Reply(c.Name())
	})})
	other := serve(t, rt, func(c *Context, m *Message) error {
		if err := c.Register(m.Value.(string)); err != nil {
			return err
		}
		return c.Reply(c.Name())
	})
	for name, want := range map[string]PID{"one": p, ".one": p, "..one": {}, "": {}, "on": {}, "two": {}} {
		if got, ok := rt.Lookup(name); got != want || ok != !want.IsZero() {
			t.Errorf("lookup of %q: %v, %v; want %v", name, got, ok, want)
		}
	}
	if v := call(t, rt, p, 1); v != "one" {
		t.Errorf("it calls itself %v", v)
	}
	for _, name := range []string{"", " ", "a b", "a/b", "a:b", "a\nb", "a\tb", "a\rb", strings.Repeat("x", 256)} {
		if err := rt.Register(name, other); err == nil {
			t.Errorf("name %q is taken for good", name)
		}
	}
	if _, err := rt.Call(t.Context(), other, "one"); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a name that another has: %v", err)
	}
	if v := call(t, rt, other, "two"); v != "two" {
		t.Errorf("registered as %v", v)
	}
	if err := rt.Register("three", other); err == nil {
		t.Error("a service has got two names")
	}
	if err := rt.Register("three", PID{Handle: 99}); !errors.Is(err, ErrNoService) {
		t.Errorf("a name for nobody: %v", err)
	}
	if all := rt.Names(); len(all) != 2 || all["one"] != p || all["two"] != other {
		t.Errorf("names %v", all)
	}
	if err := rt.Stop(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if v := start(t, rt, Spec{Name: "one", New: Func(echo)}); v == p {
		t.Error("the handle was used again")
	}
}

// Those that watch hear of the names that there are, and then of each change, in the
// order of the changes.
func TestWatchNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		before := start(t, rt, Spec{Name: "room.0", New: Func(echo)})
		start(t, rt, Spec{Name: "hall", New: Func(echo)})
		type watch struct{ prefix string }
		type end struct{}
		watcher := func(l *log[NameChanged]) PID {
			var stop func()
			return serve(t, rt, func(c *Context, m *Message) error {
				switch v := m.Value.(type) {
				case watch:
					stop = c.WatchNames(v.prefix)
				case end:
					stop()
				case NameChanged:
					if m.Kind != KindNotice {
						t.Errorf("kind %d", m.Kind)
					}
					l.add(v)
				}
				if m.IsCall() {
					return c.Reply(nil)
				}
				return nil
			})
		}
		var rooms, all, none log[NameChanged]
		a, b, c := watcher(&rooms), watcher(&all), watcher(&none)
		call(t, rt, a, watch{"room."})
		call(t, rt, b, watch{""})
		call(t, rt, c, watch{"room."})
		synctest.Wait()
		call(t, rt, c, end{})
		first := none.len()
		want := []NameChanged{{Name: "room.0", New: before}}
		for i := 1; i < 50; i++ {
			name := fmt.Sprintf("room.%d", i)
			p := start(t, rt, Spec{Name: name, New: Func(echo)})
			if err := rt.Stop(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			want = append(want, NameChanged{Name: name, New: p}, NameChanged{Name: name, Old: p})
		}
		synctest.Wait()
		check(t, "changes of rooms", &rooms, want...)
		if got := all.len(); got != len(want)+1 {
			t.Errorf("%d changes in all, want %d", got, len(want)+1)
		}
		if first != 1 || none.len() != 1 {
			t.Errorf("changes after the end of the watch: %v", none.all())
		}
		_ = rt.Kill(a)
		synctest.Wait()
		start(t, rt, Spec{Name: "room.9", New: Func(echo)})
		rt.names.mu.Lock()
		defer rt.names.mu.Unlock()
		if n := len(rt.names.watchers); n != 1 {
			t.Errorf("%d watchers are left, want one", n)
		}
	})
}

// All watchers hear of all changes in one order, whoever makes them.
func TestWatchersAgreeOnTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var logs [3]log[NameChanged]
		for i := range logs {
			p := serve(t, rt, func(c *Context, m *Message) error {
				if v, ok := m.Value.(NameChanged); ok {
					logs[i].add(v)
					return nil
				}
				c.WatchNames("")
				return c.Reply(nil)
			})
			call(t, rt, p, 1)
		}
		for range 4 {
			go func() {
				for range 50 {
					p, err := rt.Start(t.Context(), Spec{Name: "one", New: Func(echo)})
					for errors.Is(err, ErrNameTaken) {
						runtime.Gosched()
						p, err = rt.Start(t.Context(), Spec{Name: "one", New: Func(echo)})
					}
					_ = rt.Stop(t.Context(), p)
				}
			}()
		}
		synctest.Wait()
		list := logs[0].all()
		if len(list) != 400 {
			t.Errorf("%d changes, want 2 for each of 200 services", len(list))
		}
		owner := PID{}
		for _, e := range list {
			if e.Old != owner && !e.Old.IsZero() || e.New.IsZero() == e.Old.IsZero() {
				t.Fatalf("change %+v while %v has the name", e, owner)
			}
			owner = e.New
		}
		for i := range logs {
			check(t, "changes", &logs[i], list...)
		}
	})
}
