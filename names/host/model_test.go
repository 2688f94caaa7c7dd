// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// A model is what the registry should be: queues in a map, and who is alive.
type model struct {
	queues map[string][]modelClaim
	alive  map[int]bool
	lives  map[int]int
}

type modelClaim struct {
	o      names.Owner
	life   int
	allows bool // replacement
	leaves bool // when it is replaced
}

func (m *model) drop(dead func(c *modelClaim) bool) {
	for name, q := range m.queues {
		if q = slices.DeleteFunc(q, func(c modelClaim) bool { return dead(&c) }); len(q) == 0 {
			delete(m.queues, name)
		} else {
			m.queues[name] = q
		}
	}
}

// request is the D-Bus specification's RequestName, told another way than names.Ask.
func (m *model) request(name string, o names.Owner, f names.Flags) (names.Standing, error) {
	q := m.queues[name]
	mine := modelClaim{o: o, life: m.lives[int(o.Addr)], allows: f&names.AllowReplacement != 0, leaves: f&names.NoQueue != 0}
	place := slices.IndexFunc(q, func(c modelClaim) bool { return c.o == o })
	wins := len(q) == 0 || place == 0 || f&names.Replace != 0 && q[0].allows
	switch {
	case place == 0:
		q[0] = mine
		return names.Owns, nil
	case place > 0 && (wins || mine.leaves):
		q = append(q[:place:place], q[place+1:]...)
	case place > 0:
		q[place] = mine
		return names.Waits, nil
	}
	defer func() { m.queues[name] = q }()
	switch {
	case wins && len(q) > 0 && q[0].leaves:
		q = append([]modelClaim{mine}, q[1:]...)
		return names.Owns, nil
	case wins:
		q = append([]modelClaim{mine}, q...)
		return names.Owns, nil
	case mine.leaves:
		return 0, names.ErrTaken
	}
	q = append(q, mine)
	return names.Waits, nil
}

func (m *model) owners(name string) (list []names.Owner) {
	for _, c := range m.queues[name] {
		list = append(list, c.o)
	}
	return list
}

// TestAgainstModel makes random requests, releases, deaths and births through three registries, and compares
// all that can be asked with the model.
func TestAgainstModel(t *testing.T) {
	rounds := 6000
	if testing.Short() {
		rounds = 1000
	}
	rng := testutil.Rand(t)
	b := newBus(t)
	all := []*Registry{b.registry(t), b.registry(t), b.registry(t)}
	m := &model{queues: map[string][]modelClaim{}, alive: map[int]bool{}, lives: map[int]int{}}
	for i := range rounds {
		r := all[rng.IntN(len(all))]
		a := 1 + rng.IntN(5)
		o := owner(a, 1+rng.IntN(3))
		name := strings.Repeat("n", 1+rng.IntN(200)/(1+rng.IntN(20))) + fmt.Sprint(rng.IntN(40))
		switch n := rng.IntN(100); {
		case n < 60:
			m.checkRequest(t, r, rng, name, o)
		case n < 85:
			m.checkRelease(t, r, name, o)
		case n < 90:
			m.die(b, a)
		case n < 97:
			if !m.alive[a] {
				check(t, b.bind(addr.Addr(a)))
				m.alive[a] = true
				m.lives[a]++
			}
		default:
			m.compare(t, r)
		}
		if t.Failed() {
			t.Fatalf("in step %d", i)
		}
	}
	m.compare(t, all[0])
	sound(t, all[1])
}

func (m *model) checkRequest(t *testing.T, r *Registry, rng *rand.Rand, name string, o names.Owner) {
	t.Helper()
	f := names.Flags(rng.UintN(8))
	got, err := r.Request(t.Context(), name, o, f)
	if !m.alive[int(o.Addr)] {
		want(t, err, ErrNotBound)
		return
	}
	is, wrong := m.request(name, o, f)
	if got != is || !errors.Is(err, wrong) {
		t.Errorf("request of %q by %v with %v: %v, %v; want %v, %v", name, o, f, got, err, is, wrong)
	}
}

func (m *model) checkRelease(t *testing.T, r *Registry, name string, o names.Owner) {
	t.Helper()
	had := slices.Contains(m.owners(name), o)
	if err := r.Release(t.Context(), name, o); had != (err == nil) || !had && !errors.Is(err, names.ErrNotOwner) {
		t.Errorf("release of %q by %v, who had it: %v: %v", name, o, had, err)
	}
	if had {
		q := slices.DeleteFunc(m.queues[name], func(c modelClaim) bool { return c.o == o })
		if m.queues[name] = q; len(q) == 0 {
			delete(m.queues, name)
		}
	}
}

func (m *model) die(b *bus, a int) {
	if m.alive[a] {
		b.end(addr.Addr(a))
		m.alive[a] = false
		m.drop(func(c *modelClaim) bool { return int(c.o.Addr) == a })
	}
}

func (m *model) compare(t *testing.T, r *Registry) {
	t.Helper()
	list, err := r.List(t.Context(), "")
	check(t, err)
	if len(list) != len(m.queues) {
		t.Errorf("%d names, want %d", len(list), len(m.queues))
	}
	for _, c := range list {
		if got, is := owners(t, r, c.Name), m.owners(c.Name); !slices.Equal(got, is) || len(is) == 0 || c.New != is[0] {
			t.Errorf("%q has %v, listed with %v; want %v", c.Name, got, c.New, is)
		}
	}
}
