// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A clock is a service in whose handler a test sets timers, and that notes when they
// come.
type clock struct {
	pid   PID
	rt    *Runtime
	begin time.Time
	times log[time.Duration]
	ticks log[any]
}

func newClock(t *testing.T, rt *Runtime) *clock {
	t.Helper()
	k := &clock{rt: rt, begin: time.Now()}
	k.pid = serve(t, rt, func(c *Context, m *Message) error {
		switch v := m.Value.(type) {
		case func(*Context) *Timer:
			return c.Reply(v(c))
		default:
			if m.Kind != KindTick || m.IsCall() {
				t.Errorf("%v of kind %d", v, m.Kind)
			}
			k.note(c)
			k.ticks.add(v)
		}
		return nil
	})
	return k
}

func (k *clock) note(*Context) { k.times.add(time.Since(k.begin)) }

// set makes a timer in the handler.
func (k *clock) set(t *testing.T, f func(*Context) *Timer) *Timer {
	t.Helper()
	return call(t, k.rt, k.pid, f).(*Timer)
}

// times returns n multiples of d.
func multiples(d time.Duration, n int) (list []time.Duration) {
	for i := range n {
		list = append(list, time.Duration(i+1)*d)
	}
	return list
}

func TestTimersComeInTime(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what string
		set  func(c *Context, k *clock) *Timer
		want []time.Duration // within a minute
		more bool            // more is to come
	}{
		{"After", func(c *Context, k *clock) *Timer { return c.After(time.Second, k.note) }, multiples(time.Second, 1), false},
		{"After nothing", func(c *Context, k *clock) *Timer { return c.After(0, k.note) }, []time.Duration{0}, false},
		{"After less than nothing", func(c *Context, k *clock) *Timer { return c.After(-time.Hour, k.note) }, []time.Duration{0}, false},
		{"After less than a tick", func(c *Context, k *clock) *Timer { return c.After(1, k.note) }, multiples(ms, 1), false},
		{"After an hour", func(c *Context, k *clock) *Timer { return c.After(time.Hour, k.note) }, nil, true},
		{"Every", func(c *Context, k *clock) *Timer { return c.Every(time.Second, k.note) }, multiples(time.Second, 60), true},
		{"Every, as often as can be", func(c *Context, k *clock) *Timer { return c.Every(1, k.note) }, multiples(ms, 2000), true},
		{"Tick", func(c *Context, _ *clock) *Timer { return c.Tick(time.Second, "x") }, multiples(time.Second, 1), false},
		{"TickEvery", func(c *Context, _ *clock) *Timer { return c.TickEvery(10*time.Second, "x") }, multiples(10*time.Second, 6), true},
		{"SendAfter", func(c *Context, k *clock) *Timer { return k.rt.SendAfter(time.Second, c.Self(), "x") }, multiples(time.Second, 1), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newClock(t, newRuntime(t, Config{}))
				timer := k.set(t, func(ctx *Context) *Timer { return c.set(ctx, k) })
				if len(c.want) < 100 {
					time.Sleep(time.Minute)
				} else {
					time.Sleep(c.want[len(c.want)-1])
				}
				synctest.Wait()
				check(t, "times", &k.times, c.want...)
				for _, v := range k.ticks.all() {
					if v != "x" {
						t.Errorf("tick %v", v)
					}
				}
				if timer.Stop() != c.more || timer.Stop() {
					t.Error("Stop does not tell whether something was to come")
				}
				n := k.times.len()
				if time.Sleep(2 * time.Hour); k.times.len() != n || k.rt.Stats().Timers != 0 {
					t.Error("it goes on after Stop")
				}
			})
		})
	}
}

