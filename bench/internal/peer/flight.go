// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Tally counts what several callers do at once, each of them one call after the other.
type Tally struct {
	warmup, duration time.Duration
	callers          []count
	over             atomic.Bool
	running          sync.WaitGroup // loops that have not ended, or not begun
}

// A count is one caller's: nobody else writes to its cache lines.
type count struct {
	n atomic.Uint64
	_ [120]byte
}

// NewTally returns a Tally of o.Flight callers.
func NewTally(o *Options) *Tally {
	t := &Tally{warmup: o.Warmup, duration: o.Duration, callers: make([]count, o.Flight)}
	t.running.Add(o.Flight)
	return t
}

// Callers is how many there are.
func (t *Tally) Callers() int { return len(t.callers) }

// Loop makes calls as one of the callers, numbered from 0, until the time is over. Each caller's own
// goroutine, or service, calls it, once; n is the number of its call, from 1.
func (t *Tally) Loop(caller int, call func(n uint64)) {
	defer t.running.Done()
	c := &t.callers[caller].n
	for n := uint64(1); !t.over.Load(); n++ {
		call(n)
		c.Store(n)
	}
}

// PerSecond sleeps while the callers warm up and are measured, waits for the ends of their loops, and returns
// what all of them have done in a second. It may be called once, by one goroutine.
func (t *Tally) PerSecond() float64 {
	time.Sleep(t.warmup)
	base, started := t.sum(), time.Now()
	time.Sleep(t.duration)
	done, took := t.sum()-base, time.Since(started)
	t.over.Store(true)
	t.running.Wait()
	return float64(done) / took.Seconds()
}

func (t *Tally) sum() (all uint64) {
	for i := range t.callers {
		all += t.callers[i].n.Load()
	}
	return all
}
