// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"testing"

	"go.uber.org/goleak"
)

// NoLeaks fails the test if at its end goroutines run that did not run when
// NoLeaks was called. They have about a second to end. It looks after the
// cleanups that the test registers later, so it is called first. A test that
// calls it does not run in parallel with others: their goroutines cannot be
// told from its own.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}
