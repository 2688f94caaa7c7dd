// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

// SeedVariable is the environment variable that replays a seed. Its value is a
// number, decimal or with a prefix such as 0x.
const SeedVariable = "SKYBUS_SEED"

// seeds holds the seed of each running test: testing.TB to uint64.
var seeds sync.Map

// Seed returns the seed of the test: the value of SKYBUS_SEED when that is set,
// otherwise a random one. It logs how to replay it, which go test shows when
// the test fails. One test gets the same seed each time it asks; a subtest is a
// test of its own. A process that the test starts gets the seed by whatever way
// the test chooses: as it is in the environment only when it is replayed.
func Seed(t testing.TB) uint64 {
	t.Helper()
	if seed, ok := seeds.Load(t); ok {
		return seed.(uint64)
	}
	seed, err := newSeed(os.Getenv(SeedVariable))
	if err != nil {
		t.Fatalf("%s: %v", SeedVariable, err)
	}
	seeds.Store(t, seed)
	t.Cleanup(func() { seeds.Delete(t) })
	t.Logf("seed %d (replay with %s=%d go test -run '^%s$')", seed, SeedVariable, seed, t.Name())
	return seed
}

func newSeed(replay string) (uint64, error) {
	if replay == "" {
		return rand.Uint64(), nil
	}
	return strconv.ParseUint(replay, 0, 64)
}

// Rand returns a generator that starts from Seed(t). Each call returns a new
// one that yields the same numbers: two sides of a test that must agree on what
// is sent take one each. A generator belongs to one goroutine.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}
