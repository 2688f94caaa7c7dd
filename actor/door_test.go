// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A torrent is a Source that always has something for a number of services.
type torrent struct {
	rt   *Runtime
	to   []PID
	runs int // messages for one before the next has some
	next int
	over atomic.Bool
}

func (f *torrent) Poll(in Inlet) bool {
	if f.over.Load() {
		return false
	}
	for i := range 32 {
		m := Message{Value: 1}
		_ = in.DeliverHeld(f.rt, f.to[f.next], &m, new(record)) // services end before it does
		if (i+1)%f.runs == 0 {
			f.next = (f.next + 1) % len(f.to)
		}
	}
	return true
}

func (f *torrent) Wait(func() bool, func(bool)) { runtime.Gosched() }
func (f *torrent) Wake()                        {}
func (f *torrent) Ready() bool                  { return !f.over.Load() }

// What comes from outside for ever more services leaves the others their turns: who waits first in the queue
// does not wait for more than what a worker has taken for itself, whatever the batches are like.
func TestTorrentFromOutsideLeavesTurnsToOthers(t *testing.T) {
	const most = 2 * maxLine * 32 // messages
	for _, runs := range []int{1, 2, 3, 4, 8, 15, 16, 17, 32} {
		t.Run(fmt.Sprintf("%d in a row for one", runs), func(t *testing.T) {
			rt := newRuntime(t, Config{Workers: 1})
			f := &torrent{rt: rt, runs: runs}
			var handled, turn atomic.Int64
			local := serve(t, rt, func(*Context, *Message) error { turn.CompareAndSwap(0, handled.Load()); return nil })
			for range 2000 {
				f.to = append(f.to, serve(t, rt, func(*Context, *Message) error {
					if handled.Add(1) == 1 {
						return rt.TrySend(local, 1) // to the queue, as a timer would
					}
					return nil
				}))
			}
			stop := rt.From(f)
			until(t, "the turn of what waits inside", func() bool { return turn.Load() != 0 })
			until(t, "messages from outside", func() bool { return handled.Load() > 10*most })
			f.over.Store(true)
			stop()
			if n := turn.Load(); n > most {
				t.Errorf("%d messages were handled before the first in the queue, want %d at most", n, most)
			}
		})
	}
}

// What a batch has made runnable does not wait for the first of it that blocks.
func TestWhatLiesAheadOfABlockedWorkerGoesOn(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			const services = 3 * maxLine
			rt := newRuntime(t, Config{Workers: workers})
			release := make(chan struct{})
			var got atomic.Int32
			b := newBatch(rt)
			for i := range services {
				b.to = append(b.to, serve(t, rt, func(*Context, *Message) error {
					if got.Add(1); i == 0 {
						<-release
					}
					return nil
				}))
			}
			stop := rt.From(b)
			b.put(1)
			until(t, "the others' messages", func() bool { return got.Load() == services })
			close(release)
			stop()
		})
	}
}

// A batch is a wire that gives each of its services one message at once, for each that was put.
type batch struct {
	*wire
	to []PID
}

func newBatch(rt *Runtime, to ...PID) *batch { return &batch{newWire(rt, PID{}), to} }

func (b *batch) Poll(in Inlet) bool {
	defer b.enter()()
	b.mu.Lock()
	n := len(b.list)
	b.list = nil
	b.mu.Unlock()
	for range n {
		for _, p := range b.to {
			m := Message{Value: 1}
			if err := in.DeliverHeld(b.rt, p, &m, new(record)); err != nil {
				panic(err)
			}
		}
	}
	return n > 0
}

