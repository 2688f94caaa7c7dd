// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

const day = 24 * time.Hour

func TestDeadlineIsNeverEarly(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		now, d time.Duration
		want   int64
	}{
		{0, 0, 0}, {0, -1, 0}, {5*ms + 1, 0, 5}, {5*ms + 1, math.MinInt64, 5},
		{0, 1, 1}, {0, ms, 1}, {0, ms + 1, 2}, {5 * ms, ms, 6}, {5*ms + 1, ms, 7}, {5*ms + 1, ms - 1, 6},
		{0, math.MaxInt64, int64(farthest / ms)}, {day, math.MaxInt64, int64(farthest / ms)},
		{day, farthest - day, int64(farthest / ms)}, {day, farthest - day - ms, int64(farthest/ms) - 1},
		{farthest, 1, int64(farthest / ms)},
	} {
		if got := deadline(c.now, c.d); got != c.want {
			t.Errorf("%v after %v: tick %d, want %d", c.d, c.now, got, c.want)
		}
	}
}

func TestTimerFiresOnceWhenItIsDue(t *testing.T) {
	testutil.NoLeaks(t)
	for _, c := range []struct{ d, want time.Duration }{
		{-time.Hour, 0}, {0, 0}, {1, time.Millisecond}, {time.Millisecond, time.Millisecond},
		{1500 * time.Microsecond, 2 * time.Millisecond}, {time.Second, time.Second},
		{time.Hour, time.Hour}, {50 * 365 * day, 50 * 365 * day},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, begin := New(), time.Now()
			defer w.Close()
			var fired []time.Duration
			timer := Timer{Fire: func(*Timer) { fired = append(fired, time.Since(begin)) }}
			w.Start(&timer, c.d)
			time.Sleep(100 * 365 * day)
			if synctest.Wait(); !slices.Equal(fired, []time.Duration{c.want}) {
				t.Errorf("a timer of %v fires after %v, want once after %v", c.d, fired, c.want)
			}
			if w.Stop(&timer) || w.Pending() != 0 {
				t.Errorf("a timer of %v is pending after it has fired", c.d)
			}
		})
	}
}

func TestSleepsUntilTheFirstDeadline(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		wakes := func() uint64 {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.wakes
		}
		var timers [4]Timer // without Fire: that is allowed
		w.Start(&timers[0], 10*time.Hour)
		w.Start(&timers[1], 5*time.Hour)
		w.Start(&timers[2], 7*time.Hour)
		time.Sleep(5*time.Hour - 1)
		if got := wakes(); got != 0 {
			t.Errorf("the goroutine woke up %d times before the first deadline, want 0", got)
		}
		time.Sleep(day)
		if got := wakes(); got != 3 {
			t.Errorf("the goroutine woke up %d times for 3 timers", got)
		}
		time.Sleep(365 * day)
		if got := wakes(); got != 3 {
			t.Errorf("the goroutine woke up with nothing pending: %d times in all, want 3", got)
		}
		for range 1000 { // as a timeout that never comes is used
			w.Start(&timers[3], time.Second)
			time.Sleep(time.Millisecond)
			w.Stop(&timers[3])
		}
		if got := wakes(); got > 5 {
			t.Errorf("1000 timeouts that never came woke the goroutine %d times, want 1 or 2", got-3)
		}
	})
}

// A Fire that takes long holds up the others. They fire when it returns, in their
// order, and before what it has started for the same time.
func TestCatchesUpAfterALongGap(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		const n = 1000
		var got []int
		timers := make([]Timer, n)
		for i := range timers {
			timers[i].Fire = func(*Timer) { got = append(got, i) }
		}
		timers[0].Fire = func(*Timer) {
			time.Sleep(365 * day)
			got = append(got, 0)
			w.Start(&timers[n-1], 0)
		}
		for i := range n - 1 {
			w.Start(&timers[i], time.Duration(1+i*i*i)*7*time.Millisecond) // up to 80 d
		}
		time.Sleep(366 * day)
		synctest.Wait()
		if len(got) != n || !slices.IsSorted(got) {
			t.Errorf("%d of %d timers fired, in their order: %v", len(got), n, slices.IsSorted(got))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.wakes > 3 {
			t.Errorf("the goroutine woke up %d times, want 1 or 2", w.wakes)
		}
	})
}

func TestFireMayStartAndStopAnyTimer(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		var every, victim Timer
		turns := 0
		every.Fire = func(self *Timer) {
			switch turns++; turns {
			case 10:
				if !w.Stop(&victim) || w.Stop(self) {
					t.Error("the other timer of the tick is not pending, or the one that fires is")
				}
			case 9:
				w.Start(self, time.Second)
				w.Start(&victim, time.Second)
			default:
				w.Start(self, time.Hour)
				w.Start(self, time.Second) // instead
			}
		}
		victim.Fire = func(*Timer) { t.Error("a timer fires that was stopped in its tick") }
		w.Start(&every, time.Second)
		time.Sleep(10*time.Second - 1)
		if synctest.Wait(); turns != 9 || w.Pending() != 2 {
			t.Errorf("before 10 s: %d turns and %d pending, want 9 and 2", turns, w.Pending())
		}
		time.Sleep(day)
		if synctest.Wait(); turns != 10 || w.Pending() != 0 {
			t.Errorf("%d turns and %d pending, want 10 and 0", turns, w.Pending())
		}
	})
}

func TestMillionTimersFireAtTheirTime(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	synctest.Test(t, func(t *testing.T) {
		w := New()
		defer w.Close()
		timers := make([]Timer, n)
		fired, wrong := 0, 0
		for i := range timers {
			d := time.Duration(1+rng.IntN(20_000)) * time.Millisecond
			due := time.Now().Add(d)
			timers[i].Fire = func(*Timer) {
				if fired++; !time.Now().Equal(due) {
					wrong++
				}
			}
			w.Start(&timers[i], d)
		}
		if got := w.Pending(); got != n {
			t.Errorf("%d timers are pending, want %d", got, n)
		}
		time.Sleep(20 * time.Second)
		if synctest.Wait(); fired != n || wrong != 0 {
			t.Errorf("%d of %d timers fired, %d of them not at their time", fired, n, wrong)
		}
	})
}
