// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/skybus-io/skybus/cluster"
)

// How many keys are read at once: fewer where a page takes longer than Patience.
const (
	pageKeys = 4096
	fewKeys  = 16
)

// named is how many compares of a batch are looked at to say which did not hold.
const named = 16

// Commit does a batch. It waits until etcd is there, and then asks once: whether a batch was done whose answer does not
// come is for the caller to find out.
func (c *Client) Commit(ctx context.Context, b cluster.Batch) (uint64, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	ctx, stop := c.bound(ctx)
	defer stop()
	l, _, err := c.reach(ctx)
	if err != nil {
		return 0, err
	}
	var r *clientv3.TxnResponse
	err = c.attempt(ctx, func(ctx context.Context) (err error) {
		r, err = c.c.Txn(ctx).If(c.compares(l, b.If)...).Then(ops(b.Do)...).Else(c.reasons(b.If)...).Commit()
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, c.why(ctx, err)
	case err != nil:
		kick(c.look)
		return 0, fmt.Errorf("etcd: %w", explain(err))
	case r.Succeeded:
		c.saw(l, r.Header.Revision)
		return uint64(r.Header.Revision), nil
	}
	return 0, c.failed(l, &b, r)
}

// reasons reads, where a batch is not done, the life and the first keys that it wanted to be as they were.
func (c *Client) reasons(list []cluster.Compare) []clientv3.Op {
	all := []clientv3.Op{clientv3.OpGet(c.lifeKey, clientv3.WithKeysOnly())}
	for _, one := range list[:min(len(list), named)] {
		if !one.Prefix {
			all = append(all, clientv3.OpGet(one.Key, clientv3.WithKeysOnly()))
		}
	}
	return all
}

// failed says why a batch was not done.
func (c *Client) failed(l life, b *cluster.Batch, r *clientv3.TxnResponse) error {
	found := r.Responses
	if !c.same(l, found[0]) {
		return fmt.Errorf("etcd: %w: it has begun anew", cluster.ErrUnavailable)
	}
	c.saw(l, r.Header.Revision)
	text := fmt.Sprintf("one of %d conditions did not hold at revision %d", len(b.If), r.Header.Revision)
	if len(b.If) == 1 {
		text = fmt.Sprintf("a key below %q was put after revision %d", b.If[0].Key, b.If[0].Revision)
	}
	found = found[1:]
	for _, one := range b.If[:min(len(b.If), named)] {
		if one.Prefix {
			continue
		}
		now := int64(0)
		if kvs := found[0].GetResponseRange().Kvs; len(kvs) > 0 {
			now = kvs[0].ModRevision
		}
		if found = found[1:]; now != int64(one.Revision) {
			text = fmt.Sprintf("key %q has revision %d, want %d (0: there is none)", one.Key, now, one.Revision)
			break
		}
	}
	return &cluster.CompareError{Revision: uint64(r.Header.Revision), Text: text}
}

// same reports whether the life key that was read is that of l. Else whoever asks next waits for what is found.
func (c *Client) same(l life, read *etcdserverpb.ResponseOp) bool {
	if kvs := read.GetResponseRange().Kvs; len(kvs) > 0 && kvs[0].ModRevision == l.modified {
		return true
	}
	kick(c.look)
	return false
}

// compares are the conditions of a batch, and that nothing has begun anew.
func (c *Client) compares(l life, list []cluster.Compare) []clientv3.Cmp {
	all := append(make([]clientv3.Cmp, 0, len(list)+1), clientv3.Compare(clientv3.ModRevision(c.lifeKey), "=", l.modified))
	for i := range list {
		switch one := &list[i]; {
		case one.Prefix && one.Key == "":
			all = append(all, clientv3.Compare(clientv3.ModRevision("\x00").WithRange("\x00"), "<", int64(one.Revision)+1))
		case one.Prefix:
			all = append(all, clientv3.Compare(clientv3.ModRevision(one.Key).WithPrefix(), "<", int64(one.Revision)+1))
		case one.Revision == 0:
			all = append(all, clientv3.Compare(clientv3.CreateRevision(one.Key), "=", 0))
		default:
			all = append(all, clientv3.Compare(clientv3.ModRevision(one.Key), "=", int64(one.Revision)))
		}
	}
	return all
}

func ops(do []cluster.Op) []clientv3.Op {
	list := make([]clientv3.Op, len(do))
	for i := range do {
		switch op := &do[i]; {
		case op.Delete:
			list[i] = clientv3.OpDelete(op.Key)
		case op.Lease != 0:
			list[i] = clientv3.OpPut(op.Key, string(op.Value), clientv3.WithLease(clientv3.LeaseID(op.Lease)))
		default:
			list[i] = clientv3.OpPut(op.Key, string(op.Value))
		}
	}
	return list
}

// Get reads keys, a page at a time, all as of one revision.
func (c *Client) Get(ctx context.Context, q cluster.Query) (cluster.Snapshot, error) {
	if q.Key == "" && !q.Prefix {
		return cluster.Snapshot{}, errors.New("etcd: get: a key is empty, want 1 byte or more")
	}
	ctx, stop := c.bound(ctx)
	defer stop()
	for {
		snap, err := c.get(ctx, q)
		if q.Revision != 0 || !errors.Is(err, cluster.ErrCompacted) {
			return snap, err
		}
		pause(ctx) // it was compacted between two pages, or has begun anew
	}
}

func (c *Client) get(ctx context.Context, q cluster.Query) (snap cluster.Snapshot, err error) {
	l, _, err := c.reach(ctx)
	if err != nil {
		return snap, err
	}
	from, rev, limit := q.Key, int64(q.Revision), int64(pageKeys)
	for {
		var r *clientv3.TxnResponse
		err := c.read(ctx, func(ctx context.Context) (err error) {
			r, err = c.c.Txn(ctx).Then(c.page(q, from, rev, limit), clientv3.OpGet(c.lifeKey, clientv3.WithKeysOnly())).Commit()
			if err != nil && ctx.Err() != nil {
				limit = max(limit/4, fewKeys)
			}
			return err
		})
		if err != nil {
			return snap, err
		}
		if !c.same(l, r.Responses[1]) {
			return snap, fmt.Errorf("etcd: %w: it has begun anew", cluster.ErrCompacted)
		}
		if rev == 0 {
			rev = r.Header.Revision
			c.saw(l, rev)
		}
		page := r.Responses[0].GetResponseRange()
		snap.KVs = c.append(snap.KVs, page, q.Prefix)
		if !page.More || len(page.Kvs) == 0 {
			snap.Life, snap.Revision = l.id, uint64(rev)
			return snap, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// page reads what begins at a key.
func (c *Client) page(q cluster.Query, from string, rev, limit int64) clientv3.Op {
	options := []clientv3.OpOption{clientv3.WithLimit(limit)}
	if rev != 0 {
		options = append(options, clientv3.WithRev(rev))
	}
	switch {
	case !q.Prefix:
		return clientv3.OpGet(q.Key, options...)
	case from == "":
		from = "\x00"
	}
	end := "\x00" // all that is behind
	if q.Key != "" {
		end = clientv3.GetPrefixRangeEnd(q.Key)
	}
	return clientv3.OpGet(from, append(options, clientv3.WithRange(end))...)
}

// append adds what was read. The life key is in no list: it is of this package.
func (c *Client) append(list []cluster.KV, page *etcdserverpb.RangeResponse, prefix bool) []cluster.KV {
	for _, kv := range page.Kvs {
		if !prefix || string(kv.Key) != c.lifeKey {
			list = append(list, pair(kv))
		}
	}
	return list
}

func pair(kv *mvccpb.KeyValue) cluster.KV {
	return cluster.KV{
		Key: string(kv.Key), Value: kv.Value, Lease: cluster.LeaseID(kv.Lease), Created: uint64(kv.CreateRevision), Modified: uint64(kv.ModRevision),
	}
}
