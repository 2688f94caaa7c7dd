// SPDX-License-Identifier: Apache-2.0

package link

import (
	"testing"

	"github.com/skybus-io/skybus/ring"
)

// A message costs no allocation on its way: not at the origin, not at the far side
// and not for its ACK.
func TestMessagesCostNoAllocation(t *testing.T) {
	for name, tt := range map[string]struct{ n, size int }{
		"one small": {1, 64}, "a batch": {64, 100}, "one of 20 KB": {1, 20_000}, "parts": {1, 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(a, _ *Config) { a.InFlight = 64 << 20 })
			r.b.host.size = 1 << 21
			l := newLane(t, 1<<21, epoch1, 1)
			r.open(l, north, south)
			r.settle()
			m, in := r.b.host.only(), r.b.host.opened[0]
			msg := payload(1, tt.size)
			var rec [1]ring.Record
			turn := func() {
				for range tt.n {
					l.put(msg)
				}
				r.poll()
				for range 2 + tt.size/30_000 {
					r.write(r.a, r.b)
					_ = r.read(r.b)
				}
				for k, _ := m.gens[0].rx.TakeOne(&rec); k > 0; k, _ = m.gens[0].rx.TakeOne(&rec) {
					m.gens[0].rx.Release(&rec[0], true)
				}
				r.b.Touch(in, r.now)
				r.now += ms
				r.write(r.b, r.a)
				_ = r.read(r.a)
				_, _ = r.a.Tick(r.now)
				_, _ = r.b.Tick(r.now)
			}
			for range 100 {
				turn()
			}
			if n := testing.AllocsPerRun(300, turn); n != 0 {
				t.Errorf("%v allocations", n)
			}
			sent := r.a.Stats().SentMessages
			if want := uint64(401 * tt.n); sent != want || l.First() != want+1 {
				t.Errorf("%d messages were sent, and the origin still has %d, want %d sent", sent, l.First(), want)
			}
		})
	}
}
