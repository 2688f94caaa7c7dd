// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

// commit does a batch of a client: the engine decides, and the answer comes when the copy has what it has
// decided upon. Who reads after that reads why.
func (r *Replica) commit(ctx context.Context, c *store.Client, b cluster.Batch) (uint64, error) {
	if b.Head != 0 {
		return 0, fmt.Errorf("%w: a batch with heads of %d bytes for a replica, want 0", cluster.ErrLimit, b.Head)
	}
	r.mu.Lock()
	term := r.term
	r.mu.Unlock()
	p, err := c.Begin(&b)
	if err != nil {
		return 0, err
	}
	defer p.End()
	done, err := r.law.admit(r.names(), r.o.Host, &b)
	if err != nil {
		return 0, err
	}
	defer done()
	h, err := r.lender(ctx, &b, term)
	if err != nil {
		return 0, err
	}
	up, err := r.outward(&b, h)
	if err != nil {
		return 0, err
	}
	return r.send(ctx, up, h)
}

// lender returns the host's lease for a batch whose leases live in a term, nil if it has none. A daemon that was
// just started again may not have it back yet.
func (r *Replica) lender(ctx context.Context, b *cluster.Batch, term uint64) (*hostLease, error) {
	if !slices.ContainsFunc(b.Do, func(op cluster.Op) bool { return op.Lease != 0 }) {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(ctx, r.o.Patience)
	defer stop()
	h, is, err := r.leased(ctx)
	if err == nil && is != term {
		err = fmt.Errorf("%w: the host has lost its own meanwhile", cluster.ErrLeaseLost)
	}
	return h, err
}

// outward makes of a batch what the engine is to do.
func (r *Replica) outward(b *cluster.Batch, h *hostLease) (up cluster.Batch, err error) {
	up = cluster.Batch{If: b.If, Do: make([]cluster.Op, len(b.Do)), Head: valueHead}
	for i, op := range b.Do {
		switch {
		case !strings.HasPrefix(op.Key, r.root) || op.Key == r.lifeKey():
			return up, fmt.Errorf("key %q: want one that begins with %s and is not %s", op.Key, r.root, r.lifeKey())
		case op.Delete:
		default:
			op.Value = joinValue(op.Lease, op.Value)
			if op.Lease != 0 {
				op.Lease = h.ID()
			}
		}
		up.Do[i] = op
	}
	for _, c := range b.If {
		if !strings.HasPrefix(c.Key, r.root) {
			return up, fmt.Errorf("compare of key %q: want one that begins with %s", c.Key, r.root)
		}
	}
	return up, nil
}

// send has the engine do a batch, and waits until the copy has come to where that was.
func (r *Replica) send(ctx context.Context, b cluster.Batch, h *hostLease) (rev uint64, err error) {
	ctx, stop := context.WithTimeout(ctx, 3*r.o.Patience)
	defer stop()
	life := r.store.Life()
	rev, err = r.carry(ctx, b, h)
	switch {
	case err == nil:
		if err := r.store.Reach(ctx, life, rev); err != nil {
			return 0, unavailable("the batch was done, and the copy has not come to it", err, nil)
		}
		return rev, nil
	case errors.Is(err, cluster.ErrCompare):
		r.catchUp(ctx, life, err)
	case errors.Is(err, cluster.ErrLeaseLost) && h != nil:
		h.lose()
	case errors.Is(err, cluster.ErrUnavailable):
		r.note(err)
	}
	return 0, err
}

// catchUp waits until the copy has what made a compare fail, or it takes too long.
func (r *Replica) catchUp(ctx context.Context, life uint64, err error) {
	var c *cluster.CompareError
	var rev uint64
	if errors.As(err, &c) {
		rev = c.Revision
	} else if rev, life, err = r.probes.ask(ctx); err != nil {
		return
	}
	_ = r.store.Reach(ctx, life, rev)
}

// revoke ends a lease of a process, and waits until its keys are gone. From the first moment on nothing can be
// put with it.
func (r *Replica) revoke(ctx context.Context, id cluster.LeaseID) error {
	r.store.Revoke(id)
	ctx, stop := context.WithTimeout(ctx, r.o.Patience)
	defer stop()
	if err := r.store.Gone(ctx, id); err != nil {
		return unavailable("the keys of the lease are not deleted yet", err, nil)
	}
	return nil
}

// clean deletes what leases have left that have ended, until nothing is left to do.
func (r *Replica) clean() {
	for {
		select {
		case <-r.store.Woken():
		case <-r.ctx.Done():
			return
		}
		wait := minBackoff
		for more := true; more && r.ctx.Err() == nil; {
			var err error
			if more, err = r.tidy(); err == nil {
				wait = minBackoff
				continue
			}
			r.rest(wait)
			wait = min(2*wait, cluster.Heartbeat/2)
		}
	}
}

// tidy does one batch of that, if there is something to do.
func (r *Replica) tidy() (more bool, err error) {
	ids := r.store.Ended(cluster.MaxOps)
	if len(ids) == 0 {
		return false, nil
	}
	h, _, err := r.leased(r.ctx)
	if err != nil {
		return true, err
	}
	b := r.goodbyes(ids, h)
	if len(b.Do) == 0 {
		b = r.deletions(ids)
	}
	if len(b.Do) > 0 {
		_, err = r.send(r.ctx, b, h)
	}
	return true, err
}

// goodbyes is the batch that says of these leases' clients that they leave: nobody then takes them for dead because of
// the host.
func (r *Replica) goodbyes(ids []cluster.LeaseID, h *hostLease) cluster.Batch {
	b := cluster.Batch{Head: valueHead}
	for _, id := range ids {
		key := cluster.PresenceKey(r.names(), id)
		kv, ok := r.store.Item(key)
		left, here := cluster.PresenceLeft(kv.Value)
		if !ok || !here || kv.Lease != id || len(b.Do) == cluster.MaxOps {
			continue
		}
		b.If = append(b.If, cluster.Compare{Key: key, Revision: kv.Modified})
		b.Do = append(b.Do, cluster.Put(key, joinValue(id, left), h.ID()))
	}
	return b
}

// deletions is a batch that deletes keys of these leases, as the copy knows them: who has put one again keeps it.
func (r *Replica) deletions(ids []cluster.LeaseID) cluster.Batch {
	b := cluster.Batch{}
	for _, id := range ids {
		for _, kv := range r.store.Left(id, cluster.MaxOps-len(b.Do)) {
			b.If = append(b.If, cluster.Compare{Key: kv.Key, Revision: kv.Modified})
			b.Do = append(b.Do, cluster.Delete(kv.Key))
		}
		if len(b.Do) == cluster.MaxOps {
			break
		}
	}
	return b
}

// farewell gives the host's lease back, after saying of its processes that they leave.
func (r *Replica) farewell(ctx context.Context, h *hostLease) error {
	ids := r.store.Leases()
	for len(ids) > 0 {
		n := min(len(ids), cluster.MaxOps)
		if b := r.goodbyes(ids[:n], h); len(b.Do) > 0 {
			if _, err := r.p.Commit(ctx, b); err != nil {
				break // they are taken for dead
			}
		}
		ids = ids[n:]
	}
	r.forget()
	return h.Revoke(ctx)
}

// grant makes a lease for a process, once the host has one.
func (r *Replica) grant(ctx context.Context, c *store.Client, q, a *frame) error {
	if ttl := time.Duration(q.TTL); ttl >= cluster.MinTTL && ttl <= cluster.MaxTTL {
		ctx, stop := context.WithTimeout(ctx, r.o.Patience)
		defer stop()
		if _, _, err := r.leased(ctx); err != nil {
			return err
		}
	}
	return r.core.do(ctx, c, q, a)
}
