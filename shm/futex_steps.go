// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package shm

import (
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// SetFutex replaces the system calls behind every doorbell, for tests that
// explore interleavings; nil puts one back. It is not for concurrent use.
func SetFutex(wait func(word *atomic.Uint32, val uint32, timeout time.Duration), wake func(word *atomic.Uint32) int) {
	futexWait, futexWake = sys.FutexWait, sys.FutexWake
	if wait != nil {
		futexWait = wait
	}
	if wake != nil {
		futexWake = wake
	}
}
