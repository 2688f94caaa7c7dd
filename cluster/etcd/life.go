// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skybus-io/skybus/cluster"
)

// A life is what the life key says, and when it was put. The zero one is not known yet.
type life struct {
	id       uint64
	modified int64
	base     uint64
}

// lifeValue is the value of the life key.
type lifeValue struct {
	V    int    `json:"v"`
	Life string `json:"life"` // 16 hexadecimal digits
	Base uint64 `json:"base"` // at least as high as each token of the lives before: a token is the base and a revision
}

// maxBase leaves room for the revisions above it.
const maxBase = 1<<63 - 1

// parseLife reads the value of the life key.
func parseLife(value []byte) (id, base uint64, err error) {
	var v lifeValue
	if err := json.Unmarshal(value, &v); err != nil {
		return 0, 0, fmt.Errorf("life %.60q: %w", value, err)
	}
	id, err = strconv.ParseUint(v.Life, 16, 64)
	if v.V < 1 || err != nil || id == 0 || len(v.Life) != 16 || v.Base > maxBase {
		return 0, 0, fmt.Errorf("life %.60q: want v of 1 or more, life of 16 hexadecimal digits, and base up to %d", value, uint64(maxBase))
	}
	return id, v.Base, nil
}

// pulse asks for the life key each heartbeat: that says whether etcd is there, and whether it is the same one.
func (c *Client) pulse() {
	t := time.NewTicker(cluster.Heartbeat)
	defer t.Stop()
	for {
		if err := c.beat(); c.ctx.Err() == nil {
			c.note(err)
		}
		select {
		case <-t.C:
		case <-c.look:
		case <-c.ctx.Done():
			return
		}
	}
}

// beat asks once, and puts the life key where there is none.
func (c *Client) beat() error {
	if err := c.open(); err != nil {
		return explain(err)
	}
	var r *clientv3.GetResponse
	err := c.attempt(c.ctx, func(ctx context.Context) (err error) {
		if r, err = c.c.Get(ctx, c.lifeKey); err == nil && len(r.Kvs) == 0 {
			if err = c.begin(ctx); err == nil {
				r, err = c.c.Get(ctx, c.lifeKey)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return explain(err)
	case len(r.Kvs) == 0:
		return fmt.Errorf("%w: it was wiped this very moment", cluster.ErrUnavailable)
	}
	id, base, err := parseLife(r.Kvs[0].Value)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", cluster.ErrUnavailable, c.lifeKey, err)
	}
	l := life{id, r.Kvs[0].ModRevision, base}
	c.live(l, uint64(r.Header.Revision))
	c.saw(l, r.Header.Revision)
	return nil
}

// begin puts the life key if it is absent.
func (c *Client) begin(ctx context.Context) error {
	c.mu.Lock()
	base := nextBase(c.life.base, c.revision, time.Now())
	c.mu.Unlock()
	value, err := json.Marshal(lifeValue{V: 1, Life: fmt.Sprintf("%016x", rand.Uint64()|1), Base: base})
	if err != nil {
		return err
	}
	_, err = c.c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(c.lifeKey), "=", 0)).Then(clientv3.OpPut(c.lifeKey, string(value))).Commit()
	return err
}

// nextBase is the base of the life after one whose base and last revision are known, as 0 if they are not.
func nextBase(base, revision uint64, now time.Time) uint64 {
	begin := uint64(max(0, now.UnixMilli())) << 20 // as the local engine begins: it may be that nothing is known
	return min(max(base+min(revision, maxBase), begin), maxBase)
}

// live notes the life that etcd has. Another one ends watches and leases.
func (c *Client) live(l life, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == l {
		return
	}
	known := c.life != life{}
	c.life = l
	if !known {
		return
	}
	c.o.Logger.Warn("etcd has begun anew: what it held is gone", "life", fmt.Sprintf("%016x", l.id))
	c.revision = revision
	close(c.another)
	c.another = make(chan struct{})
	for le := range c.leases {
		le.lose()
	}
}

// reach waits until etcd answers, and returns the life that it is in, and what is closed when that ends.
func (c *Client) reach(ctx context.Context) (life, <-chan struct{}, error) {
	for {
		c.mu.Lock()
		l, another, ok, change, closed := c.life, c.another, c.last == nil, c.change, c.closed
		c.mu.Unlock()
		if closed {
			return l, nil, fmt.Errorf("etcd: %w", cluster.ErrClosed)
		}
		if err := ctx.Err(); err != nil {
			return l, nil, c.why(ctx, nil)
		}
		if ok && l.id != 0 {
			return l, another, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return l, nil, c.why(ctx, nil)
		}
	}
}
