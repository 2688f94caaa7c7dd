// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

var waits = []skybus.Wait{skybus.WaitAdaptive, skybus.WaitSpin, skybus.WaitPark}

// eachWait runs a test once a waiting mode.
func eachWait(t *testing.T, f func(t *testing.T, w skybus.Wait)) {
	for _, w := range waits {
		t.Run(w.String(), func(t *testing.T) { f(t, w) })
	}
}

// blockers are the calls that wait for ever in a domain where nothing happens:
// from's lane to b is full and to's inbox is empty.
var blockers = map[string]func(ctx context.Context, from, to *skybus.Endpoint) error{
	"Send": func(ctx context.Context, from, _ *skybus.Endpoint) error { return from.Send(ctx, b, make([]byte, 100)) },
	"SendBatch": func(ctx context.Context, from, _ *skybus.Endpoint) error {
		_, err := from.SendBatch(ctx, b, [][]byte{make([]byte, 100)})
		return err
	},
	"Claim": func(ctx context.Context, from, _ *skybus.Endpoint) error {
		_, err := from.Claim(ctx, b, 100)
		return err
	},
	"Recv": func(ctx context.Context, _, to *skybus.Endpoint) error { _, err := to.Recv(ctx); return err },
	"RecvFrom": func(ctx context.Context, _, to *skybus.Endpoint) error {
		_, err := to.RecvFrom(ctx, a)
		return err
	},
	"Peek": func(ctx context.Context, _, to *skybus.Endpoint) error {
		_, err := to.RecvWith(ctx, skybus.RecvOptions{Peek: true})
		return err
	},
	"Receive": func(ctx context.Context, _, to *skybus.Endpoint) error {
		return to.Receive(ctx, func(skybus.Message) error { return errors.New("a message") })
	},
	"Messages": func(ctx context.Context, _, to *skybus.Endpoint) error {
		for _, err := range to.Messages(ctx) {
			return err
		}
		return errors.New("no error")
	},
}

// eachBlocker starts each waiting call in each mode, and lets end end it.
func eachBlocker(t *testing.T, kind error, end func(cancel context.CancelFunc, from, to *skybus.Endpoint)) {
	eachWait(t, func(t *testing.T, w skybus.Wait) {
		for name, call := range blockers {
			t.Run(name, func(t *testing.T) {
				testutil.NoLeaks(t)
				d := small(t)
				from := bind(t, d, a, skybus.WithWait(w))
				fill(t, from, b, 100)
				to := bind(t, d, c, skybus.WithWait(w)) // nobody sends to it
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				result := run(t, func() error { return call(ctx, from, to) })
				time.Sleep(3 * time.Millisecond)
				clock := testutil.StartClock()
				end(cancel, from, to)
				want(t, result(), kind)
				if took := clock.Stop(); took > atOnce {
					t.Errorf("it ended after %v", took)
				}
			})
		}
	})
}

func TestCancelEndsWaits(t *testing.T) {
	eachBlocker(t, context.Canceled, func(cancel context.CancelFunc, _, _ *skybus.Endpoint) { cancel() })
}

func TestCloseEndsWaits(t *testing.T) {
	eachBlocker(t, skybus.ErrClosed, func(_ context.CancelFunc, from, to *skybus.Endpoint) {
		from.Close()
		to.Close()
	})
}

func TestCloseOfDomainEndsWaits(t *testing.T) {
	eachBlocker(t, skybus.ErrClosed, func(_ context.CancelFunc, from, _ *skybus.Endpoint) { from.Domain().Close() })
}

func TestDeadlineEndsWaits(t *testing.T) {
	eachWait(t, func(t *testing.T, w skybus.Wait) {
		d := small(t)
		from := bind(t, d, a, skybus.WithWait(w))
		fill(t, from, b, 100)
		to := bind(t, d, c, skybus.WithWait(w))
		for name, call := range blockers {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			clock := testutil.StartClock()
			if err := call(ctx, from, to); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if took := clock.Stop(); took > atOnce {
				t.Errorf("%s ended after %v", name, took)
			}
			cancel()
		}
	})
}

