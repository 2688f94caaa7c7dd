// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package sys

// Pause tells the processor n times (at least once) that this is a spin loop.
func Pause(n uint32)
