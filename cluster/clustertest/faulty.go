// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// Faults say how often a Faulty fails, from 0 (never) to 1.
type Faults struct {
	Before float64 // a call fails and nothing is done
	After  float64 // a call fails although it was done
	Watch  float64 // a watch ends, and says that it cannot go on, after an update
	Delay  time.Duration
}

// Faulty returns a Provider over p that fails as f says, by random numbers from seed. Calms ends that: calls
// go through from then on.
func Faulty(p cluster.Provider, f Faults, seed uint64) *FaultyProvider {
	return &FaultyProvider{Provider: p, f: f, rng: rand.New(rand.NewPCG(seed, 1))}
}

// A FaultyProvider fails now and then.
type FaultyProvider struct {
	cluster.Provider
	f Faults

	mu   sync.Mutex
	rng  *rand.Rand
	calm bool
}

var errInjected = errors.New("a fault of the test")

// Calm ends the faults.
func (p *FaultyProvider) Calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = true
}

func (p *FaultyProvider) chance(of float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.calm && p.rng.Float64() < of
}

func (p *FaultyProvider) delay() {
	p.mu.Lock()
	var d time.Duration
	if !p.calm && p.f.Delay > 0 {
		d = time.Duration(p.rng.Int64N(int64(p.f.Delay)))
	}
	p.mu.Unlock()
	time.Sleep(d)
}

// around does a call with its faults.
func (p *FaultyProvider) around(call func() error) error {
	p.delay()
	if p.chance(p.f.Before) {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, errInjected)
	}
	err := call()
	p.delay()
	if err == nil && p.chance(p.f.After) {
		return fmt.Errorf("%w: %w, it was done", cluster.ErrUnavailable, errInjected)
	}
	return err
}

// Grant may fail; a lease that was granted then stays until it expires.
func (p *FaultyProvider) Grant(ctx context.Context, ttl time.Duration) (l cluster.Lease, err error) {
	err = p.around(func() (err error) {
		l, err = p.Provider.Grant(ctx, ttl)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Commit may fail before it is done, and after.
func (p *FaultyProvider) Commit(ctx context.Context, b cluster.Batch) (rev uint64, err error) {
	err = p.around(func() (err error) {
		rev, err = p.Provider.Commit(ctx, b)
		return err
	})
	return rev, err
}

// Get may fail.
func (p *FaultyProvider) Get(ctx context.Context, q cluster.Query) (s cluster.Snapshot, err error) {
	err = p.around(func() (err error) {
		s, err = p.Provider.Get(ctx, q)
		return err
	})
	return s, err
}

// Watch may be slow, and may end with ErrCompacted.
func (p *FaultyProvider) Watch(ctx context.Context, prefix string, after uint64, f func(cluster.Update) error) error {
	return p.Provider.Watch(ctx, prefix, after, func(u cluster.Update) error {
		p.delay()
		if err := f(u); err != nil {
			return err
		}
		if p.chance(p.f.Watch) {
			return fmt.Errorf("%w: %w", cluster.ErrCompacted, errInjected)
		}
		return nil
	})
}
