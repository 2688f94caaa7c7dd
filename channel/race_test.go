// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A joiner makes, uses and destroys the domain again and again. Each Table has a
// lock description of its own, as that of another process has.
type joiner struct {
	root string
	rng  *rand.Rand
	used int
}

// turn does one of these things. Errors are those that the others explain.
func (j *joiner) turn() error {
	create := j.rng.IntN(3) > 0
	table, err := Open(j.root, testKey, Config{AllowUnknown: true}, create)
	if !create && errors.Is(err, ErrNoDomain) {
		return nil
	}
	if err != nil {
		return err
	}
	defer table.Close()
	if j.rng.IntN(3) == 0 {
		if err := table.Destroy(true); !errors.Is(err, ErrInUse) && !errors.Is(err, ErrNoDomain) {
			return err
		}
		return nil
	}
	err = j.use(table)
	if errors.Is(err, ErrInUse) || errors.Is(err, ErrNoDomain) {
		return nil // somebody was quicker
	}
	return err
}

// use sends a message to oneself by way of two addresses that nobody else has.
func (j *joiner) use(table *Table) error {
	src := addr.Addr(1 + 2*j.rng.IntN(50))
	a, err := table.Bind(src)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := table.Bind(src + 1)
	if err != nil {
		return err
	}
	defer b.Close()
	s, err := table.NewSender(Pair{src, src + 1})
	if err != nil {
		return err
	}
	defer s.Close()
	k := int(s.LastSeq())
	if err := s.Send(payload(k, 0)); err != nil {
		return err
	}
	d, err := b.Drain()
	if err != nil {
		return err
	}
	defer d.Close()
	if got, ok := number(end{b, d}.next()); !ok || got != k {
		return errors.New("another message came than was sent")
	}
	j.used++
	return nil
}

// A domain may be destroyed and made anew at any moment: whoever has an address
// bound has a domain that works, and all others an error that says why.
func TestDomainIsMadeAndDestroyedByMany(t *testing.T) {
	root := testutil.Dir(t)
	seed := testutil.Seed(t)
	turns := 400
	if os.Getenv("SKYBUS_SOAK") != "" {
		turns = 20_000
	}
	var all sync.WaitGroup
	for i := range uint64(4) {
		j := &joiner{root: root, rng: rand.New(rand.NewPCG(seed, i))}
		all.Go(func() {
			for range turns {
				if err := j.turn(); err != nil {
					t.Error(err)
					return
				}
			}
			if j.used == 0 {
				t.Error("it never came to use the domain")
			}
		})
	}
	all.Wait()
	wantClean(t, reopenDomain(t, root, Config{}))
}
