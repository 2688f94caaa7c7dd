// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestATallyCountsAllCallersAfterTheWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tally := NewTally(&Options{Warmup: time.Second, Duration: 10 * time.Second, Flight: 3})
		for i := range tally.Callers() {
			last := uint64(0)
			go tally.Loop(i, func(n uint64) {
				if n != last+1 {
					t.Errorf("call %d of caller %d comes after call %d", n, i, last)
				}
				last = n
				time.Sleep(time.Duration(i+1) * 100 * time.Millisecond)
			})
		}
		// 10, 5 and 3.3 calls a second; of the slowest, one more or less falls into the 10 s
		if got := tally.PerSecond(); got < 18 || got > 18.7 {
			t.Errorf("%v calls a second, want 18.3", got)
		}
	})
}
