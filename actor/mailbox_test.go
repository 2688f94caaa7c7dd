// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a service whose handler waits, with its service, until it is opened. It notes
// what it handles.
type gate struct {
	pid  PID
	got  log[any]
	open chan struct{}
}

// newGate starts a gate that handles one message already: what comes now stays in its
// mailbox.
func newGate(t *testing.T, rt *Runtime, box Mailbox) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{})}
	g.pid = start(t, rt, Spec{Mailbox: box, New: Func(func(c *Context, m *Message) error {
		if m.Value == "first" {
			<-g.open
			return nil
		}
		g.got.add(m.Value)
		return nil
	})})
	send(t, rt, g.pid, "first")
	synctest.Wait()
	return g
}

func numbers(from, to int) (list []any) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

func TestFullMailboxRejects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGate(t, rt, Mailbox{Capacity: 10, Full: Reject})
		send(t, rt, g.pid, numbers(0, 10)...)
		by := inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return nil, c.Send(p, v) })
		for what, f := range map[string]func() error{
			"Send":         func() error { return rt.Send(t.Context(), g.pid, -1) },
			"SendKind":     func() error { return rt.SendKind(t.Context(), g.pid, KindText, -1) },
			"TrySend":      func() error { return rt.TrySend(g.pid, -1) },
			"Call":         func() error { _, err := rt.Call(t.Context(), g.pid, -1); return err },
			"Deliver":      func() error { return rt.Deliver(g.pid, Message{Value: -1}) },
			"Context.Send": func() error { _, err := by(g.pid, -1); return err },
			"Context.Call": func() error { _, err := inHandler(t, rt, (*Context).Call)(g.pid, -1); return err },
			"Redirect": func() error {
				_, err := rt.Call(t.Context(), serve(t, rt, func(c *Context, _ *Message) error { return c.Redirect(g.pid, -1) }), 0)
				return err
			},
		} {
			if err := f(); !errors.Is(err, ErrMailboxFull) {
				t.Errorf("%s: %v", what, err)
			}
		}
		close(g.open)
		synctest.Wait()
		check(t, "handled", &g.got, numbers(0, 10)...)
	})
}

func TestFullMailboxDropsTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		g := newGate(t, rt, Mailbox{Capacity: 10, Full: DropOldest})
		called := make(chan error)
		go func() { _, err := rt.Call(t.Context(), g.pid, -1); called <- err }()
		synctest.Wait()
		var back log[any]
		sender := serve(t, rt, func(c *Context, m *Message) error {
			if u, ok := m.Value.(Undelivered); ok {
				if u.To != g.pid || !errors.Is(u.Reason, ErrDropped) || m.Kind != KindBounce {
					t.Errorf("came back: %+v", u)
				}
				back.add(u.Value)
				return nil
			}
			return c.Send(g.pid, m.Value)
		})
		send(t, rt, sender, numbers(0, 40)...)
		synctest.Wait()
		if err := <-called; !errors.Is(err, ErrDropped) {
			t.Errorf("a call that was dropped: %v", err)
		}
		check(t, "came back", &back, numbers(0, 30)...)
		if i, _ := rt.Info(g.pid); i.Dropped != 31 || i.Waiting != 10 {
			t.Errorf("%+v, want 31 dropped", i)
		}
		close(g.open)
		synctest.Wait()
		check(t, "handled", &g.got, numbers(30, 40)...)
		if h.undelivered.len() != 30 {
			t.Errorf("%d undelivered, want 30", h.undelivered.len())
		}
	})
}

func TestUnboundedMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGate(t, rt, Mailbox{Capacity: Unbounded, Full: Reject})
		const n = 3 * DefaultCapacity
		for i := range n {
			if err := rt.TrySend(g.pid, i); err != nil {
				t.Fatal(err)
			}
		}
		close(g.open)
		synctest.Wait()
		if g.got.len() != n || !slices.Equal(g.got.all(), numbers(0, n)) {
			t.Errorf("%d of %d messages are handled, or in another order", g.got.len(), n)
		}
	})
}

func TestMailboxHasADefaultCapacity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGate(t, rt, Mailbox{})
		n := 0
		for n < 2*DefaultCapacity && rt.TrySend(g.pid, n) == nil {
			n++
		}
		if n != DefaultCapacity {
			t.Errorf("it took %d messages, want %d", n, DefaultCapacity)
		}
		close(g.open)
	})
}

