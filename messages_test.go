// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"testing"

	"github.com/skybus-io/skybus"
)

func TestMessages(t *testing.T) {
	_, to := ten(t)
	var h handled
	for m, err := range to.Messages(soon(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if h.add(m); m.Seq == 3 {
			break // releases
		}
	}
	func() {
		defer func() { _ = recover() }()
		for m, err := range to.Messages(soon(t)) {
			if h.add(m); err != nil || m.Seq == 5 {
				panic(errBoom) // does not
			}
		}
	}()
	last := error(nil)
	for m, err := range to.Messages(soon(t)) {
		if last = err; err != nil {
			continue // it is the last pair
		}
		if h.add(m); m.Seq == 10 {
			to.Close()
		}
	}
	want(t, last, skybus.ErrClosed)
	h.want(t, "1 2 3 4 5 5! 6 7 8 9 10")
}

// TestMessagesReturnsFromBody: a return in the loop's body releases as break does.
func TestMessagesReturnsFromBody(t *testing.T) {
	_, to := ten(t)
	first := func() uint64 {
		for m, err := range to.Messages(soon(t)) {
			if err != nil {
				t.Error(err)
			}
			return m.Seq
		}
		return 0
	}
	if x, y := first(), first(); x != 1 || y != 2 {
		t.Errorf("received %d and %d", x, y)
	}
}
