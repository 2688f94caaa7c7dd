// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// A sendLock is the mutex of a Sender. Whoever sends one message holds it for so
// short a time that a sync.Mutex, which needs two atomic read-modify-writes,
// would take a third of that time: Enter and Leave need one, and only a store to
// let go, for they need not wake anybody. Everybody else, and Enter's callers
// when it says no, uses Lock and Unlock, and queues there for the quick ones to
// be gone (docs/design/send-lock.md).
type sendLock struct {
	held   atomic.Uint32
	wanted atomic.Bool // the owner of queue waits for held: the quick ones stay away
	queue  sync.Mutex
}

// Enter takes the lock if it is free and nobody waits for it.
func (l *sendLock) Enter() bool { return !l.wanted.Load() && l.held.CompareAndSwap(0, 1) }

// Leave ends what Enter began.
func (l *sendLock) Leave() { sys.StoreRelease(&l.held, 0) }

// Lock takes the lock, however long that takes.
func (l *sendLock) Lock() {
	l.queue.Lock()
	if l.held.CompareAndSwap(0, 1) {
		return
	}
	l.wanted.Store(true)
	for i := 0; !l.held.CompareAndSwap(0, 1); i++ {
		switch { // one that entered may have lost its processor, or makes its lane larger
		case i < 100:
			sys.Pause(1)
		case i < 200:
			runtime.Gosched()
		default:
			time.Sleep(20 * time.Microsecond)
		}
	}
	l.wanted.Store(false)
}

// Unlock ends what Lock began.
func (l *sendLock) Unlock() {
	l.Leave()
	l.queue.Unlock()
}
