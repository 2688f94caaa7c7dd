// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

// An engine is one that a test can wipe, and whose clients it can cut off. It works in a
// synctest bubble.
type engine struct {
	limits store.Limits
	stop   chan struct{}
	done   sync.WaitGroup

	mu    sync.Mutex
	st    *store.Store
	loose []cluster.Batch // that break a rule of the format
}

// look checks that a batch compares each key that it changes, and the host's own.
func (e *engine) look(b *cluster.Batch) {
	home, compared := false, map[string]bool{}
	for _, c := range b.If {
		compared[c.Key] = true
		home = home || strings.HasPrefix(c.Key, Root("c")+hostsPart)
	}
	for _, op := range b.Do {
		if !home || !compared[op.Key] {
			e.mu.Lock()
			e.loose = append(e.loose, *b)
			e.mu.Unlock()
			return
		}
	}
}

func newEngine(t *testing.T, l store.Limits) *engine {
	e := &engine{limits: l, stop: make(chan struct{}), st: store.New(l)}
	e.done.Add(1)
	go func() {
		defer e.done.Done()
		for {
			select {
			case <-time.After(lookEvery):
				e.store().Tend()
			case <-e.stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(e.stop)
		e.done.Wait()
		for _, b := range e.loose {
			t.Errorf("a batch that takes what it may not have read: %+v", b)
		}
	})
	return e
}

func (e *engine) store() *store.Store {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.st
}

// wipe begins another life.
func (e *engine) wipe() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.st = store.New(e.limits)
}

// put writes as somebody who keeps to no rule; a nil value deletes.
func (e *engine) put(t *testing.T, key string, data []byte) {
	t.Helper()
	op := cluster.Put(Root("c")+key, data, 0)
	op.Delete = data == nil
	c := e.store().Open("nobody")
	defer c.Close()
	if _, err := c.Commit(cluster.Batch{Do: []cluster.Op{op}}); err != nil {
		t.Fatal(err)
	}
}

// get reads what the engine has, without the root.
func (e *engine) get(t *testing.T) map[string]cluster.KV {
	t.Helper()
	snap, _, err := e.store().Get(cluster.Query{Key: Root("c"), Prefix: true}, "", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]cluster.KV{}
	for _, kv := range snap.KVs {
		m[kv.Key[len(Root("c")):]] = kv
	}
	return m
}

// A client is a cluster.Provider that a test can cut off from its engine.
type client struct {
	e    *engine
	name string
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	cut    bool
	change chan struct{} // closed when cut is another one
	heard  time.Time
	slow   time.Duration // calls take up to that long
	lossy  float64       // of the commits fail, before or after
	rng    *rand.Rand
	leases []*testLease
}

func (e *engine) dial(name string) *client {
	c := &client{e: e, name: name, change: make(chan struct{}), heard: time.Now(), rng: rand.New(rand.NewPCG(uint64(len(name)), 7))}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// sever cuts the client off, or lets it through again.
func (c *client) sever(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	close(c.change)
	c.change = make(chan struct{})
}

// die ends the client without a word: its leases are left to expire.
func (c *client) die() {
	c.sever(true)
	c.stop()
	c.done.Wait()
}

func (c *client) isCut() (cut bool, change chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.heard = time.Now()
	}
	return c.cut, c.change
}

// through waits until the engine can be reached, for as long as that takes.
func (c *client) through(ctx context.Context) (*store.Store, error) {
	c.mu.Lock()
	delay := time.Duration(0)
	if c.slow > 0 {
		delay = time.Duration(c.rng.Int64N(int64(c.slow)))
	}
	c.mu.Unlock()
	for {
		cut, change := c.isCut()
		if !cut && delay == 0 && ctx.Err() == nil && c.ctx.Err() == nil {
			return c.e.store(), nil
		}
		if !cut {
			change = nil // only the delay is waited for
		}
		var late <-chan time.Time
		if delay > 0 {
			late = time.After(delay)
		}
		select {
		case <-change:
		case <-late:
			delay = 0
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", cluster.ErrUnavailable, ctx.Err())
		case <-c.ctx.Done():
			return nil, cluster.ErrClosed
		}
	}
}

func (c *client) fails() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lossy > 0 && c.rng.Float64() < c.lossy
}

