// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/skybus-io/skybus/internal/testutil"
)

func newGroup(t *testing.T, rt *Runtime) *Group {
	t.Helper()
	g, err := rt.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// All members get the one value that was sent, not copies of it.
func TestGroupSharesOneValue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGroup(t, rt)
		var got log[*[4]int]
		const n = 3*together + 5
		for range n {
			if err := g.Join(serve(t, rt, func(_ *Context, m *Message) error { got.add(m.Value.(*[4]int)); return nil })); err != nil {
				t.Fatal(err)
			}
		}
		value := &[4]int{1, 2, 3, 4}
		by := serve(t, rt, func(c *Context, m *Message) error { return errors.Join(c.Send(g.PID(), m.Value), c.Reply(nil)) })
		send(t, rt, g.PID(), value)
		call(t, rt, by, value)
		if err := rt.TrySend(g.PID(), value); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		check(t, "values", &got, slices.Repeat([]*[4]int{value}, 3*n)...)
		if allocs := testing.AllocsPerRun(20, func() { _ = rt.TrySend(g.PID(), value) }); allocs > n/4 {
			t.Errorf("a send to %d members allocates %v times", n, allocs)
		}
	})
}

func TestGroupMembership(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g, other := newGroup(t, rt), newGroup(t, rt)
		var got log[any]
		member := func(name string) PID {
			return serve(t, rt, func(_ *Context, m *Message) error { got.add(name + m.Value.(string)); return nil })
		}
		a, b := member("a"), member("b")
		for range 2 { // joining twice is joining once
			if err := errors.Join(g.Join(a), g.Join(b), other.Join(a)); err != nil {
				t.Fatal(err)
			}
		}
		if g.Len() != 2 || !slices.Equal(g.Members(), []PID{a, b}) {
			t.Errorf("members %v", g.Members())
		}
		expect := func(what string, want ...any) {
			t.Helper()
			send(t, rt, g.PID(), what)
			synctest.Wait()
			list := got.all()
			slices.SortFunc(list, func(a, b any) int { return slices.Compare([]byte(a.(string)), []byte(b.(string))) })
			if !slices.Equal(list, want) {
				t.Errorf("%s: %v, want %v", what, list, want)
			}
			got.list = nil
		}
		expect("1", "a1", "b1")
		if !g.Leave(a) || g.Leave(a) {
			t.Error("a has left twice, or never")
		}
		expect("2", "b2")
		if err := g.Join(a); err != nil {
			t.Fatal(err)
		}
		_ = rt.Kill(b)
		synctest.Wait()
		expect("3", "a3") // one that has ended has left
		if g.Leave(b) || g.Len() != 1 {
			t.Errorf("members %v", g.Members())
		}
		g.Close()
		g.Close()
		if err := rt.Send(t.Context(), g.PID(), "4"); !errors.Is(err, ErrNoService) {
			t.Errorf("a send to a group that is closed: %v", err)
		}
		if err := g.Join(a); !errors.Is(err, ErrStopped) {
			t.Errorf("a join of a group that is closed: %v", err)
		}
		if other.Len() != 1 {
			t.Error("a has left the other group")
		}
		for _, p := range []PID{b, {}, other.PID(), {Handle: 99}} {
			if err := other.Join(p); !errors.Is(err, ErrNoService) {
				t.Errorf("join of %v: %v", p, err)
			}
		}
	})
}

func TestGroupIsNotCalled(t *testing.T) {
	callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
		g := newGroup(t, rt)
		if err := g.Join(serve(t, rt, echo)); err != nil {
			t.Fatal(err)
		}
		if v, err := call(g.PID(), 1); err == nil {
			t.Errorf("answer %v", v)
		}
		if err := rt.Register("all", g.PID()); err != nil {
			t.Error(err)
		}
		if p, ok := rt.Lookup("all"); !ok || p != g.PID() {
			t.Errorf("looked up %v", p)
		}
		g.Close()
		if _, ok := rt.Lookup("all"); ok {
			t.Error("the name has outlived the group")
		}
		if err := rt.Kill(g.PID()); !errors.Is(err, ErrNoService) {
			t.Errorf("kill: %v", err)
		}
	})
}

// Members that cannot take a message are reported, and may be sent away at once.
func TestGroupWithMembersThatAreFull(t *testing.T) {
	for _, full := range []Full{Block, Reject, DropOldest} {
		bubble(t, func(t *testing.T) {
			var g *Group
			var lost log[Undelivered]
			rt := newRuntime(t, Config{Events: Events{Undelivered: func(_ PID, u Undelivered) {
				lost.add(u)
				g.Leave(u.To)
			}}})
			g = newGroup(t, rt)
			slow := newGate(t, rt, Mailbox{Capacity: 1, Full: full})
			var got atomic.Int64
			for range 3 {
				p := serve(t, rt, func(*Context, *Message) error { got.Add(1); return nil })
				if err := errors.Join(g.Join(p), g.Join(slow.pid)); err != nil {
					t.Fatal(err)
				}
			}
			var back log[Undelivered]
			by := serve(t, rt, func(c *Context, m *Message) error {
				if u, ok := m.Value.(Undelivered); ok {
					back.add(u)
					return nil
				}
				return c.Send(g.PID(), m.Value)
			})
			send(t, rt, by, 1, 2, 3)
			synctest.Wait()
			is, value := ErrMailboxFull, any(2)
			if full == DropOldest {
				is, value = ErrDropped, 1
			}
			for _, u := range append(lost.all(), back.all()...) {
				if u.To != slow.pid || u.Value != value || !errors.Is(u.Reason, is) {
					t.Errorf("undelivered: %+v", u)
				}
			}
			if lost.len() != 1 || back.len() != 1 || got.Load() != 9 || g.Len() != 3 {
				t.Errorf("%d reported, %d came back, %d arrived, %d members", lost.len(), back.len(), got.Load(), g.Len())
			}
			close(slow.open)
		})
	}
}

// Whoever has joined gets what is sent from then on, whoever has left gets nothing
// more, also when all happens at once.
func TestGroupWhileMembersComeAndGo(t *testing.T) {
	seed := testutil.Seed(t)
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGroup(t, rt)
		var counts [8]atomic.Int64
		stay := serve(t, rt, func(*Context, *Message) error { counts[0].Add(1); return nil })
		if err := g.Join(stay); err != nil {
			t.Fatal(err)
		}
		const n = 400
		for i := 1; i < len(counts); i++ {
			go func() {
				for k := range n {
					p, err := rt.Spawn(Spec{New: Func(func(*Context, *Message) error { counts[i].Add(1); return nil })})
					if err == nil {
						err = g.Join(p)
					}
					if err != nil {
						t.Errorf("join: %v", err)
					}
					if (seed>>(k%64)+uint64(i))%2 == 0 {
						g.Leave(p)
					}
					if k%2 == 0 {
						_ = rt.Kill(p)
					} else {
						_ = rt.Stop(t.Context(), p)
					}
				}
			}()
		}
		for range n {
			send(t, rt, g.PID(), 1)
		}
		synctest.Wait()
		if counts[0].Load() != n || g.Len() != 1 {
			t.Errorf("%d messages have arrived, want %d; %d members", counts[0].Load(), n, g.Len())
		}
	})
}
