// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/skybus-io/skybus/names"
)

// register puts everything that this process has asked for under a new lease. Meanwhile no request is
// under way with it: they wait for the lease.
func (n *Names) register(l Lease) error {
	h, err := n.p.Health(n.ctx)
	if err != nil {
		return err
	}
	here := Put(presenceKey(n.root, l.ID()), presenceValue(presenceHere, h.Host), l.ID())
	if _, err := n.p.Commit(n.ctx, Batch{Do: []Op{here}}); err != nil {
		return err
	}
	life, err := n.registerWith(l)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lease, n.host, n.life = l, h.Host, life
	close(n.ready)
	return nil
}

// registerWith registers, beginning again where somebody was faster, until nothing is left to do.
func (n *Names) registerWith(l Lease) (life uint64, err error) {
	for n.ctx.Err() == nil {
		q := Query{Key: n.root, Prefix: true}
		if n.idle() {
			q = Query{Key: presenceKey(n.root, l.ID())} // for the life alone
		}
		snap, err := n.p.Get(n.ctx, q)
		if err == nil {
			if q.Prefix {
				n.catchUp(&snap)
			}
			var done bool
			if done, err = n.registerAll(l, &snap); done {
				return snap.Life, nil
			}
		}
		switch {
		case err == nil, errors.Is(err, ErrCompare):
		case errors.Is(err, ErrUnavailable), errors.Is(err, ErrCompacted):
			n.pause()
		default:
			return 0, err
		}
	}
	return 0, ErrClosed
}

// catchUp waits, not for long, until the cache has come to a snapshot: what it then doubts keeps its place.
func (n *Names) catchUp(snap *Snapshot) {
	ctx, stop := context.WithTimeout(n.ctx, Heartbeat)
	defer stop()
	_ = n.cache.reach(ctx, snap.Life, snap.Revision)
}

// idle reports whether nothing is to be registered.
func (n *Names) idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.mine) == 0
}

// registerAll puts what is not there with the lease yet. It is done if there was nothing.
func (n *Names) registerAll(l Lease, snap *Snapshot) (done bool, err error) {
	there := map[string]queue{}
	for i := range snap.KVs {
		if name, c, err := parseClaim(n.root, &snap.KVs[i]); err == nil { // else it is a presence
			there[name] = append(there[name], c)
		}
	}
	done = true
	b := Batch{}
	flush := func() error {
		if len(b.Do) == 0 {
			return nil
		}
		done = false
		_, err := n.p.Commit(n.ctx, b)
		if errors.Is(err, ErrForbidden) {
			err = n.registerEach(b)
		}
		b = Batch{}
		return err
	}
	for _, m := range n.missing(l, snap, there) {
		b.If = append(b.If, Compare{Key: n.root + m.name + "/", Revision: snap.Revision, Prefix: true})
		b.Do = append(b.Do, Put(n.key(m.seat), m.value(), l.ID()))
		if len(b.Do) == MaxOps {
			if err := flush(); err != nil {
				return false, err
			}
		}
	}
	return done, flush()
}

// registerEach puts the claims of a batch one by one, and gives up those that the policy does not allow any more.
func (n *Names) registerEach(b Batch) error {
	for i := range b.Do {
		_, err := n.p.Commit(n.ctx, Batch{If: b.If[i : i+1], Do: b.Do[i : i+1]})
		switch at, ok := seatOf(n.root, b.Do[i].Key); {
		case errors.Is(err, ErrForbidden) && ok:
			n.c.Logger.Error("a global name is given up", "name", at.name, "err", err)
			n.mu.Lock()
			delete(n.mine, at)
			n.mu.Unlock()
		case err != nil:
			return err
		}
	}
	return nil
}

// A missing claim is one that is to be put.
type missing struct {
	seat
	claim
}

// missing returns what is not there with the lease, and gives up what cannot be had any more. One
// claim of each name: the next one is for the next round, which sees this one.
func (n *Names) missing(l Lease, snap *Snapshot, there map[string]queue) (list []missing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at, c := range n.mine {
		q := there[at.name]
		q.sort()
		i := q.find(at.owner)
		switch {
		case i >= 0 && q[i].lease == l.ID():
			c.lease, c.modified = l.ID(), q[i].modified
			continue
		case i >= 0: // under the lease that was
			c.pos = q[i].pos
		case n.cache.keeps(at): // nobody was told that it was gone
		case len(q) > 0 && snap.Life == n.life && c.flags&names.NoQueue != 0:
			delete(n.mine, at)
			continue
		case len(q) > 0 && snap.Life == n.life: // the others have been told that it was gone
			c.pos = q[len(q)-1].pos + 1
		}
		list = append(list, missing{at, *c})
	}
	slices.SortFunc(list, func(a, b missing) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.pos, b.pos)) })
	return slices.CompactFunc(list, func(a, b missing) bool { return a.name == b.name })
}

