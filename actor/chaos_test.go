// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A soldier passes parcels on, and answers, without ever waiting in vain: only the end
// of a service may be the end of a parcel.
func (w *world) soldier(p *party) func(c *Context, m *Message) error {
	rng := w.rand()
	return func(c *Context, m *Message) error {
		x, ok := m.Value.(*parcel)
		if !ok {
			return nil
		}
		x.handled.Add(1)
		if last := p.seen[x.from]; x.seq <= last {
			w.complain("parcel %d of a sender came after %d", x.seq, last)
		}
		p.seen[x.from] = x.seq
		if x.ttl > 0 {
			y := p.parcel(w.target(rng), x.ttl-1, rng.IntN(2) == 0)
			if y.call {
				_, y.err = c.Call(y.to, y)
			} else {
				y.err = c.Send(y.to, y)
			}
			y.over = true
		}
		switch rng.IntN(200) {
		case 0:
			panic(errModel)
		case 1:
			runtime.Goexit()
		case 2:
			c.Exit(errModel)
		}
		if x.call {
			return c.Reply(nil)
		}
		return nil
	}
}

// recruit puts a soldier into a slot.
func (w *world) recruit(i, n int) {
	p := newParty()
	ready := make(chan struct{})
	handle := w.soldier(p)
	pid, err := w.rt.Spawn(Spec{
		New: Func(func(c *Context, m *Message) error { <-ready; return handle(c, m) }), OnPanic: OnPanic(n % 2),
		Mailbox: Mailbox{Capacity: []int{1, 3, 20, 200}[n%4], Full: Full(n % 3)},
	})
	if err != nil {
		w.complain("spawn: %v", err)
	}
	p.pid = pid
	w.join(p)
	w.slots[i].Store(p)
	close(ready)
}

// Services are killed and stopped at random while parcels go from one to the other. Every
// call returns, every send does, and no parcel gets lost in silence.
func TestChaos(t *testing.T) {
	rounds, parcels := 4, 4000
	if raced {
		rounds, parcels = 2, 1500
	}
	seed := testutil.Seed(t)
	for round := range rounds {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprintf("%d workers, round %d", workers, round), func(t *testing.T) {
				bubble(t, func(t *testing.T) { chaos(t, seed+uint64(round), workers, parcels) })
			})
		}
	}
}

func chaos(t *testing.T, seed uint64, workers, parcels int) {
	w := &world{t: t, seed: seed, slots: make([]atomic.Pointer[party], 16)}
	w.rt = New(Config{Workers: workers, Slice: 1 + int(seed%20), Events: Events{Undelivered: func(_ PID, u Undelivered) {
		if x, ok := u.Value.(*parcel); ok {
			x.lost.Add(1)
		}
	}}})
	defer w.rt.Close()
	for i := range w.slots {
		w.recruit(i, i)
	}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			rng, p := w.rand(), w.join(newParty())
			for range parcels {
				x := p.parcel(w.target(rng), 2, rng.IntN(3) == 0)
				if x.call {
					_, x.err = w.rt.Call(t.Context(), x.to, x)
				} else {
					x.err = w.rt.Send(t.Context(), x.to, x)
				}
				x.over = true
			}
		})
	}
	done := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() { w.killer(done) })
	senders.Wait()
	close(done)
	killer.Wait()
	synctest.Wait()
	for _, task := range w.rt.Tasks(PID{}, false) {
		t.Errorf("still waits: %+v", task)
	}
	w.rt.Close()
	w.account()
}

// killer ends services until done is closed, each in another way.
func (w *world) killer(done chan struct{}) {
	rng := w.rand()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		i := rng.IntN(len(w.slots))
		victim := w.slots[i].Load().pid
		switch s, _ := w.rt.local(victim); {
		case s == nil: // it has ended by itself
		case n%3 == 0:
			w.rt.drain(s)
		case n%3 == 1:
			if err := w.rt.Kill(victim); err != nil && !errors.Is(err, ErrNoService) {
				w.complain("kill: %v", err)
			}
		default:
			w.rt.end(s, errModel)
		}
		w.recruit(i, n)
		for range rng.IntN(200) {
			runtime.Gosched()
		}
	}
}
