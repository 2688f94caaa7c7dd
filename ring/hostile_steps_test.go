// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/testutil"
)

// The worst neighbour changes words between any two looks of one operation. A
// word that was checked is never read again (R13).
func TestRingThatIsChangedAtEveryStepNeverHangsNorPanics(t *testing.T) {
	rng := testutil.Rand(t)
	defer invariant.SetHook(nil)
	rounds := 3000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	for range rounds {
		h := newHostile(t, nil, nil)
		h.r.Format(rng.Uint64N(3))
		every := 1 + rng.IntN(20)
		h.play(usualOps[:4])
		h.moving = true
		invariant.SetHook(func(string) {
			if rng.IntN(every) == 0 {
				h.flip(rng.Uint32())
			}
		})
		h.play(usualOps)
		h.play(randomOps(rng, 100))
		invariant.SetHook(nil)
	}
}