// TestWaitsEndWithAMessage: in each mode of the endpoint and of the call.
func TestWaitsEndWithAMessage(t *testing.T) {
	eachWait(t, func(t *testing.T, w skybus.Wait) {
		for _, call := range append(waits, skybus.WaitDefault) {
			d := dynamic(t)
			from, to := bind(t, d, a), bind(t, d, b, skybus.WithWait(w))
			got := run(t, func() error {
				_, err := to.RecvWith(soon(t), skybus.RecvOptions{Wait: call})
				return err
			})
			time.Sleep(3 * time.Millisecond)
			clock := testutil.StartClock()
			send(t, from, b, "wake up")
			if err := got(); err != nil {
				t.Error(err)
			}
			if took := clock.Stop(); took > atOnce {
				t.Errorf("a call that waits by %v ended after %v", call, took)
			}
		}
	})
}

// TestWaitsEndWithRoom: a Send that waits goes on when the reader makes room.
func TestWaitsEndWithRoom(t *testing.T) {
	eachWait(t, func(t *testing.T, w skybus.Wait) {
		d := small(t)
		from, to := bind(t, d, a, skybus.WithWait(w)), bind(t, d, b)
		n := fill(t, from, b, 100)
		sent := run(t, func() error { return from.Send(soon(t), b, []byte("the last")) })
		time.Sleep(3 * time.Millisecond)
		clock := testutil.StartClock()
		if got := drain(t, to); len(got) < n {
			t.Errorf("received %d messages, want %d", len(got), n)
		}
		if err := sent(); err != nil {
			t.Error(err)
		}
		if took := clock.Stop(); took > atOnce {
			t.Errorf("it went on after %v", took)
		}
	})
}

// TestGrowthWakesOthers: one goroutine waits for room, another makes the lane
// grow with a large message.
func TestGrowthWakesOthers(t *testing.T) {
	d := small(t)
	from, to := bind(t, d, a, skybus.WithWait(skybus.WaitPark)), bind(t, d, b)
	n := fill(t, from, b, 100)
	before := parks(d, a)
	sent := run(t, func() error { return from.Send(soon(t), b, make([]byte, 100)) })
	eventually(t, "the sender is parked", func() bool { return parks(d, a) > before })
	time.Sleep(2 * time.Millisecond)
	clock := testutil.StartClock()
	send(t, from, b, string(make([]byte, 5000)))
	if err := sent(); err != nil {
		t.Error(err)
	}
	if took := clock.Stop(); took > atOnce {
		t.Errorf("it went on after %v", took)
	}
	if got := len(drain(t, to)); got != n+2 {
		t.Errorf("received %d messages, want %d", got, n+2)
	}
}

// TestOneProcessor: nobody spins while the other side needs the processor.
func TestOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	eachWait(t, func(t *testing.T, w skybus.Wait) {
		d := dynamic(t)
		from, to := bind(t, d, a, skybus.WithWait(w)), bind(t, d, b, skybus.WithWait(w))
		echo := run(t, func() error {
			for range 200 {
				m, err := to.Recv(soon(t))
				if err != nil {
					return err
				}
				if err := to.Send(soon(t), a, m.Data); err != nil {
					return err
				}
			}
			return nil
		})
		start := time.Now()
		for i := range 200 {
			if err := from.Send(soon(t), b, number(uint64(i))); err != nil {
				t.Fatal(err)
			}
			if m := recv(t, from); numberOf(m) != uint64(i) {
				t.Fatalf("sent %d, received %d", i, numberOf(m))
			}
		}
		if err := echo(); err != nil {
			t.Fatal(err)
		}
		t.Logf("a round trip took %v", time.Since(start)/200)
	})
}

func TestWaitNames(t *testing.T) {
	for _, w := range append(waits, skybus.WaitDefault) {
		if got, err := skybus.ParseWait(w.String()); got != w || err != nil {
			t.Errorf("%v was read as %v, %v", w, got, err)
		}
	}
	if _, err := skybus.ParseWait("nap"); err == nil {
		t.Error("read the mode nap")
	}
	if s := skybus.Wait(77).String(); s != "Wait(77)" {
		t.Errorf("wrote %q", s)
	}
}
