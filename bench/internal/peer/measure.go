// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"math/bits"
	"time"
)

// Meter counts messages at the receiver: it skips the warm-up and stops after the duration.
type Meter struct {
	warmup, duration        time.Duration
	count, base             uint64
	first, started, stopped time.Time
}

// NewMeter returns a meter for these options.
func NewMeter(o *Options) *Meter { return &Meter{warmup: o.Warmup, duration: o.Duration} }

// Add counts one message and says whether to go on. It reads the clock at every 256th.
func (m *Meter) Add() bool {
	m.count++
	if m.count&255 != 0 {
		return true
	}
	return m.look(time.Now())
}

func (m *Meter) look(t time.Time) bool {
	switch {
	case m.first.IsZero():
		m.first = t
		return true
	case m.started.IsZero():
		if t.Sub(m.first) >= m.warmup {
			m.started, m.base = t, m.count
		}
		return true
	}
	m.stopped = t
	return t.Sub(m.started) < m.duration
}

// PerSecond is the result once Add has returned false.
func (m *Meter) PerSecond() float64 {
	return float64(m.count-m.base) / m.stopped.Sub(m.started).Seconds()
}

const (
	exact   = 1 << 14 // below this many ns every nanosecond has a bucket
	octave  = 128     // buckets between two powers of two above it
	octaves = 40
)

// Histogram is exact to 1 ns below 16,384 ns; above that its buckets are under 1 % wide.
type Histogram struct {
	fine   []uint32
	coarse []uint32
	total  uint64
	max    int64
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{fine: make([]uint32, exact), coarse: make([]uint32, octave*octaves)}
}

// Add counts one sample.
func (h *Histogram) Add(ns int64) {
	h.total++
	h.max = max(h.max, ns)
	if ns < exact {
		h.fine[max(ns, 0)]++
		return
	}
	power := bits.Len64(uint64(ns)) - 1 // at least 14
	i := (power-14)*octave + int(ns>>(power-7))&(octave-1)
	h.coarse[min(i, len(h.coarse)-1)]++
}

// Quantile returns the sample below which the fraction q of all samples lies.
func (h *Histogram) Quantile(q float64) int64 {
	want, seen := uint64(float64(h.total)*q), uint64(0)
	for i, n := range h.fine {
		if seen += uint64(n); seen > want {
			return int64(i)
		}
	}
	for i, n := range h.coarse {
		if seen += uint64(n); seen > want {
			return int64(octave+i%octave) << (i/octave + 7)
		}
	}
	return h.max
}

// PingPong times round trips of ask until the duration is over, paced when there is a rate. The first trip,
// which may include connecting, is before everything.
func PingPong(o *Options, h *Histogram, ask func(n uint64)) (perSecond float64) {
	ask(0)
	begin := time.Now()
	started := begin.Add(o.Warmup)
	stop := started.Add(o.Duration)
	trips := 0
	for n := uint64(1); ; n++ {
		if o.Rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(o.Rate))))
		}
		t0 := time.Now()
		ask(n)
		took := time.Since(t0)
		if t0.After(started) {
			h.Add(took.Nanoseconds())
			trips++
		}
		if end := t0.Add(took); end.After(stop) {
			return float64(trips) / end.Sub(started).Seconds()
		}
	}
}
