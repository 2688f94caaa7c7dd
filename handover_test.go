// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// An intake says of what it had taken what is done with, what was put back, and what is neither; and what is put back is
// not in the way of what comes behind it.
func TestLeft(t *testing.T) {
	testutil.NoLeaks(t)
	d := open(t, skybus.Options{AllowUnknown: true})
	from, to := bind(t, d, 1), bind(t, d, 2)
	const n = 6
	for i := range byte(n) {
		if err := from.Send(context.Background(), 2, []byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := to.Intake()
	if err != nil {
		t.Fatal(err)
	}
	var holds []skybus.Hold
	for len(holds) < n {
		if _, err := in.Poll(func(_ *skybus.Message, h skybus.Hold) error { holds = append(holds, h); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	holds[0].Release()
	for i, want := range []bool{false, true} { // the first one is released
		if got := holds[i].PutBack(); got != want {
			t.Errorf("message %d was put back: %v, want %v", i, got, want)
		}
	}
	holds[2].Release()
	holds[4].Keep()
	holds[4].Release() // too late
	in.Close()
	left := in.Left()
	if len(left) != 1 || left[0].Src != 1 || len(left[0].Messages) != n-1 {
		t.Fatalf("left is %+v", left)
	}
	first := left[0].Messages[0].Seq
	for i, want := range []skybus.LeftMessage{{Kept: true}, {Done: true}, {}, {Kept: true}, {}} {
		if want.Seq = first + uint64(i); left[0].Messages[i] != want {
			t.Errorf("message %d: %+v, want %+v", i, left[0].Messages[i], want)
		}
	}
	if (skybus.Hold{}).PutBack() {
		t.Error("a zero Hold was put back")
	}
}

// HandOver is refused when the address is free.
func TestHandOverOfAClosedEndpoint(t *testing.T) {
	d := open(t, skybus.Options{})
	e := bind(t, d, 1)
	f, release, err := e.HandOver()
	if err != nil || f == nil {
		t.Fatal(err)
	}
	release()
	e.Close()
	if _, _, err := e.HandOver(); !errors.Is(err, skybus.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
	if _, err := d.Bind(1, skybus.WithLock(f)); err == nil {
		t.Error("an address was bound by a descriptor that does not hold it")
	}
}
