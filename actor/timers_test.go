// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A timer for many reaches all of them.
func TestSendAfterToAGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		g := newGroup(t, rt)
		var clocks []*clock
		for range 5 {
			k := newClock(t, rt)
			clocks = append(clocks, k)
			if err := g.Join(k.pid); err != nil {
				t.Fatal(err)
			}
		}
		pool := newPool(t, rt, PoolSpec{Size: 2})
		rt.SendAfter(time.Second, g.PID(), "x")
		rt.SendAfter(time.Second, pool.PID(), "x")
		stopped := rt.SendAfter(time.Second, g.PID(), "y")
		if !stopped.Stop() {
			t.Error("nothing was to come")
		}
		time.Sleep(2 * time.Second)
		for _, k := range clocks {
			check(t, "times", &k.times, time.Second)
			check(t, "ticks", &k.ticks, any("x"))
		}
	})
}

func TestServiceEndsWithTimersPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		k := newClock(t, rt)
		k.set(t, func(c *Context) *Timer {
			c.After(time.Second, k.note)
			c.Every(time.Second, k.note)
			c.Tick(time.Second, 1)
			return rt.SendAfter(time.Second, c.Self(), 1)
		})
		gone := PID{Handle: 12345}
		rt.SendAfter(time.Second, gone, 1)
		_ = rt.Kill(k.pid)
		time.Sleep(time.Minute)
		if n := rt.Stats().Timers; n != 0 || k.times.len() > 0 || h.undelivered.len() > 0 {
			t.Errorf("%d are pending, %v came, %v undelivered", n, k.times.all(), h.undelivered.all())
		}
		other := newClock(t, rt)
		other.set(t, func(c *Context) *Timer { return c.Every(time.Second, other.note) })
		rt.Close()
		if timer := rt.SendAfter(time.Second, gone, 1); timer.Stop() {
			t.Error("a timer of a runtime that is closed")
		}
	})
}

func TestManyTimers(t *testing.T) {
	n := 1_000_000
	if raced {
		n /= 20
	}
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		count := 0 // of one service: no lock
		p := start(t, rt, Spec{Mailbox: Mailbox{Capacity: Unbounded}, New: Func(func(c *Context, m *Message) error {
			if m.Kind == KindTick {
				count++
				return nil
			}
			for i := range n {
				c.Tick(time.Duration(i)*time.Millisecond/10, nil)
			}
			return c.Reply(nil)
		})})
		call(t, rt, p, 0)
		if st := rt.Stats(); st.Timers < n*9/10 {
			t.Errorf("%d timers are pending", st.Timers)
		}
		time.Sleep(time.Duration(n) * time.Millisecond / 10)
		synctest.Wait()
		if st := rt.Stats(); count != n || st.Timers != 0 {
			t.Errorf("%d ticks, %d timers are pending", count, st.Timers)
		}
	})
}

func TestSleepsOfManyHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		const handlers = 2000
		begin := time.Now()
		var errs log[error]
		p := serve(t, rt, func(c *Context, m *Message) error {
			d := times(m.Value.(int), time.Millisecond)
			if err := c.Sleep(d); err != nil || time.Since(begin) != d {
				errs.add(errors.Join(err, errWhim))
			}
			return nil
		})
		for i := range handlers {
			send(t, rt, p, i)
		}
		synctest.Wait()
		if got := len(rt.Tasks(p, false)); got != handlers-1 {
			t.Errorf("%d handlers sleep, want %d", got, handlers-1)
		}
		time.Sleep(time.Hour)
		if errs.len() > 0 {
			t.Errorf("%d of %d sleeps failed, or took another time", errs.len(), handlers)
		}
		checkFree(t, rt)
	})
}
