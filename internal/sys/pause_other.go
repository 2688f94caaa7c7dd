// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package sys

// Pause does nothing here.
func Pause(uint32) {}
