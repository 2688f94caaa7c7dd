// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A timer that Stop calls pending never fires, any other fires once: with the
// real clock, and the two at the same time.
func TestStopOrFireNeverBothNorNeither(t *testing.T) {
	testutil.NoLeaks(t)
	seed := testutil.Seed(t)
	w := New()
	var stopped, fired atomic.Int64
	var group sync.WaitGroup
	const goroutines, rounds = 8, 2000
	for g := range goroutines {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			for range rounds {
				fires := make(chan time.Time, 2)
				timer := Timer{Fire: func(*Timer) { fired.Add(1); fires <- time.Now() }}
				d, begin := time.Duration(rng.IntN(3000))*time.Microsecond-time.Millisecond, time.Now()
				w.Start(&timer, d)
				if rng.IntN(8) == 0 {
					time.Sleep(d + time.Millisecond/2)
				}
				if w.Stop(&timer) {
					stopped.Add(1)
				} else if after := (<-fires).Sub(begin); after < d {
					t.Errorf("a timer of %v has fired after %v", d, after)
				}
			}
		})
	}
	group.Wait()
	if got := w.Pending(); got != 0 {
		t.Errorf("%d timers are pending after all have fired or were stopped", got)
	}
	w.Close()
	if got := stopped.Load() + fired.Load(); got != goroutines*rounds {
		t.Errorf("%d stopped and %d fired of %d timers", stopped.Load(), fired.Load(), goroutines*rounds)
	}
}

// Goroutines that start and stop the same timers, which do so too when they fire.
func TestSharedTimersUnderContention(t *testing.T) {
	testutil.NoLeaks(t)
	seed := testutil.Seed(t)
	w := New()
	defer w.Close()
	timers := make([]Timer, 500)
	stir := func(rng *rand.Rand) {
		timer := &timers[rng.IntN(len(timers))]
		if rng.IntN(4) == 0 {
			w.Stop(timer)
		} else {
			w.Start(timer, time.Duration(rng.IntN(200_000_000>>rng.IntN(12))))
		}
	}
	onWheel := rand.New(rand.NewPCG(seed, 0))
	for i := range timers {
		timers[i].Fire = func(*Timer) { stir(onWheel) }
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(1+g)))
			for i := range 20_000 {
				if stir(rng); i%1000 == 0 {
					w.mu.Lock()
					if err := w.slots.verify(); err != nil {
						t.Error(err)
					}
					w.mu.Unlock()
				}
			}
		})
	}
	group.Wait()
}

func TestCloseKeepsPendingTimersFromFiring(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		w := New()
		fail := func(*Timer) { t.Error("a timer fires after Close") }
		first, second := Timer{Fire: fail}, Timer{Fire: fail}
		w.Start(&first, time.Second)
		w.Start(&second, time.Hour)
		time.Sleep(time.Second - 1)
		w.Close()
		w.Close()
		if w.Start(&first, 0) || w.Start(&Timer{Fire: fail}, 0) {
			t.Error("Start after Close reports true")
		}
		if got := w.Pending(); got != 2 {
			t.Errorf("%d timers will never fire, want 2", got)
		}
		if !w.Stop(&first) || w.Stop(&first) || w.Pending() != 1 {
			t.Error("Stop does not take one timer out of the closed wheel")
		}
		time.Sleep(day)
	})
}

func TestCloseWaitsForTheFireThatRuns(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		w := New()
		returned := false
		slow := Timer{Fire: func(*Timer) { time.Sleep(time.Minute); returned = true }}
		late := Timer{Fire: func(*Timer) { t.Error("a timer fires after Close") }}
		w.Start(&slow, 0)
		w.Start(&late, 0)
		synctest.Wait()
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if w.Close(); !returned {
					t.Error("Close has not waited")
				}
			})
		}
		group.Wait()
	})
}

func TestUnusedWheelHasNoGoroutine(t *testing.T) {
	testutil.NoLeaks(t)
	w := New() // a goroutine would be a leak: it is not closed
	if w.Stop(&Timer{}) || w.Pending() != 0 {
		t.Error("a timer that was never started is pending")
	}
	w = New()
	w.Close()
	if w.Start(&Timer{}, 0) {
		t.Error("Start after Close reports true")
	}
}
