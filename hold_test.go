// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// errEnough ends a ReceiveHeld.
var errEnough = errors.New("enough")

// held receives n messages and returns what holds them, while e still receives.
func held(t *testing.T, e *skybus.Endpoint, n int) (list []skybus.Hold, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	all := make(chan struct{})
	done := run(t, func() error {
		return e.ReceiveHeld(ctx, func(_ skybus.Message, h skybus.Hold) error {
			if list = append(list, h); len(list) == n {
				close(all)
			}
			return nil
		})
	})
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatal("the messages do not come")
	}
	return list, func() {
		cancel()
		want(t, done(), context.Canceled)
	}
}

// What is released, and all before it, does not come again; the rest does, flagged.
func TestHeldComesAgainUnlessReleased(t *testing.T) {
	for _, c := range []struct {
		what    string
		release []int
		again   string
	}{
		{"nothing", nil, "0123456789"},
		{"all", []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, ""},
		{"the first three", []int{2, 0, 1}, "3456789"},
		{"all but the first", []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, "0123456789"},
		{"some twice", []int{0, 0, 1, 1, 5, 5}, "23456789"},
	} {
		t.Run(c.what, func(t *testing.T) {
			from, to := pair(t, dynamic(t))
			for i := range 10 {
				send(t, from, b, string(rune('0'+i)))
			}
			list, stop := held(t, to, 10)
			for _, i := range c.release {
				list[i].Release()
			}
			stop()
			for _, h := range list { // too late
				h.Release()
			}
			send(t, from, b, "new")
			for _, r := range c.again {
				if m := recv(t, to); string(m.Data) != string(r) || !m.Redelivered {
					t.Errorf("got %q, flagged %v; want %q, flagged", m.Data, m.Redelivered, r)
				}
			}
			if m := recv(t, to); string(m.Data) != "new" || m.Redelivered {
				t.Errorf("then got %q, flagged %v", m.Data, m.Redelivered)
			}
		})
	}
}

// A sender that waits for room gets it when the oldest is released, though the receiver
// has nothing to do.
func TestHeldMakesRoomWhenReleased(t *testing.T) {
	from, to := pair(t, small(t))
	n := fill(t, from, b, 100)
	list, stop := held(t, to, n)
	defer stop()
	done := run(t, func() error { return from.Send(soon(t), b, make([]byte, 100)) })
	for _, h := range list[1:] {
		h.Release()
	}
	list[0].Release()
	if err := done(); err != nil {
		t.Error(err)
	}
}

