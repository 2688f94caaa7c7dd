// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// More goroutines than processors hold it, some of them across a switch to another.
func TestSpinLockExcludes(t *testing.T) {
	const goroutines, each = 16, 500
	var l spinLock
	var wg sync.WaitGroup
	count := 0
	for i := range goroutines {
		wg.Go(func() {
			for k := range each {
				l.Lock()
				count++
				if (i+k)%100 == 0 {
					runtime.Gosched()
				}
				l.Unlock()
			}
		})
	}
	wg.Wait()
	if count != goroutines*each {
		t.Errorf("counted %d under the lock, want %d", count, goroutines*each)
	}
}

// Who waits for a holder that sleeps gets the lock when that is done.
func TestSpinLockWaitsForOneThatSleeps(t *testing.T) {
	var l spinLock
	released := false
	l.Lock()
	go func() {
		time.Sleep(5 * time.Millisecond)
		released = true
		l.Unlock()
	}()
	l.Lock()
	defer l.Unlock()
	if !released {
		t.Error("two hold the lock")
	}
}
