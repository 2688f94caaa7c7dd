// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skybus-io/skybus/cluster"
)

// A lease is renewed three times in its TTL by a goroutine of its own.
type lease struct {
	c    *Client
	id   cluster.LeaseID
	ttl  time.Duration
	kept atomic.Bool // Close leaves it alone
	lost chan struct{}
	once sync.Once
}

// Grant makes a lease and keeps it. etcd counts in seconds: its TTL is ttl rounded up, and never below what the servers
// allow.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (cluster.Lease, error) {
	if ttl < cluster.MinTTL || ttl > cluster.MaxTTL {
		return nil, fmt.Errorf("%w: a lease of %v, want %v to %v", cluster.ErrLimit, ttl, cluster.MinTTL, cluster.MaxTTL)
	}
	ctx, stop := c.bound(ctx)
	defer stop()
	for {
		l, _, err := c.reach(ctx)
		if err != nil {
			return nil, err
		}
		var asked time.Time
		var r *clientv3.LeaseGrantResponse
		err = c.read(ctx, func(ctx context.Context) (err error) { // one whose answer is lost expires
			asked = time.Now()
			r, err = c.c.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
			return err
		})
		if err != nil {
			return nil, err
		}
		le := c.newLease(r.ID, r.TTL)
		if c.keep(le, l, asked) {
			return le, nil
		}
	}
}

func (c *Client) newLease(id clientv3.LeaseID, seconds int64) *lease {
	return &lease{c: c, id: cluster.LeaseID(id), ttl: time.Duration(seconds) * time.Second, lost: make(chan struct{})}
}

// Adopt keeps a lease that a process of before has left, from then on as if it were this one's.
// Errors: ErrLeaseLost if etcd has it no more; those of Grant.
func (c *Client) Adopt(ctx context.Context, id cluster.LeaseID) (cluster.Lease, error) {
	ctx, stop := c.bound(ctx)
	defer stop()
	for {
		l, _, err := c.reach(ctx)
		if err != nil {
			return nil, err
		}
		var asked time.Time
		var seconds int64
		err = c.read(ctx, func(ctx context.Context) (err error) {
			asked = time.Now()
			seconds, err = c.keepAlive(ctx, id)
			return err
		})
		if err != nil {
			return nil, err
		}
		if le := c.newLease(clientv3.LeaseID(id), seconds); c.keep(le, l, asked) {
			return le, nil
		}
	}
}

// keep begins to renew a lease, unless etcd has begun anew meanwhile.
func (c *Client) keep(le *lease, l life, asked time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != l || c.closed {
		return false
	}
	c.leases[le] = true
	c.done.Go(func() {
		le.renew(asked)
		c.mu.Lock()
		delete(c.leases, le)
		c.mu.Unlock()
	})
	return true
}

// keepAlive renews a lease, and returns its TTL in seconds. etcd's own KeepAliveOnce asks without a pause while servers refuse,
// and says nothing of it.
func (c *Client) keepAlive(ctx context.Context, id cluster.LeaseID) (int64, error) {
	stream, err := etcdserverpb.NewLeaseClient(c.c.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil && !errors.Is(err, io.EOF) {
		return 0, err // behind io.EOF Recv says why
	}
	r, err := stream.Recv()
	if err == nil && r.TTL <= 0 {
		err = rpctypes.ErrLeaseNotFound
	}
	if err != nil {
		return 0, err
	}
	_ = stream.CloseSend()
	return r.TTL, nil
}

// renew runs until the lease is lost. What counts is when a renewal was asked for: etcd has it later than
// that.
func (le *lease) renew(last time.Time) {
	t := time.NewTicker(le.ttl / 3)
	defer t.Stop()
	defer le.lose()
	for {
		select {
		case <-t.C:
		case <-le.lost:
			return
		case <-le.c.ctx.Done():
			return
		}
		var ok bool
		if last, ok = le.ask(last); !ok {
			return
		}
	}
}

// ask asks for a renewal until the lease has ended by the clock of this process, and returns when it has asked for what
// was granted. Only etcd knows better before that.
func (le *lease) ask(last time.Time) (asked time.Time, ok bool) {
	ctx, stop := context.WithDeadline(le.c.ctx, last.Add(le.ttl))
	defer stop()
	for ; ctx.Err() == nil; pause(ctx) {
		err := le.c.read(ctx, func(ctx context.Context) error {
			asked = time.Now()
			_, err := le.c.keepAlive(ctx, le.id)
			return err
		})
		if err == nil {
			return asked, true
		}
		if errors.Is(err, cluster.ErrLeaseLost) {
			break
		}
	}
	return last, false
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
	ctx, stop := le.c.bound(ctx)
	defer stop()
	err := le.c.read(ctx, func(ctx context.Context) error {
		_, err := le.c.c.Revoke(ctx, clientv3.LeaseID(le.id))
		return err
	})
	if errors.Is(err, cluster.ErrLeaseLost) {
		return nil
	}
	return err
}
