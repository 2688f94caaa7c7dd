// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// With one sender of each kind, each of which sends many, all arrive in their order, and
// the mailbox never has more than its capacity.
func TestFullMailboxBlocksItsSenders(t *testing.T) {
	for _, capacity := range []int{1, 2, 3, 10, 33, 200} {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, Config{Workers: 2})
			g := newGate(t, rt, Mailbox{Capacity: capacity})
			const n, kinds = 500, 4
			type from struct{ kind, i int }
			rounds := serve(t, rt, func(c *Context, _ *Message) error { // sends, and calls without an answer
				for i := range n {
					if err := c.Send(g.pid, from{1, i}); err != nil {
						t.Errorf("send: %v", err)
					}
				}
				return nil
			})
			forks := serve(t, rt, func(c *Context, _ *Message) error {
				for i := range n {
					c.Fork(func(c *Context) { _, _ = c.Call(g.pid, from{2, i}) })
				}
				return nil
			})
			redirects := serve(t, rt, func(c *Context, m *Message) error { return c.Redirect(g.pid, m.Value) })
			send(t, rt, rounds, 0)
			send(t, rt, forks, 0)
			go func() {
				for i := range n {
					if err := rt.Send(t.Context(), g.pid, from{0, i}); err != nil {
						t.Errorf("send: %v", err)
					}
				}
			}()
			go func() {
				for i := range n {
					send(t, rt, redirects, from{3, i})
				}
			}()
			synctest.Wait()
			if i, _ := rt.Info(g.pid); i.Waiting != capacity || i.Blocked == 0 {
				t.Errorf("capacity %d: %+v", capacity, i)
			}
			close(g.open)
			synctest.Wait()
			var next [kinds]int
			for _, v := range g.got.all() {
				f := v.(from)
				if f.i != next[f.kind] {
					t.Fatalf("capacity %d: message %d of sender %d, want %d", capacity, f.i, f.kind, next[f.kind])
				}
				next[f.kind]++
			}
			if next != [kinds]int{n, n, n, n} {
				t.Errorf("capacity %d: %v messages have arrived", capacity, next)
			}
		})
	}
}

func TestSendIsGivenUpWhileItWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGate(t, rt, Mailbox{Capacity: 2})
		send(t, rt, g.pid, 0, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- rt.Send(ctx, g.pid, -1) }()
		}
		synctest.Wait()
		if err := rt.TrySend(g.pid, -1); !errors.Is(err, ErrMailboxFull) {
			t.Errorf("TrySend: %v", err)
		}
		cancel(errWhim)
		for range 2 {
			if err := <-errs; !errors.Is(err, errWhim) {
				t.Errorf("send: %v", err)
			}
		}
		if i, _ := rt.Info(g.pid); i.Blocked != 0 {
			t.Errorf("%+v, want nobody blocked", i)
		}
		go func() { errs <- rt.Send(t.Context(), g.pid, 2) }()
		synctest.Wait()
		close(g.open)
		if err := <-errs; err != nil {
			t.Errorf("send: %v", err)
		}
		synctest.Wait()
		check(t, "handled", &g.got, numbers(0, 3)...)
	})
}

// A send whose context ends while room comes, or the receiver ends, tells the truth.
func TestSendThatIsGivenUpAtTheLastMoment(t *testing.T) {
	for round := range 300 {
		bubble(t, func(t *testing.T) {
			var h happened
			rt := newRuntime(t, Config{Events: h.events()})
			g := newGate(t, rt, Mailbox{Capacity: 1})
			send(t, rt, g.pid, 0)
			ctx, cancel := context.WithCancel(t.Context())
			errs := make(chan error, 1)
			go func() { errs <- rt.Send(ctx, g.pid, 1) }()
			synctest.Wait()
			go cancel()
			go close(g.open)
			if round%2 == 0 {
				go func() { _ = rt.Kill(g.pid) }()
			}
			err := <-errs
			synctest.Wait()
			seen := slices.Contains(g.got.all(), any(1))
			for _, l := range h.undelivered.all() {
				seen = seen || l.u.Value == 1
			}
			if seen != (err == nil) {
				t.Errorf("round %d: send returns %v, and the message is handled or reported: %v", round, err, seen)
			}
		})
	}
}

func TestBlockedSendersHearOfTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 2})
		g := newGate(t, rt, Mailbox{Capacity: 1})
		send(t, rt, g.pid, 0)
		errs := make(chan error, 4)
		go func() { errs <- rt.Send(t.Context(), g.pid, 1) }()
		go func() { _, err := rt.Call(t.Context(), g.pid, 1); errs <- err }()
		go func() { _, err := inHandler(t, rt, (*Context).Call)(g.pid, 1); errs <- err }()
		by := inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return nil, c.Send(p, v) })
		go func() { _, err := by(g.pid, 1); errs <- err }()
		synctest.Wait()
		if i, _ := rt.Info(g.pid); i.Blocked != 4 {
			t.Fatalf("%+v, want 4 blocked", i)
		}
		_ = rt.Kill(g.pid)
		close(g.open)
		for range 4 {
			if err := <-errs; !errors.Is(err, ErrNoService) {
				t.Errorf("a sender that waited for room: %v", err)
			}
		}
		checkFree(t, rt)
	})
}

func TestMailboxBlocksWhileItsServiceStarts(t *testing.T) {
	for _, capacity := range []int{1, 2, 5} {
		bubble(t, func(t *testing.T) {
			rt := newRuntime(t, Config{})
			var got log[any]
			p, err := rt.Spawn(Spec{Mailbox: Mailbox{Capacity: capacity}, New: (&probe{
				start: func(c *Context) error {
					for range 10 {
						c.Fork(func(*Context) {}) // they are put aside, too
					}
					return c.Sleep(time.Second)
				},
				handle: func(_ *Context, m *Message) error { got.add(m.Value); return nil },
			}).new})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			send(t, rt, p, numbers(0, 20)...)
			synctest.Wait()
			check(t, "handled", &got, numbers(0, 20)...)
			if d := time.Since(begin); d != time.Second {
				t.Errorf("the sends took %v, want 1s", d)
			}
		})
	}
}

// A service that ends while it waits for room has not sent.
func TestSenderEndsWhileItWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 2})
		g := newGate(t, rt, Mailbox{Capacity: 1})
		send(t, rt, g.pid, 0)
		var errs log[bool]
		p := serve(t, rt, func(c *Context, m *Message) error {
			errs.add(errors.Is(c.Send(g.pid, m.Value), ErrStopped))
			return nil
		})
		send(t, rt, p, 1, 2)
		go func() { send(t, rt, g.pid, 3) }()
		synctest.Wait()
		_ = rt.Kill(p)
		synctest.Wait()
		check(t, "sends were stopped", &errs, true, true)
		close(g.open)
		synctest.Wait()
		check(t, "handled", &g.got, any(0), 3)
	})
}
