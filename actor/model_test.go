// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A citizen is a handler that does random things.
type citizen struct {
	w     *world
	p     *party
	slot  int
	rng   *rand.Rand
	ready chan struct{}
}

func callTime(rng *rand.Rand) time.Duration { return time.Duration(rng.IntN(20)) * time.Millisecond }

// Start waits, and calls, as any handler; it may fail.
func (z *citizen) Start(c *Context) error {
	<-z.ready
	z.enter()
	defer z.exit()
	switch z.rng.IntN(8) {
	case 0:
		_ = z.pause(func() error { return c.Sleep(callTime(z.rng)) })
	case 1:
		z.send(c, 1)
	case 2:
		if z.p.sent[PID{}]++; z.p.sent[PID{}] > 1 { // not in the first life
			return errModel
		}
	}
	return nil
}

// Stop sends what it may.
func (z *citizen) Stop(c *Context, _ error) {
	z.enter()
	defer z.exit()
	x := z.p.parcel(z.w.target(z.rng), 0, false)
	x.err = c.Runtime().TrySend(x.to, x)
	x.over = true
	if err := c.Sleep(time.Second); !errors.Is(err, ErrStopped) {
		z.w.complain("a wait in Stop: %v", err)
	}
}

func (z *citizen) Handle(c *Context, m *Message) error {
	z.enter()
	defer z.exit()
	x, ok := m.Value.(*parcel)
	if !ok {
		return nil // something came back, or ticks
	}
	if n := x.handled.Add(1); n > 1 {
		z.w.complain("a parcel is handled %d times", n)
	}
	if x.seq > 0 {
		if last := z.p.seen[x.from]; x.seq <= last {
			z.w.complain("parcel %d of a sender came after %d", x.seq, last)
		}
		z.p.seen[x.from] = x.seq
	}
	for range z.rng.IntN(4) {
		if err := z.step(c, x); err != nil {
			return err
		}
	}
	if x.call && z.rng.IntN(8) > 0 {
		_ = c.Reply(x)
	}
	return nil
}

// enter and exit count the handlers that run at once; pause leaves for a wait.
func (z *citizen) enter() {
	if z.p.inside++; z.p.inside != 1 {
		z.w.complain("%d handlers of a service run at once", z.p.inside)
	}
}

func (z *citizen) exit() { z.p.inside-- }

func (z *citizen) pause(wait func() error) error {
	z.exit()
	defer z.enter()
	return wait()
}

// send sends, or calls, with a new parcel.
func (z *citizen) send(c *Context, ttl int) {
	to, d := z.w.target(z.rng), callTime(z.rng)
	x := z.p.parcel(to, ttl, z.rng.IntN(2) == 0)
	way := z.rng.IntN(3)
	_ = z.pause(func() error {
		switch {
		case !x.call:
			x.err = c.Send(to, x)
		case way == 0:
			_, x.err = c.Call(to, x)
		case way == 1:
			_, x.err = c.CallTimeout(d, to, x)
		default:
			_, x.err = c.CallContext(z.w.t.Context(), to, x)
		}
		x.over = true
		return nil
	})
}

// step does one random thing.
func (z *citizen) step(c *Context, x *parcel) error {
	switch n := z.rng.IntN(40); {
	case n < 14 && x.ttl > 0:
		z.send(c, x.ttl-1)
	case n < 18:
		_ = z.pause(func() error { return c.Sleep(callTime(z.rng)) })
	case n < 20:
		_ = z.pause(c.Yield)
	case n < 24:
		z.fork(c, x.ttl)
	case n < 28:
		return z.section(c, x)
	case n < 30:
		_ = z.pause(func() error { return c.Wait(z.slot) })
	case n < 33:
		c.Wakeup(z.slot)
	case n < 35 && x.call:
		if r, err := c.Later(); err == nil {
			go r.Reply(1)
		}
	case n == 35 && x.ttl > 0:
		z.pass(c, x)
	default:
		return z.end(c, n)
	}
	return nil
}

// end ends the handler, or a service, in one of many ways.
func (z *citizen) end(c *Context, n int) error {
	switch n {
	case 36:
		panic(errModel)
	case 37:
		runtime.Goexit()
	case 38:
		if z.rng.IntN(4) == 0 {
			c.Exit([]error{nil, errModel}[z.rng.IntN(2)])
		}
	case 39:
		return errModel
	}
	return nil
}

// fork begins another handler, at once or later.
func (z *citizen) fork(c *Context, ttl int) {
	f := func(c *Context) {
		z.enter()
		defer z.exit()
		if ttl > 0 {
			z.send(c, ttl-1)
		}
		c.Wakeup(z.slot)
	}
	if z.rng.IntN(2) == 0 {
		c.Fork(f)
	} else {
		c.After(callTime(z.rng), f)
	}
}

// section does something in the service's section.
func (z *citizen) section(c *Context, x *parcel) error {
	err := z.pause(func() error {
		return z.p.serial.Do(c, func() error {
			z.enter()
			defer z.exit()
			if x.ttl > 0 {
				z.send(c, x.ttl-1)
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, ErrCallCycle) && !errors.Is(err, ErrStopped) {
		z.w.complain("section: %v", err)
	}
	return nil
}

// pass passes x on: what comes there is another parcel, whose fate x's sender hears.
func (z *citizen) pass(c *Context, x *parcel) {
	to := z.w.target(z.rng)
	y := &parcel{from: x.from, to: to, ttl: x.ttl - 1, call: x.call, over: true}
	z.p.all = append(z.p.all, y)
	if y.err = z.pause(func() error { return c.Redirect(to, y) }); y.err == nil { // it waits for room
		x.passed.Store(true)
		y.passed.Store(x.call) // its bounce is x's error
	}
}

// The runtime keeps its promises, whatever its services do: each message is handled once,
// or its sender hears of it, in the order in which they were sent, one at a time.
func TestModel(t *testing.T) {
	for _, cfg := range []Config{
		{Workers: 1, Slice: 1}, {Workers: 1, Slice: 64}, {Workers: 2, Slice: 1}, {Workers: 2, Slice: 64}, {Workers: 8, Slice: 1}, {Workers: 8, Slice: 64},
	} {
		t.Run(fmt.Sprintf("workers %d, slice %d", cfg.Workers, cfg.Slice), func(t *testing.T) {
			seed := testutil.Seed(t)
			for round := range 3 {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, cfg, seed+uint64(round), 12)
					for range 3 {
						go w.goroutine(400, 2)
					}
					time.Sleep(time.Hour)
					synctest.Wait()
					w.rt.Close()
					synctest.Wait()
					w.account()
				})
			}
		})
	}
}
