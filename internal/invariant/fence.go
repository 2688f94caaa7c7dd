// SPDX-License-Identifier: Apache-2.0

//go:build !race

package invariant

// Fence is needed under the race detector alone.
func Fence() {}
