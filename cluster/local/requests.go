// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// snapshots is how often a Get begins again whose pages the engine has forgotten meanwhile.
const snapshots = 10

// Commit does a batch.
func (c *Client) Commit(ctx context.Context, b cluster.Batch) (uint64, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	a, err := c.call(ctx, wireBatch(b), false)
	if err != nil {
		return 0, err
	}
	return a.Revision, nil
}

// Get reads keys, a page at a time, all as of one revision.
func (c *Client) Get(ctx context.Context, q cluster.Query) (snap cluster.Snapshot, err error) {
	for range snapshots {
		snap, err = c.get(ctx, q)
		if q.Revision != 0 || !errors.Is(err, cluster.ErrCompacted) {
			break
		}
	}
	return snap, err
}

func (c *Client) get(ctx context.Context, q cluster.Query) (snap cluster.Snapshot, err error) {
	f := frame{Op: opGet, Key: q.Key, Prefix: q.Prefix, Revision: q.Revision}
	for {
		a, err := c.call(ctx, f, true)
		if err != nil {
			return cluster.Snapshot{}, err
		}
		if snap.Life != 0 && snap.Life != a.Life {
			return cluster.Snapshot{}, fmt.Errorf("%w: the engine has begun anew", cluster.ErrCompacted)
		}
		snap.KVs, snap.Revision, snap.Life = append(snap.KVs, a.kvs()...), a.Revision, a.Life
		snap.Age = max(snap.Age, time.Duration(a.Age))
		if !a.More || len(a.KVs) == 0 {
			return snap, nil
		}
		f.Revision, f.From = a.Revision, a.KVs[len(a.KVs)-1].Key+"\x00"
	}
}

// Watch asks for what comes next, again and again: the engine keeps nothing of it, and what
// the receiver is slow to take waits in the engine's log.
func (c *Client) Watch(ctx context.Context, prefix string, after uint64, f func(cluster.Update) error) error {
	var life uint64
	if after == 0 {
		snap, err := c.Get(ctx, cluster.Query{Key: prefix, Prefix: true})
		if err != nil {
			return watchError(ctx, err)
		}
		u := cluster.Update{Snapshot: true, Revision: snap.Revision, Life: snap.Life, Age: snap.Age, Events: make([]cluster.Event, len(snap.KVs))}
		for i, kv := range snap.KVs {
			u.Events[i] = cluster.Event{KV: kv}
		}
		if err := f(u); err != nil {
			return err
		}
		after, life = snap.Revision, snap.Life
	}
	q := frame{Op: opPoll, Key: prefix, Revision: after}
	var part []cluster.Event // of a revision that is not complete
	for {
		a, err := c.call(ctx, q, true)
		switch {
		case err != nil:
			return watchError(ctx, err)
		case life != 0 && a.Life != life:
			return fmt.Errorf("watch %q: %w: the engine has begun anew", prefix, cluster.ErrCompacted)
		}
		life = a.Life
		part = append(part, a.events()...)
		q.Revision, q.Skip = a.Revision, a.Skip
		if a.Skip > 0 {
			continue
		}
		if err := f(cluster.Update{Events: part, Revision: a.Revision, Life: a.Life, Age: time.Duration(a.Age)}); err != nil {
			return err
		}
		part = nil
	}
}

// watchError is the context's error, if it is over.
func watchError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Health asks the engine, if there is a connection.
func (c *Client) Health(ctx context.Context) (cluster.Health, error) {
	c.mu.Lock()
	l, h, closed := c.link, cluster.Health{Engine: "local, at " + c.where, Age: time.Since(c.heard), LastError: c.last, Life: c.life, Host: c.host}, c.closed
	c.mu.Unlock()
	if closed {
		return h, fmt.Errorf("cluster engine: %w", cluster.ErrClosed)
	}
	if l == nil {
		return h, ctx.Err()
	}
	a, err := l.ask(ctx, frame{Op: opHealth}, c.o.Patience)
	h.Age = l.age()
	if err != nil {
		h.LastError = err
		return h, ctx.Err()
	}
	h.Reached, h.Life, h.Revision, h.Keys, h.Leases, h.Bytes = true, a.Life, a.Revision, a.Keys, a.Leases, a.Bytes
	if a.Age > 0 { // of a replica, what matters is its engine
		h.Reached, h.Age, h.LastError = false, max(h.Age, time.Duration(a.Age)), errors.New("the daemon does not hear its engine: "+a.Text)
	}
	return h, nil
}
