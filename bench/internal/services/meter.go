// SPDX-License-Identifier: Apache-2.0

package services

import (
	"runtime"
	"syscall"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// lookEvery is after how many operations a meter reads the clock.
const lookEvery = 256

// A meter counts operations: it passes over the warm-up and ends after the duration. One goroutine at a time
// uses it.
type meter struct {
	warmup, duration time.Duration
	count, due       uint64
	first            time.Time
	from, to         mark
	over             bool
}

func newMeter(o *Options) *meter { return &meter{warmup: o.warmup(), duration: o.Duration} }

// mark is the state of the process at one moment.
type mark struct {
	at     time.Time
	count  uint64
	allocs uint64
	cpu    time.Duration
}

func (m *meter) mark() mark {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return mark{time.Now(), m.count, stats.Mallocs, processorTime()}
}

// Add counts n operations and says whether to go on.
func (m *meter) Add(n uint64) bool {
	m.count += n
	if m.count < m.due {
		return !m.over
	}
	m.due = m.count + lookEvery
	return m.look(time.Now())
}

func (m *meter) look(now time.Time) bool {
	switch {
	case m.over:
	case m.first.IsZero():
		m.first = now
	case m.from.at.IsZero():
		if now.Sub(m.first) >= m.warmup {
			m.from = m.mark()
		}
	case now.Sub(m.from.at) >= m.duration:
		m.to, m.over = m.mark(), true
	}
	return !m.over
}

// line is what the meter has found once it is over.
func (m *meter) line() result.Line { return between(m.from, m.to) }

// between returns rate, allocations and processor time of a span.
func between(from, to mark) (l result.Line) {
	span, count := to.at.Sub(from.at).Seconds(), float64(to.count-from.count)
	l.MsgsPerSec = count / span
	l.Allocs = float64(to.allocs-from.allocs) / count
	l.CPU = (to.cpu - from.cpu).Seconds() / span
	return l
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it knows no other error than a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
