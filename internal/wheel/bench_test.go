// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

var pendingCounts = []int{1, 1000, 1_000_000}

func TestNothingIsAllocated(t *testing.T) {
	testutil.NoLeaks(t)
	w := New()
	defer w.Close()
	fired := make(chan struct{}, 1)
	timer := Timer{Fire: func(*Timer) { fired <- struct{}{} }}
	w.Start(&timer, 10*time.Hour) // begins the goroutine
	earlier := 9 * time.Hour
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"earlier alarms", func() { earlier -= time.Minute; w.Start(&timer, earlier) }},
		{"Start, Stop", func() { w.Start(&timer, time.Hour); w.Stop(&timer) }},
		{"restart", func() { w.Start(&timer, time.Hour); w.Start(&timer, 2*time.Hour) }},
		{"Start and fire", func() { w.Start(&timer, 0); <-fired }},
	} {
		if got := testing.AllocsPerRun(200, c.run); got != 0 {
			t.Errorf("%s: %v allocations, want 0", c.name, got)
		}
	}
}

// fill makes n timers pending that do not fire while a benchmark runs.
func fill(w *Wheel, n int) {
	rng := rand.New(rand.NewPCG(1, 2))
	timers := make([]Timer, n)
	for i := range timers {
		w.Start(&timers[i], time.Hour+time.Duration(rng.Int64N(int64(time.Hour))))
	}
}

// BenchmarkStartStop: a timeout that does not come, while others are pending.
func BenchmarkStartStop(b *testing.B) {
	for _, n := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			w := New()
			defer w.Close()
			fill(w, n)
			var timer Timer
			b.ReportAllocs()
			for b.Loop() {
				w.Start(&timer, 5*time.Second)
				w.Stop(&timer)
			}
		})
	}
}

// BenchmarkRestart: any of all pending timers is started anew.
func BenchmarkRestart(b *testing.B) {
	for _, n := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			w := New()
			defer w.Close()
			timers := make([]Timer, n)
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				w.Start(&timers[rng.IntN(n)], time.Hour+time.Duration(rng.Int64N(int64(time.Hour))))
			}
		})
	}
}

// BenchmarkParallel: Start and Stop from four goroutines, with one wheel for all
// and with one for each.
func BenchmarkParallel(b *testing.B) {
	for _, wheels := range []int{1, 4} {
		b.Run(fmt.Sprintf("wheels=%d", wheels), func(b *testing.B) {
			all := make([]*Wheel, wheels)
			for i := range all {
				all[i] = New()
				defer all[i].Close()
				fill(all[i], 1000)
			}
			var group sync.WaitGroup
			b.ResetTimer()
			for g := range 4 {
				group.Go(func() {
					var timer Timer
					for range b.N / 4 {
						all[g%wheels].Start(&timer, 5*time.Second)
						all[g%wheels].Stop(&timer)
					}
				})
			}
			group.Wait()
		})
	}
}

// BenchmarkExpiry: a timer is due and is started again, with all its moves from
// level to level, while others are pending. The clock of the benchmark goes from
// one due timer to the next.
func BenchmarkExpiry(b *testing.B) {
	for _, n := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			s, rng := newSlots(), rand.New(rand.NewPCG(1, 2))
			after := func() int64 { return s.cur + 1 + rng.Int64N(60_000) }
			for range n {
				s.addAt(after())
			}
			b.ReportAllocs()
			for b.Loop() {
				t := (*Timer)(nil)
				for t == nil {
					t, _ = s.next(never)
				}
				t.when = after()
				s.add(t)
			}
			b.ReportMetric(float64(s.moved)/float64(b.N), "moves/op")
		})
	}
}

// BenchmarkFire: a burst of timers is started, and fires on the wheel's goroutine.
func BenchmarkFire(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("burst=%d", n), func(b *testing.B) {
			w := New()
			defer w.Close()
			done := make(chan struct{})
			timers := make([]Timer, n)
			timers[n-1].Fire = func(*Timer) { done <- struct{}{} }
			for i := range n - 1 {
				timers[i].Fire = func(*Timer) {}
			}
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				for i := range timers {
					w.Start(&timers[i], 0)
				}
				<-done
			}
		})
	}
}

// BenchmarkTimeAfterFunc is what package time does for the same.
func BenchmarkTimeAfterFunc(b *testing.B) {
	for _, n := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			timers := make([]*time.Timer, n)
			for i := range timers {
				timers[i] = time.AfterFunc(time.Hour+time.Duration(rng.Int64N(int64(time.Hour))), func() {})
			}
			timer := time.AfterFunc(time.Hour, func() {})
			b.ReportAllocs()
			for b.Loop() {
				timer.Reset(5 * time.Second)
				timer.Stop()
			}
			for _, t := range timers {
				t.Stop()
			}
			runtime.KeepAlive(timers)
		})
	}
}
