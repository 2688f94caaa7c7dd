// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A wire is a Source of numbers for one service.
type wire struct {
	rt *Runtime
	to PID

	mu      sync.Mutex
	cond    sync.Cond
	list    []int
	awake   bool
	waiting bool

	inside atomic.Int32 // goroutines in Poll or Wait
	spins  bool         // Wait does not sleep
	parks  atomic.Int32
	bad    atomic.Bool // two at once
}

func newWire(rt *Runtime, to PID) *wire {
	w := &wire{rt: rt, to: to}
	w.cond.L = &w.mu
	return w
}

func (w *wire) enter() func() {
	if w.inside.Add(1) != 1 {
		w.bad.Store(true)
	}
	return func() { w.inside.Add(-1) }
}

// put has n messages come.
func (w *wire) put(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.list = append(w.list, len(w.list))
	}
	w.cond.Broadcast()
}

func (w *wire) Poll(in Inlet) bool {
	defer w.enter()()
	w.mu.Lock()
	list := w.list[:min(len(w.list), 8)]
	w.list = w.list[len(list):]
	to := w.to
	w.mu.Unlock()
	for _, n := range list {
		m := Message{Value: n}
		if err := in.DeliverHeld(w.rt, to, &m, new(record)); err != nil {
			panic(err)
		}
	}
	return len(list) > 0
}

func (w *wire) Wait(work func() bool, parks func(bool)) {
	defer w.enter()()
	if w.spins {
		for !w.Ready() && !work() {
			runtime.Gosched()
		}
		return
	}
	w.mu.Lock()
	w.waiting = true
	w.mu.Unlock()
	parks(true)
	w.parks.Add(1)
	w.mu.Lock()
	for len(w.list) == 0 && !w.awake && !work() {
		w.cond.Wait()
	}
	w.awake, w.waiting = false, false
	w.mu.Unlock()
	parks(false)
}

func (w *wire) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awake = w.waiting
	w.cond.Broadcast()
}

func (w *wire) Ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list) > 0
}

// open starts a runtime whose workers take from a wire, and a service that counts.
func open(t *testing.T, workers int, spins bool, handle func(n int32)) (w *wire, got *atomic.Int32) {
	t.Helper()
	testutil.NoLeaks(t)
	rt := New(Config{Workers: workers})
	t.Cleanup(rt.Close)
	got = new(atomic.Int32)
	p := serve(t, rt, func(*Context, *Message) error {
		n := got.Add(1)
		if handle != nil {
			handle(n)
		}
		return nil
	})
	w = newWire(rt, p)
	w.spins = spins
	stop := rt.From(w)
	t.Cleanup(func() {
		stop()
		if w.inside.Load() != 0 || w.bad.Load() {
			t.Errorf("after stop %d are inside; two at once: %v", w.inside.Load(), w.bad.Load())
		}
	})
	return w, got
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// What comes from elsewhere is handled, whether the workers sleep or spin at the door, and however
// many there are.
func TestWorkersTakeFromTheSource(t *testing.T) {
	for _, spins := range []bool{false, true} {
		for _, workers := range []int{1, 2, 4} {
			w, got := open(t, workers, spins, nil)
			sent := int32(0)
			for _, n := range []int{1, 1, 7, 100, 1000} {
				w.put(n)
				sent += int32(n)
				until(t, "the last message", func() bool { return got.Load() == sent })
			}
		}
	}
}

// A worker that waits at the door does what comes up inside, too.
func TestWorkerAtTheDoorHearsOfWork(t *testing.T) {
	for _, workers := range []int{1, 2} {
		w, _ := open(t, workers, false, nil)
		until(t, "a wait at the door", func() bool { return w.parks.Load() > 0 })
		p := serve(t, w.rt, func(c *Context, m *Message) error { return c.Reply(m.Value) })
		for i := range 100 {
			v, err := w.rt.Call(context.Background(), p, i)
			if v != i || err != nil {
				t.Fatalf("call %d: %v, %v", i, v, err)
			}
		}
	}
}

// While all workers are in handlers that block, others come to the door.
func TestBlockedHandlersDoNotBlockTheDoor(t *testing.T) {
	for _, workers := range []int{1, 2} {
		release := make(chan struct{})
		w, got := open(t, workers, false, nil)
		blocks := serve(t, w.rt, func(*Context, *Message) error {
			<-release
			return nil
		})
		for range workers + 2 {
			p := serve(t, w.rt, func(*Context, *Message) error {
				<-release
				return nil
			})
			_ = w.rt.TrySend(p, 1)
		}
		_ = w.rt.TrySend(blocks, 1)
		w.put(100)
		until(t, "100 messages", func() bool { return got.Load() == 100 })
		close(release)
	}
}

// A handler that was called from the door and does not return has another worker go there.
func TestHandlerFromTheDoorDoesNotBlockIt(t *testing.T) {
	release := make(chan struct{})
	w, _ := open(t, 2, false, func(n int32) {
		if n == 1 {
			<-release
		}
	})
	defer close(release)
	w.put(1)
	var others atomic.Int32
	w2 := serve(t, w.rt, func(*Context, *Message) error {
		others.Add(1)
		return nil
	})
	until(t, "the first message", func() bool { return !w.Ready() })
	w.mu.Lock()
	w.to = w2
	w.mu.Unlock()
	for i := int32(1); i <= 50; i++ {
		w.put(1)
		until(t, "a message", func() bool { return others.Load() == i })
	}
}

// A worker that always has something to do takes from the source now and then.
func TestBusyWorkerComesToTheDoor(t *testing.T) {
	w, got := open(t, 1, false, nil)
	over := make(chan struct{})
	var rounds atomic.Int64
	for range 2 { // they keep each other busy
		p := serve(t, w.rt, func(c *Context, m *Message) error {
			select {
			case <-over:
				return nil
			default:
			}
			rounds.Add(1)
			return c.Send(m.Value.(PID), c.Self())
		})
		_ = w.rt.TrySend(p, p)
	}
	w.put(500)
	until(t, "500 messages", func() bool { return got.Load() == 500 })
	close(over)
	if rounds.Load() == 0 {
		t.Error("the others have not run")
	}
}

// A runtime that ends does not wait for its source.
func TestCloseWithSource(t *testing.T) {
	for _, spins := range []bool{false, true} {
		testutil.NoLeaks(t)
		rt := New(Config{Workers: 2})
		w := newWire(rt, PID{})
		w.spins = spins
		stop := rt.From(w)
		until(t, "somebody at the door", func() bool { return w.inside.Load() > 0 })
		rt.Close()
		stop()
	}
}
