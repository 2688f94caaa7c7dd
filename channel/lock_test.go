// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"sync"
	"testing"
	"time"
)

// Quick owners and patient ones keep each other out, and each comes to its turn.
func TestSendLockKeepsOthersOut(t *testing.T) {
	var (
		l     sendLock
		count int // guarded by l
		all   sync.WaitGroup
	)
	const turns = 20_000
	quick := make([]int, 2)
	for i := range quick {
		all.Go(func() {
			for range turns {
				if l.Enter() {
					count++
					l.Leave()
					quick[i]++
				} else {
					l.Lock()
					count++
					l.Unlock()
				}
			}
		})
	}
	all.Go(func() {
		for range turns / 10 {
			l.Lock()
			count++
			l.Unlock()
		}
	})
	all.Wait()
	if want := 2*turns + turns/10; count != want {
		t.Errorf("counted to %d, want %d", count, want)
	}
	if quick[0]+quick[1] == 0 {
		t.Error("nobody was ever quick")
	}
}

// While a patient owner holds the lock, or waits for it, nobody enters.
func TestSendLockQuickOnesWaitForPatientOnes(t *testing.T) {
	var l sendLock
	l.Lock()
	if l.Enter() {
		t.Fatal("entered what is locked")
	}
	l.Unlock()
	if !l.Enter() || l.Enter() {
		t.Fatal("want one to enter, and only one")
	}
	locked := make(chan bool)
	go func() {
		l.Lock()
		locked <- true
	}()
	for !l.wanted.Load() {
		time.Sleep(time.Millisecond)
	}
	l.Leave() // nobody enters before the one that waits has had it
	if l.Enter() {
		t.Error("entered before the one that waited")
	}
	<-locked
	l.Unlock()
	if !l.Enter() {
		t.Error("the lock is still held")
	}
}
