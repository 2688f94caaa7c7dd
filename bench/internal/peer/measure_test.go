// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"testing"
	"time"
)

func TestQuantilesOfKnownSamples(t *testing.T) {
	h := NewHistogram()
	for ns := int64(1); ns <= 1000; ns++ {
		h.Add(ns)
	}
	h.Add(1_000_000)
	for _, c := range []struct {
		q    float64
		want int64
	}{{0.5, 501}, {0.99, 991}} {
		if got := h.Quantile(c.q); got != c.want {
			t.Errorf("quantile %v = %d, want %d", c.q, got, c.want)
		}
	}
	if h.max != 1_000_000 {
		t.Errorf("max = %d", h.max)
	}
}

func TestCoarseBucketsAreUnderOnePercentWide(t *testing.T) {
	for ns := int64(exact); ns < 10_000_000_000; ns += ns/7 + 1 {
		h := NewHistogram()
		h.Add(ns)
		got := h.Quantile(0.5)
		if got > ns || float64(ns-got) > 0.01*float64(ns) {
			t.Fatalf("%d ns is reported as %d", ns, got)
		}
	}
}

func TestMeterLeavesOutTheWarmUp(t *testing.T) {
	m := &Meter{warmup: time.Second, duration: 2 * time.Second}
	start := time.Unix(1000, 0)
	more := true
	for tick := 0; more; tick++ {
		m.count += 100
		more = m.look(start.Add(time.Duration(tick) * 100 * time.Millisecond))
		if tick > 100 {
			t.Fatal("the meter does not stop")
		}
	}
	if got := m.PerSecond(); got != 1000 {
		t.Errorf("%v messages a second, want 1000", got)
	}
}
