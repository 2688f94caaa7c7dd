// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The operations without FUTEX_PRIVATE_FLAG: the word is shared between processes.
const (
	futexWait = 0
	futexWake = 1
)

// FutexWait blocks while *word is val, until FutexWake, a signal, or timeout. It
// may return early; the caller looks again. The system call goes through the
// scheduler (Syscall6): the thread is lost to Go while it waits.
func FutexWait(word *atomic.Uint32, val uint32, timeout time.Duration) {
	ts := unix.NsecToTimespec(int64(timeout))
	_, _, _ = syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait,
		uintptr(val), uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// FutexWake wakes all that wait on word and returns how many there were.
func FutexWake(word *atomic.Uint32) int {
	n, _, _ := syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, 1<<30, 0, 0, 0)
	return int(n)
}
