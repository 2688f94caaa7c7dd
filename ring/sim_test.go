// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"os"
	"strconv"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// seedsVariable says how many schedules the simulator tries.
const seedsVariable = "SKYBUS_SEEDS"

// The simulator runs the real ends of the ring as processes that are stopped at
// every shared store, in an order drawn from the seed, and killed there.
func TestCrashesAndInterleavingsLoseNothing(t *testing.T) {
	n := seeds(t, 2000)
	killed := simulate(t, testutil.Seed(t), n)
	if n >= 2000 {
		checkKilled(t, killed)
	}
}

// The long form, for make soak.
func TestSoakCrashes(t *testing.T) {
	if os.Getenv("SKYBUS_SOAK") == "" {
		t.Skip("SKYBUS_SOAK is not set")
	}
	simulate(t, testutil.Seed(t), seeds(t, 200_000))
}

// seeds returns how many schedules to try.
func seeds(t *testing.T, n uint64) uint64 {
	if v := os.Getenv(seedsVariable); v != "" {
		n, err := strconv.ParseUint(v, 0, 32)
		if err != nil {
			t.Fatalf("%s: %v", seedsVariable, err)
		}
		return n
	}
	if testing.Short() || raceEnabled {
		return n / 10
	}
	return n
}

// A tally adds up what the schedules came to.
type tally struct {
	steps, lives, grown, closed, full int
	records                           uint64
}

// simulate tries n schedules and returns where processes were killed.
func simulate(t *testing.T, seed, n uint64) (killed map[string]int) {
	t.Helper()
	var sum tally
	killed = map[string]int{}
	for i := range n { // a plain sum: the next seed is the next schedule
		w := newWorld(seed + i)
		if err := runSchedule(w); err != nil {
			t.Fatalf("schedule %d: %v\nthe last steps:\n%s(replay with SKYBUS_SEED=%d %s=1)", seed+i, err, w.history(), seed+i, seedsVariable)
		}
		sum.add(w)
		for _, a := range w.actors {
			for site, n := range a.kills {
				killed[site] += n
			}
		}
	}
	t.Logf("%d schedules: %+v", n, sum)
	return killed
}

// runSchedule is one schedule of a few thousand turns; in some nobody ever dies.
func runSchedule(w *world) error {
	w.run(1500)
	if w.err != nil {
		return w.err
	}
	return w.finish()
}

func (s *tally) add(w *world) {
	s.steps += w.logN
	s.grown += w.grown
	s.closed += w.closed
	s.full += w.full
	s.records += w.book.committed
	for _, a := range w.actors {
		s.lives += a.lives
	}
}
