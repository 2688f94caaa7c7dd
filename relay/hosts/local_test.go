// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestLoadOnOneHost runs the load in one domain, which has no need of a daemon,
// and kills and stops its processes: the load itself loses and doubles nothing.
func TestLoadOnOneHost(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	d, err := skybus.Open(key, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := &plan{
		Roots: []string{root, root, root}, Dir: t.TempDir(), Seed: testutil.Seed(t), Most: 48 << 10, Pace: 5 * time.Millisecond,
	}
	f := newFleet(t, p, func(int) []killtest.StartOption { return nil })
	f.up()
	rng := rand.New(rand.NewPCG(p.Seed, 2))
	for range 40 {
		time.Sleep(time.Duration(rng.ExpFloat64() * float64(30*time.Millisecond)))
		v := f.vessels[rng.IntN(len(f.vessels))]
		switch rng.IntN(3) {
		case 0:
			v.signal(syscall.SIGSTOP)
		case 1:
			v.kill()
		default:
			f.up()
		}
	}
	f.settle(func() {})
	f.judge()
}
