// SPDX-License-Identifier: Apache-2.0

//go:build race

package invariant

import "sync/atomic"

// Fence stands between an atomic store to mapped memory and a load of what the
// other side stores, where one of the two sides must see the other. In other
// builds it is nothing: the stores of sync/atomic are sequentially consistent.
// The race detector's are so for Go's own memory only; to any other they are
// release stores, which a processor moves behind the load (docs/design/doorbell.md).
func Fence() {
	var own atomic.Uint32 // a word that nobody shares orders without being a synchronization that hides races
	own.Add(1)
}
