// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package vault

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A scene is a gate with sessions and messages.
type scene struct {
	dir     string
	bus     *bus
	v       *Vault
	ids     []uint64
	clients []client
	cfg     Config
}

func newScene(t *testing.T, rng *rand.Rand, sources, messages, sessions int) *scene {
	t.Helper()
	sc := &scene{dir: newFolder(t), bus: newBus(rng, sources, messages, sessions), clients: make([]client, sessions)}
	sc.cfg = Config{Sessions: 64, Ring: 1 << 14, Sources: 64}
	sc.v = open(t, sc.dir, sc.cfg)
	for n := range sessions {
		sc.ids = append(sc.ids, begin(t, sc.v, n).ID())
	}
	return sc
}

// run lets a life of the gate go on until it dies at a step, or nothing is left. It returns where it died.
func (sc *scene) run(t *testing.T, rng *rand.Rand, at, lag int) (site string) {
	t.Helper()
	return upTo(at, func() {
		if sc.v == nil {
			v, err := openUnlocked(sc.dir, sc.cfg)
			check(t, err)
			sc.v = v
		}
		l := newLife(sc.bus, sc.v, sc.ids, lag)
		for left := true; left; {
			left = false
			for _, i := range rng.Perm(len(sc.bus.lanes) - 1) {
				for range 1 + rng.IntN(3) {
					more, err := l.handle(i + 1)
					check(t, err)
					left = left || more
				}
			}
		}
	})
}

// die ends a life.
func (sc *scene) die(t *testing.T) {
	t.Helper()
	bury(sc.v)
	sc.v = nil
	look, err := Inspect(sc.dir, home)
	check(t, err)
	if len(look.Damage) > 0 {
		t.Fatalf("a death has left damage: %+v", look.Damage)
	}
}

// fetch has the clients get what is there, from a vault that another process opens and closes.
func (sc *scene) fetch(t *testing.T) {
	t.Helper()
	v := sc.v
	if v == nil {
		v = open(t, sc.dir, sc.cfg)
		defer v.Close()
	}
	sound(t, v)
	fetchAll(t, v, sc.clients, sc.ids)
}

// TestExactlyOnce: a gate dies at every step of the loop in turn; the messages that were not released come again, in another order
// of the sources, to one that lives on. Each session gets each packet once.
func TestExactlyOnce(t *testing.T) {
	seed := testutil.Seed(t)
	steps := 0
	for at := 1; ; at++ {
		rng := rand.New(rand.NewPCG(seed, 1)) // the same scene each time
		sc := newScene(t, rng, 3, 4, 3)
		site := sc.run(t, rng, at, 1)
		if site != "" {
			sc.die(t)
			rng = rand.New(rand.NewPCG(seed, uint64(at)))
			if last := sc.run(t, rng, 0, 0); last != "" {
				t.Fatalf("it died at %s", last)
			}
		}
		sc.fetch(t)
		sc.bus.judge(t, sc.clients)
		if st := sc.v.Stats(); st.Forgotten+st.Evicted > 0 {
			t.Errorf("it has forgotten %d", st.Forgotten+st.Evicted)
		}
		sc.v.Close()
		if t.Failed() {
			t.Fatalf("killed at step %d, %s", at, site)
		}
		if steps = at; site == "" {
			break
		}
	}
	t.Logf("killed at %d steps", steps-1)
}

// TestExactlyOnceWithManyDeaths: the same with one death after the other, also while the vault is opened, and with messages that come
// again though they were done long ago.
func TestExactlyOnceWithManyDeaths(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	rng := testutil.Rand(t)
	deaths, where := 0, map[string]int{}
	for round := range rounds {
		sc := newScene(t, rng, 1+rng.IntN(4), 1+rng.IntN(12), 1+rng.IntN(5))
		most := 5 << rng.IntN(6)
		for lives := 0; ; lives++ {
			at := 0
			if lives < 200 { // then one may live
				at = 1 + rng.IntN(most)
			}
			site := sc.run(t, rng, at, rng.IntN(4))
			if site == "" {
				break
			}
			deaths++
			where[site]++
			sc.die(t)
			if rng.IntN(4) == 0 {
				sc.fetch(t)
			}
		}
		sc.fetch(t)
		sc.bus.judge(t, sc.clients)
		if n := sc.v.Stats().Forgotten; n > 0 {
			t.Errorf("%d marks were forgotten", n)
		}
		sc.v.Close()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d deaths: %v", deaths, fmt.Sprint(where))
}