// What the runtime itself sends is taken by a full mailbox.
func TestSystemMessagesAreNeverRefused(t *testing.T) {
	for _, full := range []Full{Block, Reject, DropOldest} {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, Config{})
			other := serve(t, rt, func(c *Context, m *Message) error {
				_ = c.Sleep(time.Second)
				return c.Reply(m.Value)
			})
			victim := serve(t, rt, echo)
			var got log[any]
			p := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 1, Full: full}, New: Func(func(c *Context, m *Message) error {
				switch v := m.Value.(type) {
				case chan struct{}:
					<-v
				case Down:
					got.add("down")
				case string:
					c.After(time.Second, func(*Context) { got.add("timer") })
					c.Tick(time.Second, 1.5)
					if _, err := c.Monitor(victim); err != nil {
						t.Error(err)
					}
					v2, err := c.Call(other, "reply")
					got.add(v2)
					if err := c.Sleep(time.Second); err != nil {
						t.Error(err)
					}
					got.add("slept")
					return err
				case float64:
					got.add("tick")
				}
				return nil
			})})
			send(t, rt, p, "begin")
			synctest.Wait()
			block := make(chan struct{})
			send(t, rt, p, block)
			synctest.Wait()
			send(t, rt, p, 0) // it is full now
			_ = rt.Kill(victim)
			time.Sleep(2 * time.Second)
			close(block)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			list := got.all()
			for _, want := range []any{"down", "timer", "tick", "reply", "slept"} {
				if !slices.Contains(list, want) {
					t.Errorf("policy %d: %v came, and not %v", full, list, want)
				}
			}
		})
	}
}

// A service that starts puts its messages aside; they count.
func TestMailboxIsBoundedWhileItsServiceStarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var got log[any]
		p, err := rt.Spawn(Spec{Mailbox: Mailbox{Capacity: 10, Full: Reject}, New: (&probe{
			start:  func(c *Context) error { c.Fork(func(*Context) {}); return c.Sleep(time.Second) },
			handle: func(_ *Context, m *Message) error { got.add(m.Value); return nil },
		}).new})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; n < 100 && rt.TrySend(p, n) == nil; n++ {
			synctest.Wait()
		}
		if n > 11 {
			t.Errorf("it took %d messages, want 10", n)
		}
		time.Sleep(time.Minute)
		check(t, "handled", &got, numbers(0, n)...)
	})
}

func TestOverloadIsReportedAtEachDoubling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		g := newGate(t, rt, Mailbox{Capacity: Unbounded})
		for i := range 5000 {
			if h.overloaded.len() != map[bool]int{i >= 1024: 1}[true]+map[bool]int{i >= 2048: 1}[true]+map[bool]int{i >= 4096: 1}[true] {
				t.Fatalf("with %d messages: %v", i, h.overloaded.all())
			}
			send(t, rt, g.pid, i)
		}
		want := []Overloaded{{Service: g.pid, Depth: 1024}, {Service: g.pid, Depth: 2048}, {Service: g.pid, Depth: 4096}}
		check(t, "overloaded", &h.overloaded, want...)
		close(g.open)
		synctest.Wait()
		fill := func() {
			g.open = make(chan struct{})
			send(t, rt, g.pid, "first")
			synctest.Wait()
			send(t, rt, g.pid, numbers(0, 1500)...)
			close(g.open)
			synctest.Wait()
		}
		for range 10 { // they are told that already
			fill()
		}
		check(t, "overloaded", &h.overloaded, want...)
		time.Sleep(time.Second)
		fill() // anew, from the beginning
		fill()
		check(t, "overloaded", &h.overloaded, append(want, want[0])...)
		if n := rt.Stats().Overloads; n != 4 {
			t.Errorf("%d overloads are counted", n)
		}
	})
}

// Messages that wait because as many handlers wait as may are dropped as those in the mailbox are, also
// when they come one by one.
func TestDropOldestOfThosePutAside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := start(t, rt, Spec{MaxWaiting: 1, Mailbox: Mailbox{Capacity: 2, Full: DropOldest}, New: Func(func(c *Context, _ *Message) error {
			return c.Wait("nobody")
		})})
		var dropped []any
		sender := serve(t, rt, func(c *Context, m *Message) error {
			if u, is := m.Value.(Undelivered); is && errors.Is(u.Reason, ErrDropped) {
				dropped = append(dropped, u.Value)
				return nil
			}
			return c.Send(p, m.Value)
		})
		for i := range 7 { // the first one is handled, the last two wait
			_ = rt.TrySend(sender, i)
			synctest.Wait()
		}
		if want := []any{1, 2, 3, 4}; !slices.Equal(dropped, want) {
			t.Errorf("dropped %v, want %v", dropped, want)
		}
	})
}
