// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A lease is renewed three times in its TTL by a goroutine of its own.
type lease struct {
	c    *Client
	id   cluster.LeaseID
	ttl  time.Duration
	lost chan struct{}
	once sync.Once
	kept atomic.Bool // Close leaves it alone

	again chan struct{} // full if it is to be renewed now
}

// Grant makes a lease and keeps it.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (cluster.Lease, error) {
	if ttl < cluster.MinTTL || ttl > cluster.MaxTTL {
		return nil, fmt.Errorf("%w: a lease of %v, want %v to %v", cluster.ErrLimit, ttl, cluster.MinTTL, cluster.MaxTTL)
	}
	for {
		asked := time.Now()
		l, err := c.connected(ctx)
		if err != nil {
			return nil, err
		}
		a, err := l.ask(ctx, frame{Op: opGrant, TTL: int64(ttl)}, c.o.Patience)
		switch {
		case errors.Is(err, errBroken):
			continue // one that was granted expires
		case err != nil:
			return nil, c.unavailable(ctx, err)
		case a.Code == codeUnavailable:
			c.rest(ctx)
			continue
		case a.failure() != nil:
			return nil, a.failure()
		}
		le := c.lease(cluster.LeaseID(a.Lease), ttl)
		if c.keep(le, l, asked) {
			return le, nil
		}
	}
}

func (c *Client) lease(id cluster.LeaseID, ttl time.Duration) *lease {
	return &lease{c: c, id: id, ttl: ttl, lost: make(chan struct{}), again: make(chan struct{}, 1)}
}

// Adopt renews a lease that was granted to an earlier process and keeps it.
func (c *Client) Adopt(ctx context.Context, id cluster.LeaseID) (cluster.Lease, error) {
	for {
		asked := time.Now()
		l, err := c.connected(ctx)
		if err != nil {
			return nil, err
		}
		a, err := c.call(ctx, frame{Op: opRenew, Lease: uint64(id)}, true)
		if err != nil {
			return nil, err
		}
		le := c.lease(id, time.Duration(a.TTL))
		if le.ttl <= 0 {
			return nil, fmt.Errorf("%w: the engine does not say of what TTL lease %x is", cluster.ErrLeaseLost, uint64(id))
		}
		if c.keep(le, l, asked) {
			return le, nil
		}
	}
}

// keep begins to renew a lease, unless the engine is another one already.
func (c *Client) keep(le *lease, l *link, asked time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != l.life || c.term != l.term || c.closed {
		return false
	}
	c.leases[le] = true
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		le.renew(asked)
		c.mu.Lock()
		delete(c.leases, le)
		c.mu.Unlock()
	}()
	return true
}

// renew runs until the lease is lost. What counts is when a renewal was asked for: the engine has
// it later than that.
func (le *lease) renew(last time.Time) {
	t := time.NewTicker(le.ttl / 3)
	defer t.Stop()
	defer le.lose()
	for {
		select {
		case <-t.C:
		case <-le.again:
		case <-le.lost:
			return
		case <-le.c.ctx.Done():
			return
		}
		ctx, stop := context.WithDeadline(le.c.ctx, last.Add(le.ttl))
		asked := time.Now()
		_, err := le.c.call(ctx, frame{Op: opRenew, Lease: uint64(le.id), TTL: int64(le.ttl)}, true)
		stop()
		if err != nil {
			return
		}
		last = asked
	}
}

func (le *lease) lose() { le.once.Do(func() { close(le.lost) }) }

func (le *lease) ID() cluster.LeaseID   { return le.id }
func (le *lease) TTL() time.Duration    { return le.ttl }
func (le *lease) Lost() <-chan struct{} { return le.lost }

// Keep has Close of the client leave the lease to whoever adopts it.
func (le *lease) Keep() { le.kept.Store(true) }

// Revoke ends the lease. From the first moment on it counts as lost.
func (le *lease) Revoke(ctx context.Context) error {
	le.lose()
	_, err := le.c.call(ctx, frame{Op: opRevoke, Lease: uint64(le.id)}, true)
	return err
}
