// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// NoLeaks fails the test, unless it has failed already, if at its end goroutines run that did not run when
// NoLeaks was called. They have time to end. It looks after the
// cleanups that the test registers later, so it is called first. A test that
// calls it does not run in parallel with others: their goroutines cannot be
// told from its own.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return // they are its traces, most likely
		}
		if err := leaks(before); err != nil {
			t.Error(err)
		}
	})
}

// leakPatience is how long goroutines may take to end.
var leakPatience = time.Minute

// leaks returns which goroutines run that options do not pass over, when they have had time to end.
func leaks(options ...goleak.Option) error {
	for end := time.Now().Add(leakPatience); ; {
		last := !time.Now().Before(end)                         // first: the machine may stand still while it is looked
		if err := goleak.Find(options...); err == nil || last { // it waits for a moment
			return err
		}
	}
}