// rested waits until all workers park, with so many at the door, and else finds fault with what the queue counts.
func rested(t *testing.T, rt *Runtime, atDoor int) {
	t.Helper()
	q := rt.queue
	type counts struct {
		n, size, runs, atDoor, looking int
		watched                        bool
	}
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(time.Millisecond) {
		q.mu.Lock()
		is, parked := counts{q.n, int(q.size.Load()), q.workers - q.parked, q.atDoor, int(q.looking.Load()), q.watched}, q.parked
		q.mu.Unlock()
		if is == (counts{atDoor: atDoor}) && parked <= rt.cfg.Workers+1 { // who parks at the door may be one more
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %d park; want none but %d at the door, and %d or one more to park", is, parked, atDoor, rt.cfg.Workers)
		}
	}
}

// Whatever handlers do, and however often another Source takes the place of one, no message stays at the door or in a worker's places, and
// nothing is counted wrongly.
func TestDoorUnderTrouble(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) { doorUnderTrouble(t, workers) })
	}
}

func doorUnderTrouble(t *testing.T, workers int) {
	rng := testutil.Rand(t)
	rt := newRuntime(t, Config{Workers: workers})
	var handled, inside atomic.Int64
	other := serve(t, rt, func(*Context, *Message) error { inside.Add(1); return nil })
	var to []PID
	for i := range 60 {
		to = append(to, serve(t, rt, func(c *Context, _ *Message) error {
			handled.Add(1)
			return trouble(c, i%12, other)
		}))
	}
	sent := int64(0)
	for range 30 {
		b := newBatch(rt, to[rng.IntN(len(to)/2):]...)
		b.spins = rng.IntN(4) == 0
		stop := rt.From(b)
		for range rng.IntN(6) {
			n := rng.IntN(4)
			b.put(n)
			sent += int64(n * len(b.to))
			for range rng.IntN(30) {
				send(t, rt, other, 1)
			}
			if rng.IntN(2) == 0 {
				time.Sleep(time.Duration(rng.IntN(1500)) * time.Microsecond)
			}
		}
		until(t, "the batches to be taken", func() bool { return !b.Ready() })
		stop()
		if b.inside.Load() != 0 || b.bad.Load() {
			t.Errorf("after stop %d are at the source; two at once: %v", b.inside.Load(), b.bad.Load())
		}
	}
	until(t, "all to be handled", func() bool { return handled.Load() == sent })
	rested(t, rt, 0)
	stop := rt.From(newWire(rt, other))
	rested(t, rt, 1)
	stop()
	rested(t, rt, 0)
	if inside.Load() == 0 {
		t.Error("nothing was sent inside")
	}
}

// trouble is what a handler may do to its worker.
func trouble(c *Context, kind int, other PID) error {
	switch kind {
	case 0:
		time.Sleep(300 * time.Microsecond) // the worker is lost meanwhile
	case 1:
		return c.Sleep(100 * time.Microsecond)
	case 2:
		panic("trouble")
	case 3:
		runtime.Goexit()
	case 4:
		return c.Send(other, 1)
	case 5:
		for begin := time.Now(); time.Since(begin) < 30*time.Microsecond; {
			runtime.Gosched()
		}
	case 6:
		_, err := c.Call(other, 1)
		return err
	}
	return nil
}

// A runtime may be closed, and its Source taken away, at any time, in any order.
func TestCloseWhileTheDoorIsUsed(t *testing.T) {
	rng := testutil.Rand(t)
	for range 60 {
		closeAtAnyTime(t, rng)
	}
}

func closeAtAnyTime(t *testing.T, rng *rand.Rand) {
	t.Helper()
	rt := New(Config{Workers: 1 + rng.IntN(3)})
	p, err := rt.Spawn(Spec{New: Func(func(c *Context, _ *Message) error { return c.Sleep(20 * time.Microsecond) })})
	if err != nil {
		t.Fatal(err)
	}
	f := &torrent{rt: rt, to: []PID{p}, runs: 1}
	stop := rt.From(f)
	var work sync.WaitGroup
	pause := func() { time.Sleep(time.Duration(rng.IntN(400)) * time.Microsecond) }
	pause()
	if rng.IntN(2) == 0 {
		work.Go(stop)
	} else {
		defer stop()
	}
	pause()
	rt.Close()
	work.Wait()
}
