// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// A spinLock guards what is held for some ten nanoseconds, such as a mailbox. Against a
// sync.Mutex it saves the second of two locked instructions, for nobody sleeps on it who
// would have to be woken: who finds it taken looks again, and lets other goroutines
// run between. docs/design/mailbox.md has the figures.
type spinLock struct{ held atomic.Uint32 }

func (l *spinLock) Lock() {
	if !l.held.CompareAndSwap(0, 1) {
		l.spin()
	}
}

func (l *spinLock) Unlock() { sys.StoreRelease(&l.held, 0) }

// How a lock that is taken is waited for.
const (
	looks   = 64
	dozeFor = 20 * time.Microsecond // and what the kernel adds
)

// spin looks for a while. Then other goroutines may run, for the holder may be one of them
// that was preempted; and then the thread sleeps, for the holder's thread may wait for its
// processor: without that it would, for milliseconds.
func (l *spinLock) spin() {
	for try := 0; ; try++ {
		for range looks {
			if l.held.Load() == 0 && l.held.CompareAndSwap(0, 1) {
				return
			}
			sys.Pause(1)
		}
		if try%2 == 0 {
			runtime.Gosched()
		} else {
			sys.Doze(dozeFor)
		}
	}
}
