// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A record counts how often it was released.
type record struct {
	Claim
	n atomic.Int32
}

func (r *record) Release() { r.n.Add(1) }

func (r *record) Origin() (source, number uint64, ok bool) { return 1, 2, r.n.Load() == 0 }

// What holds a message is let go of once, when its handler has ended, however that
// happens, and not before.
func TestHeldUntilTheHandlerHasEnded(t *testing.T) {
	for _, c := range []struct {
		what string
		spec Spec
		f    func(c *Context, m *Message) error
		end  func(t *testing.T, rt *Runtime, p PID) // before the handler's second is over
		soon bool                                   // it is released at once
	}{
		{what: "returns", f: func(c *Context, _ *Message) error { return c.Sleep(time.Second) }},
		{what: "fails", f: func(c *Context, _ *Message) error { _ = c.Sleep(time.Second); return errWhim }},
		{what: "panics", f: func(c *Context, _ *Message) error { _ = c.Sleep(time.Second); panic("whim") }},
		{what: "Goexit", f: func(c *Context, _ *Message) error { _ = c.Sleep(time.Second); runtime.Goexit(); return nil }},
		{what: "answers first", f: func(c *Context, _ *Message) error { _ = c.Reply(1); return c.Sleep(time.Second) }},
		{what: "killed", f: func(c *Context, _ *Message) error { return c.Sleep(time.Hour) }, end: func(_ *testing.T, rt *Runtime, p PID) {
			time.Sleep(time.Second)
			_ = rt.Kill(p)
		}},
		{what: "early", spec: Spec{ReleaseEarly: true}, f: func(c *Context, _ *Message) error { return c.Sleep(time.Second) }, soon: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				c.spec.New = Func(c.f)
				p := start(t, rt, c.spec)
				var r record
				if err := rt.DeliverHeld(p, Message{Value: 1}, &r); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := r.n.Load() > 0; got != c.soon {
					t.Errorf("released while the handler waits: %v", got)
				}
				if c.end != nil {
					c.end(t, rt, p)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if n := r.n.Load(); n != 1 {
					t.Errorf("released %d times", n)
				}
			})
		})
	}
}

// What never comes to a handler is let go of when its sender was told.
func TestHeldIsReleasedWhenItIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 2}, MaxWaiting: 1, New: Func(func(c *Context, _ *Message) error {
			return c.Wait("nobody")
		})})
		old := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 1, Full: DropOldest}, MaxWaiting: 1, New: Func(func(c *Context, _ *Message) error {
			return c.Wait("nobody")
		})})
		var list [6]record
		for i := range list {
			if err := rt.DeliverHeld(p, Message{Value: i}, &list[i]); err != nil { // the last ones wait in line
				t.Fatal(err)
			}
			synctest.Wait()
		}
		var dropped [4]record
		for i := range dropped {
			if err := rt.DeliverHeld(old, Message{Value: i}, &dropped[i]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for i := range list {
			if list[i].n.Load() != 0 {
				t.Errorf("%d is released, though it waits", i)
			}
		}
		if n := dropped[len(dropped)-1].n.Load(); n != 0 {
			t.Error("the newest was dropped")
		}
		_, _ = rt.Kill(p), rt.Kill(old)
		synctest.Wait()
		for i := range list {
			if n := list[i].n.Load(); n != 1 {
				t.Errorf("%d was released %d times", i, n)
			}
		}
		for i := range dropped {
			if n := dropped[i].n.Load(); n != 1 {
				t.Errorf("of those that may be dropped, %d was released %d times", i, n)
			}
		}
	})
}

// Passed on, it is released by the last one to have it; groups and answers take it at once.
func TestHeldGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		last := serve(t, rt, func(c *Context, _ *Message) error { return c.Sleep(time.Second) })
		first := serve(t, rt, func(c *Context, m *Message) error { return c.Redirect(last, m.Value) })
		var r, in, none record
		if err := rt.DeliverHeld(first, Message{Value: 1}, &r); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.n.Load() != 0 {
			t.Error("released by who passed it on")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.n.Load(); n != 1 {
			t.Errorf("released %d times", n)
		}
		g, err := rt.NewGroup()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = g.Join(serve(t, rt, func(c *Context, _ *Message) error { return c.Sleep(time.Second) }))
		}
		if err := rt.DeliverHeld(g.PID(), Message{Value: 1}, &in); err != nil || in.n.Load() != 1 {
			t.Errorf("to a group: %v, released %d times", err, in.n.Load())
		}
		var passed record // by one that passes it on to many
		if err := rt.DeliverHeld(serve(t, rt, func(c *Context, m *Message) error { return c.Redirect(g.PID(), m.Value) }), Message{Value: 1}, &passed); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := passed.n.Load(); n != 1 {
			t.Errorf("passed on to a group, released %d times", n)
		}
		if err := rt.DeliverHeld(PID{Handle: 999}, Message{Value: 1}, &none); !errors.Is(err, ErrNoService) || none.n.Load() != 0 {
			t.Errorf("to nobody: %v, released %d times", err, none.n.Load())
		}
	})
}

func TestStalePID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Life: 8})
		p := serve(t, rt, echo)
		p.Handle ^= (7 ^ 8) << (indexBits + reuseBits)
		if err := rt.Deliver(p, Message{Value: 1}); !errors.Is(err, ErrStalePID) || !errors.Is(err, ErrNoService) {
			t.Errorf("to a service of the process before: %v", err)
		}
		if _, err := rt.Call(context.Background(), p, 1); !errors.Is(err, ErrStalePID) {
			t.Errorf("call of one: %v", err)
		}
	})
}

// What waits outside of a full mailbox is bounded: what comes from elsewhere beyond that is refused, and what waited is
// handled in order.
func TestHeldMessagesOutsideAFullMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		open, got := make(chan struct{}), 0
		p := start(t, rt, Spec{Mailbox: Mailbox{Capacity: 2}, New: Func(func(_ *Context, m *Message) error {
			<-open
			if m.Value != got {
				t.Errorf("got %v, want %d", m.Value, got)
			}
			got++
			return nil
		})})
		var r record
		n := 0
		var err error
		for ; err == nil && n <= 2*maxBlocked; n++ {
			err = rt.DeliverHeld(p, Message{Value: n}, &record{})
			if n == 0 {
				synctest.Wait()
			}
		}
		if !errors.Is(err, ErrMailboxFull) || n < maxBlocked || n > maxBlocked+5 {
			t.Fatalf("message %d: %v", n, err)
		}
		close(open)
		synctest.Wait()
		if got != n-1 {
			t.Errorf("%d messages were handled, of %d", got, n-1)
		}
		if err := rt.DeliverHeld(p, Message{Value: got}, &r); err != nil {
			t.Error(err)
		}
	})
}
