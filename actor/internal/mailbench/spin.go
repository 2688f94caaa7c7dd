// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/sys"
)

const (
	polls  = 20 // looks at a lock before others may run
	pauses = 4  // between two looks
)

// A spinLock is held for a few stores. Whoever finds it held polls it for about a
// microsecond and then lets others run, because its holder may have lost its
// processor. To let go is a store without a barrier: half of what a mutex costs.
type spinLock struct{ held atomic.Uint32 }

// Lock waits until the lock is free and takes it.
func (l *spinLock) Lock() {
	if !l.tryLock() {
		l.poll()
	}
}

// Unlock lets go.
func (l *spinLock) Unlock() { sys.StoreRelease(&l.held, 0) }

func (l *spinLock) tryLock() bool { return l.held.CompareAndSwap(0, 1) }

func (l *spinLock) poll() {
	for turn := 1; ; turn++ {
		if l.held.Load() == 0 && l.tryLock() {
			return
		}
		if turn%polls == 0 {
			runtime.Gosched()
		} else {
			sys.Pause(pauses)
		}
	}
}

// A quickLock is a spin lock of which one goroutine at most polls: the others wait
// behind it at a mutex.
type quickLock struct {
	spinLock
	queue sync.Mutex
}

// Lock waits until the lock is free and takes it.
func (l *quickLock) Lock() {
	if !l.tryLock() {
		l.wait()
	}
}

func (l *quickLock) wait() {
	l.queue.Lock()
	l.poll()
	l.queue.Unlock()
}