// Whatever the order of releases, in many goroutines, lanes grow and are followed, and
// each message comes once.
func TestHeldInAnyOrder(t *testing.T) {
	const senders, each = 3, 20_000
	rng := testutil.Rand(t)
	d := dynamic(t)
	to := bind(t, d, b)
	var sending sync.WaitGroup
	for i := range senders {
		from := bind(t, d, c+addr.Addr(i))
		size := rng.IntN(2000)
		sending.Go(func() {
			for k := range uint64(each) {
				if err := from.Send(context.Background(), b, append(number(k), make([]byte, size)...)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work := make(chan skybus.Hold, 100)
	var workers sync.WaitGroup
	for range 4 {
		rng := testutil.Rand(t)
		workers.Go(func() {
			var mine []skybus.Hold
			for open := true; open; {
				select {
				case h, ok := <-work:
					if open = ok; ok {
						mine = append(mine, h)
					}
				case <-time.After(time.Millisecond): // what is held for ever would hold the lane up for ever
					for len(mine) > 0 {
						mine[0].Release()
						mine = mine[1:]
					}
				}
				for len(mine) > 0 && rng.IntN(3) == 0 {
					i := rng.IntN(len(mine))
					mine[i].Release()
					mine[i] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
				}
			}
			for _, h := range mine {
				h.Release()
			}
		})
	}
	next := map[addr.Addr]uint64{}
	total := 0
	ctx, step := going(t)
	err := to.ReceiveHeld(ctx, func(m skybus.Message, h skybus.Hold) error {
		step()
		if n := numberOf(m); n != next[m.Src] || m.Redelivered {
			t.Errorf("from %v: %d, flagged %v; want %d", m.Src, n, m.Redelivered, next[m.Src])
			return errEnough
		}
		next[m.Src]++
		work <- h
		if total++; total == senders*each {
			return errEnough
		}
		return nil
	})
	want(t, err, errEnough)
	close(work)
	workers.Wait()
	sending.Wait()
}

// A message that is held for ever does not hold up those behind it: not when the lane is full of
// them, and not when it goes on in another file.
func TestHeldForEver(t *testing.T) {
	for _, c := range []struct {
		what string
		d    func(testing.TB) *skybus.Domain
	}{{"a full lane", small}, {"a lane that grows", dynamic}} {
		t.Run(c.what, func(t *testing.T) {
			const n = 50_000
			from, to := pair(t, c.d(t))
			sent := run(t, func() error {
				for k := range uint64(n) {
					if err := from.Send(soon(t), b, append(number(k), make([]byte, 200)...)); err != nil {
						return err
					}
				}
				return nil
			})
			got := uint64(0)
			ctx, step := going(t)
			want(t, to.ReceiveHeld(ctx, func(m skybus.Message, h skybus.Hold) error {
				step()
				if k := numberOf(m); k != got || m.Redelivered {
					t.Errorf("got %d, flagged %v; want %d", k, m.Redelivered, got)
				}
				if got%1000 != 0 {
					h.Release()
				}
				if got++; got == n {
					return errEnough
				}
				return nil
			}), errEnough)
			if err := sent(); err != nil {
				t.Error(err)
			}
			if e := to.EarlyReleases(); e == 0 || e > n/1000 {
				t.Errorf("%d were released early, of %d that are held", e, n/1000)
			}
		})
	}
}

// What has just come is not released before its handler has seen it, however long the lane
// was full of other things before.
func TestHeldIsSeenBeforeItIsReleased(t *testing.T) {
	const most = 3000
	rng := testutil.Rand(t)
	d := small(t)
	to, from, busy := bind(t, d, b), bind(t, d, a), bind(t, d, c)
	fill(t, from, b, 300) // fewer than a batch
	send(t, busy, b, "tick")
	var list []skybus.Hold
	ticks, early, news := 0, uint64(0), false
	ctx, step := going(t)
	want(t, to.ReceiveHeld(ctx, func(m skybus.Message, h skybus.Hold) error {
		step()
		if m.Src == a {
			if n := to.EarlyReleases() - early; news && n > 0 {
				t.Errorf("after %d turns %d were released early, before they were seen", ticks, n)
				return errEnough
			}
			list, news = append(list, h), false
			return nil
		}
		h.Release()
		if ticks++; ticks > most {
			return errEnough
		}
		time.Sleep(100 * time.Microsecond)
		if ticks > 100 && !news && rng.IntN(2) == 0 {
			for _, h := range list {
				h.Release()
			}
			list, early = nil, to.EarlyReleases()
			news = fill(t, from, b, 300) > 0
		}
		return busy.TrySend(b, []byte("tick")) // it never waits
	}), errEnough)
}

// What is put back is there for who receives next, also from lanes that were looked at no more.
func TestHeldIsThereWhenItIsPutBack(t *testing.T) {
	const senders = 20 // more than are polled
	d := dynamic(t)
	to := bind(t, d, b)
	for i := range addr.Addr(senders) {
		send(t, bind(t, d, c+i), b, "held")
	}
	_, stop := held(t, to, senders)
	parked(t, d, b)
	stop()
	for i := range senders {
		if m, err := to.TryRecv(); err != nil || !m.Redelivered {
			t.Fatalf("of %d messages, %d are there: %v", senders, i, err)
		}
	}
}

// What is to stay in its lane stays, though others come behind it, and comes again.
func TestHeldIsKept(t *testing.T) {
	for _, c := range []struct {
		what string
		d    func(testing.TB) *skybus.Domain
	}{{"a full lane", small}, {"a lane that grows", dynamic}} {
		t.Run(c.what, func(t *testing.T) {
			from, to := pair(t, c.d(t))
			const size = 100
			sent := fill(t, from, b, size)
			ctx, cancel := context.WithCancel(context.Background())
			var got atomic.Int64
			done := run(t, func() error {
				return to.ReceiveHeld(ctx, func(_ skybus.Message, h skybus.Hold) error {
					if got.Add(1) == 3 {
						h.Keep()
					} else {
						h.Release()
					}
					return nil
				})
			})
			eventually(t, "some to be taken", func() bool { return got.Load() > 10 })
			time.Sleep(100 * time.Millisecond) // as long as it takes to lose patience
			cancel()
			want(t, done(), context.Canceled)
			if n := to.EarlyReleases(); n > 0 {
				t.Errorf("%d were released early", n)
			}
			if all := drain(t, to); len(all) != sent-2 {
				t.Errorf("of %d messages %d come again, want all but 2", sent, len(all))
			}
		})
	}
}

// An Intake is used by goroutines in turn. It wakes for messages, for Wake, and for what its user
// asks for, and tells when it sleeps.
func TestIntakeWaits(t *testing.T) {
	for _, mode := range []skybus.Wait{skybus.WaitSpin, skybus.WaitAdaptive, skybus.WaitPark} {
		d := dynamic(t)
		from, err := d.Bind(addr.MustParse("0.0.3.1"))
		want(t, err, nil)
		to, err := d.Bind(addr.MustParse("0.0.3.2"), skybus.WithWait(mode))
		want(t, err, nil)
		in, err := to.Intake()
		want(t, err, nil)
		if _, err := to.Intake(); !errors.Is(err, skybus.ErrReceiving) {
			t.Errorf("a second one: %v", err)
		}
		var work, sleeps, got atomic.Int32
		done := run(t, func() error {
			for got.Load() < 100 && work.Load() == 0 {
				n, err := in.Poll(func(m *skybus.Message, h skybus.Hold) error {
					if len(m.Data) != 1 {
						t.Errorf("got %q", m.Data)
					}
					h.Release()
					return nil
				})
				if got.Add(int32(n)); err != nil {
					return err
				}
				if n > 0 {
					continue
				}
				err = in.Wait(func() bool { return work.Load() > 0 }, func(parked bool) {
					if parked {
						sleeps.Add(1)
					}
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		for range 50 {
			want(t, from.Send(soon(t), to.Addr(), []byte("x")), nil)
		}
		eventually(t, "50 messages and a sleep", func() bool { return got.Load() == 50 && (mode == skybus.WaitSpin || sleeps.Load() > 0) })
		work.Store(1)
		in.Wake()
		want(t, done(), nil)
		want(t, from.Send(soon(t), to.Addr(), []byte("y")), nil)
		eventually(t, "a message", in.Ready)
		in.Close()
		m, err := to.Recv(soon(t))
		if want(t, err, nil); string(m.Data) != "y" {
			t.Errorf("after the Intake came %q", m.Data)
		}
	}
}

// Who waits in an Intake hears of the endpoint's end.
func TestIntakeOfAClosedEndpoint(t *testing.T) {
	for _, mode := range []skybus.Wait{skybus.WaitSpin, skybus.WaitPark} {
		to, err := dynamic(t).Bind(addr.MustParse("0.0.3.2"), skybus.WithWait(mode))
		want(t, err, nil)
		in, err := to.Intake()
		want(t, err, nil)
		sleeps := make(chan struct{}, 1)
		done := run(t, func() error {
			defer in.Close()
			if mode == skybus.WaitSpin {
				sleeps <- struct{}{}
			}
			for {
				err := in.Wait(nil, func(parked bool) {
					if parked {
						select {
						case sleeps <- struct{}{}:
						default: // not the first time: it wakes each second
						}
					}
				})
				if err != nil {
					return err
				}
			}
		})
		<-sleeps
		want(t, to.Close(), nil)
		want(t, done(), skybus.ErrClosed)
	}
}
