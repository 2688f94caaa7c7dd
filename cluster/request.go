// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/names"
)

const allFlags = names.AllowReplacement | names.Replace | names.NoQueue

// Request asks for a name, on behalf of an owner that lives as long as this process. When it returns,
// Owners knows of it. Errors: names.ErrTaken; ErrUnavailable with the context's, after which the
// owner is taken out again if it got in; ErrLimit; ErrForbidden.
func (n *Names) Request(ctx context.Context, name string, o names.Owner, f names.Flags) (names.Standing, error) {
	switch err := names.Check(name); {
	case err != nil:
		return 0, err
	case o.IsZero():
		return 0, fmt.Errorf("name %q: want an owner, got nobody", name)
	case f&^allFlags != 0:
		return 0, fmt.Errorf("name %q: flags %#x, want some of %#x", name, uint8(f), uint8(allFlags))
	}
	ctx, stop := n.bound(ctx)
	defer stop()
	at := seat{name, o}
	n.begin(at)
	defer n.end(at)
	for {
		l, err := n.leased(ctx)
		if err != nil {
			return 0, err
		}
		standing, err := n.request(ctx, l, at, f)
		if again, err := n.again(ctx, l, err); !again {
			return standing, n.about(name, err)
		}
	}
}

// errAgain means that what was decided upon has changed meanwhile.
var errAgain = errors.New("again")

// again says whether a request is to be tried once more, after waiting for what it wants.
func (n *Names) again(ctx context.Context, l Lease, err error) (bool, error) {
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil && !errors.Is(err, names.ErrTaken):
		return false, n.why(ctx)
	case errors.Is(err, ErrLeaseLost):
		_ = l.Revoke(ctx) // the keeper then gets another one
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrCompacted):
		n.pause()
	case errors.Is(err, ErrCompare), errors.Is(err, errAgain):
	default:
		return false, err
	}
	return true, nil
}

func (n *Names) about(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("name %q: %w", name, err)
}

// leased waits for the lease.
func (n *Names) leased(ctx context.Context) (Lease, error) {
	for {
		n.mu.Lock()
		l, ready := n.lease, n.ready
		n.mu.Unlock()
		if l != nil && ctx.Err() == nil {
			return l, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, n.why(ctx)
		}
	}
}

// begin and end surround what is done about a seat, so that nobody takes it for a stray meanwhile.
func (n *Names) begin(at seat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending[at]++
}

func (n *Names) end(at seat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pending[at]--; n.pending[at] == 0 {
		delete(n.pending, at)
	}
	if n.mine[at] == nil {
		n.wake() // it may have got in although its request has failed
	}
}

// queueOf reads a name's queue from the engine. Claims that the engine has lost and that are still
// believed in count.
func (n *Names) queueOf(ctx context.Context, name string) (queue, Snapshot, error) {
	snap, err := n.p.Get(ctx, Query{Key: n.root + name + "/", Prefix: true})
	if err != nil {
		return nil, snap, err
	}
	q := queue{}
	for i := range snap.KVs {
		_, c, err := parseClaim(n.root, &snap.KVs[i])
		if err != nil {
			n.c.Logger.Warn("a claim on a global name cannot be read", "err", err)
			continue
		}
		q = append(q, c)
	}
	for _, c := range n.cache.doubted(name, snap.Life) {
		if q.find(c.owner) < 0 {
			q = append(q, c)
		}
	}
	q.sort()
	return q, snap, nil
}

func (n *Names) key(at seat) string { return n.root + at.name + "/" + formatOwner(at.owner) }

// request tries once. What it decided upon is a condition of the batch: nobody has come since, and
// the owner is the same.
func (n *Names) request(ctx context.Context, l Lease, at seat, f names.Flags) (names.Standing, error) {
	q, snap, err := n.queueOf(ctx, at.name)
	if err != nil {
		return 0, err
	}
	p := q.request(at.owner, f)
	b := Batch{If: []Compare{{Key: n.root + at.name + "/", Revision: snap.Revision, Prefix: true}}}
	if len(q) > 0 && q[0].modified > 0 {
		b.If = append(b.If, Compare{Key: n.key(seat{at.name, q[0].owner}), Revision: q[0].modified})
	}
	if p.put != nil {
		b.Do = append(b.Do, Put(n.key(at), p.put.value(), l.ID()))
	}
	for _, o := range p.remove {
		b.Do = append(b.Do, Delete(n.key(seat{at.name, o})))
	}
	if len(b.Do) == 0 {
		return 0, p.err
	}
	rev, err := n.p.Commit(ctx, b)
	if err != nil {
		return 0, err
	}
	if !n.note(l, at, &p, rev) {
		return 0, errAgain
	}
	_ = n.cache.reach(ctx, snap.Life, rev) // it is done, whether or not it is seen in time
	return p.standing, p.err
}

