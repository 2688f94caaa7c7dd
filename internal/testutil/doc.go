// SPDX-License-Identifier: Apache-2.0

// Package testutil holds what tests of all packages need: random numbers whose
// seed is printed and can be replayed, a directory for a domain in shared
// memory, and a check that no goroutine is left behind.
//
//	func TestOrderUnderLoad(t *testing.T) {
//		testutil.NoLeaks(t)
//		rng := testutil.Rand(t)
//		dir := testutil.Dir(t)
//		...
//	}
//
// Only tests import it, and it imports no package of the module, so that every
// package can use it (internal/layers keeps both).
package testutil
