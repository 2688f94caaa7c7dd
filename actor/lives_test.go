// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// What waits for a service when it restarts, and what comes meanwhile, is handled by its
// next life, in order, after its Start; what its handlers waited for is over.
func TestMailboxOutlivesARestart(t *testing.T) {
	for _, n := range []int{1, 10, 200, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var h happened
				rt := newRuntime(t, Config{Events: h.events(), Workers: 1})
				g := make(chan struct{})
				var got log[any]
				life := 0
				p := start(t, rt, Spec{Name: "frail", OnPanic: Fail, Restart: Restart{When: OnFailure}, New: func() Handler {
					life++
					return &probe{
						start: func(c *Context) error { got.add(fmt.Sprint("life ", life)); return c.Sleep(time.Second) },
						handle: func(c *Context, m *Message) error {
							if m.Value == "crash" {
								<-g
								panic(errWhim)
							}
							if _, ok := m.Value.(hang); ok {
								return c.Wait("nobody")
							}
							got.add(m.Value)
							return nil
						},
					}
				}})
				send(t, rt, p, hang{})
				want := []any{"life 1", "life 2"}
				for i := range n { // all in one piece
					if i == n/2 {
						send(t, rt, p, "crash")
					}
					send(t, rt, p, i)
					if want = append(want, i); i < n/2 {
						want[i+1], want[i+2] = i, "life 2"
					}
				}
				synctest.Wait()
				close(g)
				time.Sleep(50 * time.Millisecond) // it rests
				if i, ok := rt.Info(p); !ok || i.State != "resting" || i.Name != "frail" {
					t.Errorf("%+v, %v; want it resting", i, ok)
				}
				send(t, rt, p, "while it rests")
				time.Sleep(100 * time.Millisecond) // it starts
				send(t, rt, p, "while it starts")
				time.Sleep(time.Minute)
				check(t, "handled", &got, append(want, "while it rests", "while it starts")...)
				if h.panicked.len() != 1 || h.undelivered.len() > 0 {
					t.Errorf("panicked: %v, undelivered: %v", h.panicked.all(), h.undelivered.all())
				}
				checkFree(t, rt)
			})
		})
	}
}

// The capacity of a mailbox stays what it is over restarts.
func TestCapacityOutlivesRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		block := make(chan struct{})
		p := start(t, rt, Spec{OnPanic: Fail, Restart: Restart{When: OnFailure, Most: 100}, Mailbox: Mailbox{Capacity: 5, Full: Reject}, New: (&probe{
			start: func(c *Context) error { return c.Sleep(time.Second) },
			handle: func(_ *Context, m *Message) error {
				if _, ok := m.Value.(crash); ok {
					panic(errWhim)
				}
				<-block
				return nil
			},
		}).new})
		for range 20 {
			send(t, rt, p, crash{})
			time.Sleep(time.Minute)
		}
		send(t, rt, p, 0)
		synctest.Wait()
		n := 0
		for n < 20 && rt.TrySend(p, 0) == nil {
			n++
		}
		if n != 5 {
			t.Errorf("the mailbox takes %d, want 5", n)
		}
		close(block)
	})
}

// What a life has set going with its Context ends with it.
func TestTimersEndWithTheLifeThatMadeThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		ticks := map[int]int{}
		life := 0
		p := start(t, rt, Spec{OnPanic: Fail, Restart: Restart{When: OnFailure}, New: func() Handler {
			life++
			mine := life
			return &probe{
				start: func(c *Context) error {
					c.Every(time.Second, func(*Context) { ticks[mine]++ })
					c.TickEvery(time.Second, mine)
					c.After(5*time.Second, func(*Context) { ticks[mine]++ })
					return nil
				},
				handle: func(_ *Context, m *Message) error {
					if n, ok := m.Value.(int); ok {
						ticks[n]++
						return nil
					}
					panic(errWhim)
				},
			}
		}})
		send(t, rt, p, crash{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if ticks[1] != 0 || ticks[2] < 118 || life != 2 {
			t.Errorf("ticks of each life: %v", ticks)
		}
	})
}
