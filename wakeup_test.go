// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"testing"
	"time"

	"github.com/skybus-io/skybus"
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
		start := time.Now()
		send(t, from, b, "wake up")
		if err := got(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > atOnce {
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
		start := time.Now()
		drain(t, to)
		if err := sent(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > atOnce {
			t.Errorf("sender %d was woken after %v", i, took)
		}
		from.Close()
		drain(t, to)
	}
}