func (c *client) Commit(ctx context.Context, b cluster.Batch) (uint64, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	c.e.look(&b)
	st, err := c.through(ctx)
	if err != nil {
		return 0, err
	}
	if c.fails() {
		return 0, fmt.Errorf("%w: before", cluster.ErrUnavailable)
	}
	w := st.Open(c.name)
	defer w.Close()
	rev, err := w.Commit(b)
	if err == nil && c.fails() {
		return 0, fmt.Errorf("%w: after", cluster.ErrUnavailable)
	}
	return rev, err
}

func (c *client) Get(ctx context.Context, q cluster.Query) (cluster.Snapshot, error) {
	st, err := c.through(ctx)
	if err != nil {
		return cluster.Snapshot{}, err
	}
	snap, _, err := st.Get(q, "", 1<<30)
	snap.Life = st.Life()
	return snap, err
}

func (c *client) Watch(ctx context.Context, prefix string, _ uint64, f func(cluster.Update) error) error {
	st, err := c.through(ctx)
	if err != nil {
		return err
	}
	snap, _, err := st.Get(cluster.Query{Key: prefix, Prefix: true}, "", 1<<30)
	if err != nil {
		return err
	}
	u := cluster.Update{Snapshot: true, Revision: snap.Revision, Life: st.Life()}
	for _, kv := range snap.KVs {
		u.Events = append(u.Events, cluster.Event{KV: kv})
	}
	at := store.Cursor{Revision: snap.Revision}
	for {
		if err := f(u); err != nil {
			return err
		}
		events, next, err := st.Poll(ctx, prefix, at, 1<<30, cluster.Heartbeat)
		if err != nil {
			return err
		}
		now, err := c.through(ctx) // what was polled while it was cut comes late
		if err != nil {
			return err
		}
		if now != st {
			return fmt.Errorf("%w: another life", cluster.ErrCompacted)
		}
		at = next
		u = cluster.Update{Events: events, Revision: at.Revision, Life: st.Life()}
	}
}

func (c *client) Health(context.Context) (cluster.Health, error) {
	c.isCut()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.e.store()
	return cluster.Health{Engine: "a test's", Reached: !c.cut, Age: time.Since(c.heard), Life: st.Life(), Keys: st.Stats().Keys}, nil
}

func (c *client) Close() error {
	c.mu.Lock()
	leases := c.leases
	c.mu.Unlock()
	ctx, stop := context.WithTimeout(c.ctx, cluster.Heartbeat)
	for _, l := range leases {
		_ = l.Revoke(ctx)
	}
	stop()
	c.stop()
	c.done.Wait()
	return nil
}

type testLease struct {
	c    *client
	id   cluster.LeaseID
	st   *store.Store
	ttl  time.Duration
	lost chan struct{}
	once sync.Once
}

func (c *client) Grant(ctx context.Context, ttl time.Duration) (cluster.Lease, error) {
	st, err := c.through(ctx)
	if err != nil {
		return nil, err
	}
	w := st.Open(c.name)
	defer w.Close()
	id, err := w.Grant(ttl)
	if err != nil {
		return nil, err
	}
	l := &testLease{c: c, id: id, st: st, ttl: ttl, lost: make(chan struct{})}
	c.mu.Lock()
	c.leases = append(c.leases, l)
	c.mu.Unlock()
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		l.renew()
	}()
	return l, nil
}

func (l *testLease) renew() {
	defer l.lose()
	last := time.Now()
	for time.Since(last) < l.ttl {
		select {
		case <-time.After(l.ttl / 3):
		case <-l.lost:
			return
		case <-l.c.ctx.Done():
			return
		}
		if cut, _ := l.c.isCut(); cut {
			continue
		}
		if l.st != l.c.e.store() || l.st.Renew(l.id) != nil {
			return
		}
		last = time.Now()
	}
}

func (l *testLease) lose()                 { l.once.Do(func() { close(l.lost) }) }
func (l *testLease) ID() cluster.LeaseID   { return l.id }
func (l *testLease) TTL() time.Duration    { return l.ttl }
func (l *testLease) Lost() <-chan struct{} { return l.lost }
func (l *testLease) Revoke(ctx context.Context) error {
	l.lose()
	if _, err := l.c.through(ctx); err != nil {
		return err
	}
	l.st.Revoke(l.id)
	return nil
}
