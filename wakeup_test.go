// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestWakeAfterRebind: the reader that comes after another counts its sleeps
// from where nobody takes them for the other's, which the writer ended.
func TestWakeAfterRebind(t *testing.T) {
	d := dynamic(t)
	from := bind(t, d, a)
	for i := range 3 {
		to, err := d.Bind(b, skybus.WithWait(skybus.WaitPark))
		if err != nil {
			t.Fatal(err)
		}
		got := run(t, func() error { _, err := to.Recv(soon(t)); return err })
		parked(t, d, b)
		clock := testutil.StartClock()
		send(t, from, b, "wake up")
		if err := got(); err != nil {
			t.Fatal(err)
		}
		if took := clock.Stop(); took > atOnce {
			t.Errorf("reader %d was woken after %v", i, took)
		}
		to.Close()
	}
}

// TestRoomAfterRebind is the same for a sender that waits for room.
func TestRoomAfterRebind(t *testing.T) {
	d := small(t)
	to := bind(t, d, b)
	for i := range 3 {
		from, err := d.Bind(a, skybus.WithWait(skybus.WaitPark))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, from, b, 100)
		before := parks(d, a)
		sent := run(t, func() error { return from.Send(soon(t), b, make([]byte, 100)) })
		eventually(t, "the sender is parked", func() bool { return parks(d, a) > before })
		time.Sleep(2 * time.Millisecond)
		clock := testutil.StartClock()
		drain(t, to)
		if err := sent(); err != nil {
			t.Fatal(err)
		}
		if took := clock.Stop(); took > atOnce {
			t.Errorf("sender %d was woken after %v", i, took)
		}
		from.Close()
		drain(t, to)
	}
}

// TestManySleep: several goroutines wait at one endpoint, one of them in the
// kernel. Each message wakes one of them at once, and the end of its context ends
// the wait of each.
func TestManySleep(t *testing.T) {
	const sleepers = 4
	d := dynamic(t)
	from := bind(t, d, a)
	to := bind(t, d, b, skybus.WithWait(skybus.WaitPark))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan error, sleepers)
	for range sleepers {
		before := parks(d, b)
		go func() { _, err := to.Recv(ctx); got <- err }()
		eventually(t, "it sleeps", func() bool { return parks(d, b) > before })
	}
	next := func(kind error) {
		t.Helper()
		clock := testutil.StartClock()
		select {
		case err := <-got:
			if !errors.Is(err, kind) {
				t.Errorf("got the error %v, want %v", err, kind)
			}
		case <-time.After(patience):
			t.Fatal("nobody wakes")
		}
		if took := clock.Stop(); took > atOnce {
			t.Errorf("one was woken after %v", took)
		}
	}
	for range sleepers - 2 {
		send(t, from, b, "for one of them")
		next(nil)
		parked(t, d, b)
	}
	cancel()
	next(context.Canceled)
	next(context.Canceled)
}