// Nothing comes before its time, whatever time it was begun.
func TestTimersAreNeverEarly(t *testing.T) {
	rng := testutil.Rand(t)
	bubble(t, func(t *testing.T) {
		k := newClock(t, newRuntime(t, Config{}))
		var late log[time.Duration]
		const n = 2000
		for range n {
			time.Sleep(time.Duration(rng.IntN(3_000_000)))
			d := time.Duration(rng.IntN(50_000_000))
			due := time.Now().Add(d)
			k.set(t, func(c *Context) *Timer {
				return c.After(d, func(*Context) { late.add(time.Since(due)) })
			})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		list := late.all()
		if len(list) != n || slices.Min(list) < 0 || slices.Max(list) >= time.Millisecond {
			t.Errorf("%d of %d timers, from %v to %v late", len(list), n, slices.Min(list), slices.Max(list))
		}
	})
}

// A late service gets one, not all of those that it has missed.
func TestEveryLeavesOutWhatIsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newClock(t, newRuntime(t, Config{}))
		release := make(chan struct{})
		k.set(t, func(c *Context) *Timer {
			return c.Every(time.Second, func(c *Context) {
				if k.note(c); k.times.len() == 3 {
					<-release
				}
			})
		})
		time.Sleep(20*time.Second + time.Second/2)
		close(release)
		time.Sleep(2 * time.Second)
		s := time.Second
		check(t, "times", &k.times, s, 2*s, 3*s, 20*s+s/2, 21*s, 22*s)
	})
}

// slowRemote holds the timers' goroutine up at each message.
type slowRemote struct{ d time.Duration }

func (r slowRemote) Send(PID, *Message) error                         { time.Sleep(r.d); return nil }
func (r slowRemote) SendLater(PID, *Message, func(error)) func() bool { return nil }
func (r slowRemote) Forget(PID, uint64)                               {}
func (r slowRemote) Monitor(PID, PID) (stop func(), err error)        { return nil, nil }

// When it fires late, the next time is not later for it.
func TestEveryDoesNotDrift(t *testing.T) {
	bubble(t, func(t *testing.T) {
		far := PID{Node: addr.MustParse("0.0.0.9"), Handle: 1}
		rt := newRuntime(t, Config{Remote: slowRemote{time.Second / 2}})
		m, err := rt.Monitor(far, far)
		if err != nil {
			t.Fatal(err)
		}
		m.Stop() // of a Remote that needs nothing for it
		k := newClock(t, rt)
		k.set(t, func(c *Context) *Timer {
			for i := range 100 {
				rt.SendAfter(time.Duration(i+1)*10*time.Second, far, 1) // fires just before
			}
			return c.Every(10*time.Second, k.note)
		})
		time.Sleep(1001 * time.Second)
		want := multiples(10*time.Second, 100)
		for i := range want {
			want[i] += time.Second / 2
		}
		check(t, "times", &k.times, want...)
	})
}

func TestTimerIsStoppedBeforeItIsHandled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newClock(t, newRuntime(t, Config{}))
		var timers []*Timer
		k.set(t, func(c *Context) *Timer {
			timers = []*Timer{c.After(time.Second, k.note), c.Every(time.Second, k.note), c.Tick(time.Second, 1), c.TickEvery(time.Second, 1), k.rt.SendAfter(time.Second, c.Self(), 1)}
			return nil
		})
		block := make(chan struct{})
		k.set(t, func(c *Context) *Timer {
			c.Fork(func(*Context) { <-block })
			return nil
		})
		time.Sleep(5 * time.Second) // all wait in the mailbox
		for i, timer := range timers {
			if !timer.Stop() {
				t.Errorf("timer %d says that nothing is to come", i)
			}
		}
		close(block)
		time.Sleep(time.Minute)
		if k.times.len() > 0 || k.rt.Stats().Timers != 0 {
			t.Errorf("they came at %v; %d are pending", k.times.all(), k.rt.Stats().Timers)
		}
	})
}

func TestTimerStopsItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newClock(t, newRuntime(t, Config{}))
		k.set(t, func(c *Context) (timer *Timer) {
			timer = c.Every(time.Second, func(c *Context) {
				if k.note(c); k.times.len() == 3 {
					timer.Stop()
				}
			})
			return timer
		})
		time.Sleep(time.Minute)
		check(t, "times", &k.times, multiples(time.Second, 3)...)
	})
}
