// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"structs"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
)

// DoorbellSize is the memory that a Doorbell takes, in bytes.
const DoorbellSize = 256

// A Doorbell wakes one process that has nothing to read. It lies in shared
// memory. The protocol (docs/design/doorbell.md):
//
//	reader: d = Count; Sleep(episode); look everywhere once more; Wait(d); Awake
//	writer: make the message visible; Notify
//
// The reader alone writes sleeping and the writers alone count up, so a writer
// that dies between any two steps leaves nothing that must be repaired.
type Doorbell struct {
	_        structs.HostLayout
	sleeping atomic.Uint32 // episode of the reader's sleep, 0 while it is awake; written by the reader
	_        [124]byte     // the writers' word has a line, and its neighbour, of its own
	count    atomic.Uint32 // the futex word; written by writers, and by the reader's own process to end a wait
	_        [124]byte
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(Doorbell{})-DoorbellSize]
	_ = [1]struct{}{}[unsafe.Offsetof(Doorbell{}.count)-128]
)

// The system calls, replaced by tests that explore interleavings.
var (
	futexWait = sys.FutexWait
	futexWake = sys.FutexWake
)

// Count returns the number that Wait compares with.
func (b *Doorbell) Count() uint32 {
	invariantStep("shm.bell.count")
	return b.count.Load()
}

// Sleep announces that the reader is about to wait. episode is not 0 and
// differs from the last one.
func (b *Doorbell) Sleep(episode uint32) {
	invariantStep("shm.bell.sleep")
	b.sleeping.Store(episode) // pairs with the load in Notify ("sleeping")
	invariant.Fence()
}

// Awake takes back the announcement of episode, unless a later one stands there.
func (b *Doorbell) Awake(episode uint32) {
	invariantStep("shm.bell.awake")
	b.sleeping.CompareAndSwap(episode, 0)
}

// Sleeping returns the episode announced, or 0.
func (b *Doorbell) Sleeping() uint32 { return b.sleeping.Load() }

// Wait blocks while the count is d, for timeout at most.
func (b *Doorbell) Wait(d uint32, timeout time.Duration) {
	invariantStep("shm.bell.wait")
	futexWait(&b.count, d, timeout)
}

// Notify wakes the reader if it sleeps and the caller has not woken it from this
// episode already; last is the caller's memory of that. The caller has made its
// message visible by an atomic store or read-modify-write before, which is the
// barrier this load needs. It reports whether it rang.
func (b *Doorbell) Notify(last *uint32) bool {
	if invariant.Enabled {
		invariant.Step("shm.bell.sleeping")
	}
	invariant.Fence()
	e := b.sleeping.Load() // pairs with the store in Sleep ("sleeping")
	if e == 0 || e == *last {
		return false
	}
	*last = e
	b.Ring()
	return true
}

// Quiet reports whether Notify would find nothing to do.
func (b *Doorbell) Quiet(last uint32) bool {
	invariant.Fence()
	e := b.sleeping.Load() // pairs with the store in Sleep ("sleeping")
	return e == 0 || e == last
}

// Ring counts up and wakes whoever waits.
func (b *Doorbell) Ring() {
	invariantStep("shm.bell.ring")
	b.count.Add(1)
	invariantStep("shm.bell.wake")
	futexWake(&b.count)
}

// Reset takes back any announcement: the reader goes away.
func (b *Doorbell) Reset() { b.sleeping.Store(0) }