// take has the cache take in what the watch has told, and looks at what others have done to the claims
// of this process. Who has seen it in the cache finds both done.
func (n *Names) take(u Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cache.update(u)
	if n.lease == nil && len(n.mine) == 0 {
		return
	}
	n.inspect(&u)
	if u.Snapshot && u.Life == n.life && n.lease != nil {
		n.miss(u.Revision)
	}
}

// miss drops the claims that somebody has taken away while the watch did not tell. If the presence of
// this client is gone too, it was the engine that gave it up, and they are registered again. With mu held.
func (n *Names) miss(revision uint64) {
	n.cache.mu.RLock()
	defer n.cache.mu.RUnlock()
	if _, here := n.cache.presence[n.lease.ID()]; !here {
		return
	}
	for at, c := range n.mine {
		if c.modified <= revision && n.cache.queues[at.name].find(at.owner) < 0 {
			delete(n.mine, at)
		}
	}
}

// inspect goes through the events. With mu held.
func (n *Names) inspect(u *Update) {
	expired := map[uint64]bool{} // revisions in which this client was taken for dead
	for i := range u.Events {
		if id, ok := presenceOf(n.root, u.Events[i].Key); ok && u.Events[i].Deleted && n.lease != nil && id == n.lease.ID() {
			expired[u.Events[i].Modified] = true
		}
	}
	for i := range u.Events {
		if at, ok := seatOf(n.root, u.Events[i].Key); ok {
			n.look(at, &u.Events[i], expired[u.Events[i].Modified])
		}
	}
}

// look drops a claim that somebody else has taken away or over, and has the keeper see to those
// that nobody wants: of a request that has failed, or that must not wait.
func (n *Names) look(at seat, ev *Event, expired bool) {
	c := n.mine[at]
	if c != nil && n.lease != nil && ev.Modified > c.modified && !expired && (ev.Deleted || ev.Lease != n.lease.ID()) {
		delete(n.mine, at)
	}
	if ev.Deleted || n.lease == nil {
		return
	}
	if ev.Lease == n.lease.ID() && c == nil && n.pending[at] == 0 || n.overtaken(at.name) {
		n.wake()
	}
}

// overtaken reports whether a claim of this process waits that must not.
func (n *Names) overtaken(name string) bool {
	q, _ := n.cache.lookup(name)
	for i := 1; i < len(q); i++ {
		if c := n.mine[seat{name, q[i].owner}]; c != nil && c.mustNotWait(&q[i]) {
			return true
		}
	}
	return false
}

// mustNotWait reports whether c asked not to wait, and seen, where it stands in the queue, is that request
// and not one before it.
func (c *claim) mustNotWait(seen *claim) bool {
	return c.flags&names.NoQueue != 0 && seen.modified == c.modified
}

// clean deletes the claims under the lease that nobody here wants. What the cache does not know yet
// it will, and then this is called again.
func (n *Names) clean(l Lease) {
	for _, s := range n.strays(l) {
		key := n.key(s.seat)
		b := Batch{If: []Compare{{Key: key, Revision: s.modified}}, Do: []Op{Delete(key)}}
		if _, err := n.p.Commit(n.ctx, b); errors.Is(err, ErrUnavailable) && n.ctx.Err() == nil {
			n.pause()
			n.wake()
		}
	}
}

func (n *Names) strays(l Lease) (list []missing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cache.mu.RLock()
	defer n.cache.mu.RUnlock()
	for name, q := range n.cache.queues {
		for i := range q {
			at := seat{name, q[i].owner}
			if q[i].lease != l.ID() || q[i].modified == 0 || n.pending[at] > 0 {
				continue
			}
			c := n.mine[at]
			if c != nil && i > 0 && c.mustNotWait(&q[i]) {
				delete(n.mine, at)
				c = nil
			}
			if c == nil {
				list = append(list, missing{at, q[i]})
			}
		}
	}
	return list
}