// note remembers what a batch has done, if it was done with the lease that holds now.
func (n *Names) note(l Lease, at seat, p *plan, rev uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lease != l {
		return false
	}
	for _, o := range p.remove {
		delete(n.mine, seat{at.name, o})
	}
	if p.put != nil {
		c := *p.put
		c.lease, c.modified = l.ID(), rev
		n.mine[at] = &c
	}
	return true
}

// Release gives a name or a place in its queue up, whoever has asked for it. When it returns, Owners
// knows of it. Errors: names.ErrNotOwner; ErrUnavailable with the context's, after which the
// owner has what it had, or not.
func (n *Names) Release(ctx context.Context, name string, o names.Owner) error {
	if err := names.Check(name); err != nil {
		return err
	}
	ctx, stop := n.bound(ctx)
	defer stop()
	at := seat{name, o}
	n.begin(at)
	defer n.end(at)
	var was *claim
	for {
		l, err := n.leased(ctx)
		if err == nil {
			was = n.disown(l, at, was)
			err = n.release(ctx, at, was != nil)
		}
		again, err := n.again(ctx, l, err)
		if again {
			continue
		}
		if err != nil && !errors.Is(err, names.ErrNotOwner) {
			n.own(at, was)
		}
		return n.about(name, err)
	}
}

// disown takes a seat out of those that are registered again, and returns what it was.
func (n *Names) disown(l Lease, at seat, was *claim) *claim {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.mine[at]; c != nil && n.lease == l {
		was = c
		delete(n.mine, at)
	}
	return was
}

// own puts back what disown has taken.
func (n *Names) own(at seat, was *claim) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if was != nil && n.mine[at] == nil {
		n.mine[at] = was
	}
}

// release tries once. A seat that was registered and is not there was given back by the engine.
func (n *Names) release(ctx context.Context, at seat, was bool) error {
	q, snap, err := n.queueOf(ctx, at.name)
	if err != nil {
		return err
	}
	i := q.find(at.owner)
	if i < 0 || q[i].modified == 0 {
		if was {
			return nil
		}
		return names.ErrNotOwner
	}
	key := n.key(at)
	rev, err := n.p.Commit(ctx, Batch{If: []Compare{{Key: key, Revision: q[i].modified}}, Do: []Op{Delete(key)}})
	if err != nil {
		return err
	}
	_ = n.cache.reach(ctx, snap.Life, rev) // it is done, whether or not it is seen in time
	return nil
}

// keep has a lease, and everything that is asked for registered with it.
func (n *Names) keep() {
	defer n.done.Done()
	for n.ctx.Err() == nil {
		l, err := n.p.Grant(n.ctx, n.c.TTL)
		if err == nil {
			err = n.register(l)
		}
		if err == nil {
			n.tend(l)
			n.mu.Lock()
			n.lease, n.ready = nil, make(chan struct{})
			n.mu.Unlock()
		}
		switch {
		case n.ctx.Err() != nil:
			n.farewell(l)
		case err != nil:
			n.c.Logger.Warn("global names cannot be registered", "err", err)
			n.rest(l)
		default:
			n.c.Logger.Warn("the lease of the global names of this process is lost; they are registered again")
		}
	}
}

// farewell gives the lease back, with all that hangs on it. If the engine does not answer soon, it expires.
func (n *Names) farewell(l Lease) {
	if l == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), Heartbeat)
	defer stop()
	n.mu.Lock()
	host := n.host
	n.mu.Unlock()
	_, _ = n.p.Commit(ctx, Batch{Do: []Op{Put(presenceKey(n.root, l.ID()), presenceValue(presenceLeft, host), l.ID())}})
	_ = l.Revoke(ctx)
}

// rest gives back what could not be used, and waits a moment.
func (n *Names) rest(l Lease) {
	if l != nil {
		ctx, stop := context.WithTimeout(n.ctx, Heartbeat)
		_ = l.Revoke(ctx)
		stop()
	}
	select {
	case <-time.After(Heartbeat / 4):
	case <-n.ctx.Done():
	}
}

// tend looks after the lease until it is lost.
func (n *Names) tend(l Lease) {
	for {
		select {
		case <-n.kick:
			n.clean(l)
		case <-l.Lost():
			return
		case <-n.ctx.Done():
			return
		}
	}
}
