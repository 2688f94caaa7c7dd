// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// Two services that have each other run all the time do not keep the only worker for
// themselves: of their turns, the others wait for a bounded number.
func TestFloodingPairLeavesTurnsToOthers(t *testing.T) {
	rt := newRuntime(t, Config{Workers: 1, MaxWorkers: 1})
	var flood atomic.Int64
	var over atomic.Bool
	pair := func(c *Context, m *Message) error {
		flood.Add(1)
		if over.Load() {
			return nil
		}
		return c.Send(m.Value.(func() PID)(), m.Value)
	}
	var a, b PID
	turn := 0
	a, b = serve(t, rt, pair), serve(t, rt, pair)
	next := func() PID { turn++; return []PID{a, b}[turn%2] }
	const others, rounds = 20, 50
	waits, done := make([]log[int64], others), make(chan struct{}, others)
	var pids []PID
	for i := range others {
		pids = append(pids, serve(t, rt, func(c *Context, m *Message) error {
			waits[i].add(flood.Load() - m.Value.(int64))
			if waits[i].len() == rounds {
				done <- struct{}{}
			}
			return nil
		}))
	}
	send(t, rt, a, next)
	for range rounds {
		call(t, rt, serve(t, rt, func(c *Context, _ *Message) error { // all at once
			for _, p := range pids {
				if err := c.Send(p, flood.Load()); err != nil {
					return err
				}
			}
			return c.Reply(nil)
		}), 0)
	}
	for range others {
		<-done
	}
	over.Store(true)
	most := int64(0)
	for i := range waits {
		for _, n := range waits[i].all() {
			most = max(most, n)
		}
	}
	if limit := int64((others + 2) * 4 * maxStreak); most > limit {
		t.Errorf("a message waited for %d of the flood, want %d at most", most, limit)
	}
}

// A service with many messages handles a slice of them, times its weight, before the
// others have their turn.
func TestSliceAndWeight(t *testing.T) {
	for _, c := range []struct{ slice, weight, want int }{
		{1, 0, 1}, {1, 1, 1}, {1, 5, 5}, {10, 1, 10}, {10, 3, 30}, {64, 1, 64}, {100, 255, 1000},
	} {
		t.Run(fmt.Sprintf("slice %d, weight %d", c.slice, c.weight), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Workers: 1, MaxWorkers: 1, Slice: c.slice})
				handled, seen := 0, -1 // of one worker
				gate := newGate(t, rt, Mailbox{})
				long := start(t, rt, Spec{Weight: c.weight, New: Func(func(*Context, *Message) error { handled++; return nil })})
				short := serve(t, rt, func(*Context, *Message) error { seen = handled; return nil })
				for range 1000 {
					send(t, rt, long, 0)
				}
				send(t, rt, short, 0)
				close(gate.open)
				synctest.Wait()
				if seen != c.want || handled != 1000 {
					t.Errorf("the other's turn came after %d messages, want %d", seen, c.want)
				}
			})
		})
	}
}

// Handlers that block do not stall the others: workers are added, and taken away again.
func TestBlockedHandlersDoNotStallOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const blocked, workers = 64, 2
		rt := newRuntime(t, Config{Workers: workers})
		block := make(chan struct{})
		for range blocked {
			p := serve(t, rt, func(*Context, *Message) error { <-block; return nil })
			send(t, rt, p, 0)
		}
		p := serve(t, rt, echo)
		begin := time.Now()
		for i := range 10 {
			if v := call(t, rt, p, i); v != i {
				t.Errorf("answer %v", v)
			}
		}
		if d := time.Since(begin); d > 20*time.Millisecond { // of a clock that stands still while somebody works
			t.Errorf("ten calls took %v", d)
		}
		if st := rt.Stats(); st.Workers < blocked+1 || st.Workers > 4*blocked {
			t.Errorf("%d workers for %d handlers that block", st.Workers, blocked)
		}
		close(block)
		synctest.Wait()
		if st := rt.Stats(); st.Workers != workers || st.Parked != workers {
			t.Errorf("%d workers, %d of them parked, when nothing blocks any more; want %d", st.Workers, st.Parked, workers)
		}
		checkFree(t, rt)
	})
}

func TestWorkersAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 1, MaxWorkers: 3})
		block := make(chan struct{})
		var got atomic.Int64
		for range 10 {
			send(t, rt, serve(t, rt, func(*Context, *Message) error { <-block; got.Add(1); return nil }), 0)
		}
		time.Sleep(time.Minute)
		if st := rt.Stats(); st.Workers != 3 || st.Queued != 7 {
			t.Errorf("%d workers, %d services wait; want 3, 7", st.Workers, st.Queued)
		}
		close(block)
		synctest.Wait()
		if got.Load() != 10 {
			t.Errorf("%d of 10 handled", got.Load())
		}
	})
}

// What a handler has made runnable is not left to its worker when it blocks then.
func TestHandlerSendsAndThenBlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 1})
		block := make(chan struct{})
		var others []PID
		answers := make(chan int)
		for i := range 20 {
			others = append(others, serve(t, rt, func(*Context, *Message) error { answers <- i; return nil }))
		}
		p := serve(t, rt, func(c *Context, _ *Message) error {
			for _, other := range others {
				if err := c.Send(other, 0); err != nil {
					return err
				}
			}
			<-block
			return nil
		})
		begin := time.Now()
		send(t, rt, p, 0)
		for range others {
			<-answers
		}
		if d := time.Since(begin); d > 10*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		close(block)
	})
}

// Services that wait for a worker are taken in their order, however many there are.
func TestQueueIsAQueue(t *testing.T) {
	rng := testutil.Rand(t)
	q := newQueue()
	var want []*service
	for range 100_000 {
		if rng.IntN(100) < 52 {
			list := make([]*service, rng.IntN(4))
			for i := range list {
				list[i] = new(service)
			}
			q.put(list...)
			want = append(want, list...)
			continue
		}
		got := q.get(nil)
		if len(want) == 0 != (got == nil) || got != nil && got != want[0] {
			t.Fatal("another service than the first")
		}
		if got != nil {
			want = want[1:]
		}
	}
}
