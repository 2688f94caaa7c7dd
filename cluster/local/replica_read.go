// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

// hello tells a client of which term leases are. It is refused until that is known.
func (r *Replica) hello(q, a *frame) (*store.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.decided {
		if r.last != nil {
			return nil, fmt.Errorf("%w: the daemon has not heard its engine yet: %w", cluster.ErrUnavailable, r.last)
		}
		return nil, fmt.Errorf("%w: the daemon has not heard its engine yet", cluster.ErrUnavailable)
	}
	a.Life, a.Term, a.Host = r.store.Life(), r.term, r.o.Host
	return r.store.Open(q.Client), nil
}

// waits: what may have to ask the engine.
func (r *Replica) waits(q *frame) bool {
	switch q.Op {
	case opGrant, opCommit, opRevoke:
		return true
	case opGet:
		return q.Revision == 0
	}
	return false
}

func (r *Replica) handle(ctx context.Context, c *store.Client, q *frame) *frame {
	a := &frame{}
	return answer(q, a, r.do(ctx, c, q, a))
}

func (r *Replica) do(ctx context.Context, c *store.Client, q, a *frame) (err error) {
	switch q.Op {
	case opGrant:
		return r.grant(ctx, c, q, a)
	case opRevoke:
		return r.revoke(ctx, cluster.LeaseID(q.Lease))
	case opCommit:
		a.Revision, err = r.commit(ctx, c, q.batch())
		return err
	case opGet:
		return r.get(ctx, q, a)
	case opPoll:
		return r.poll(ctx, q, a)
	case opHealth:
		if age := r.age(); age > 0 {
			a.Age, a.Text = int64(age), r.lastError()
		}
	}
	return r.core.do(ctx, c, q, a)
}

// lastError is why the engine is not heard, as text.
func (r *Replica) lastError() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		return "it says nothing"
	}
	return r.last.Error()
}

// get reads a page of what was committed before, or says of how long ago it is.
func (r *Replica) get(ctx context.Context, q, a *frame) error {
	age := r.age()
	if q.Revision == 0 {
		age = r.current(ctx)
	}
	err := r.core.get(q, a)
	a.Age = int64(age)
	return err
}

// current waits until the copy has what the engine has now. If that takes too long it returns how old
// the copy is, else 0.
func (r *Replica) current(ctx context.Context) time.Duration {
	patience := r.o.Patience
	if r.age() > patience { // it is known to be away: it may be back
		patience = min(patience, cluster.Heartbeat/4)
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for {
		rev, life, err := r.probes.ask(ctx)
		if err == nil {
			err = r.store.Reach(ctx, life, rev)
		}
		if err == nil {
			return 0
		}
		if ctx.Err() != nil {
			return max(r.age(), patience)
		}
		r.rest(minBackoff / 4)
	}
}

// poll tells what has changed, and that nothing has only while the engine is heard.
func (r *Replica) poll(ctx context.Context, q, a *frame) error {
	for {
		if err := r.core.poll(ctx, q, a); err != nil {
			return err
		}
		age := r.age()
		a.Age = int64(age)
		if age == 0 || len(a.KVs) > 0 || a.Skip > 0 || ctx.Err() != nil {
			return nil
		}
		q.Revision, q.Skip = a.Revision, a.Skip
	}
}

// A prober asks the engine at which revision it is: once for all that want to know.
type prober struct {
	kick chan struct{}

	mu   sync.Mutex
	next *probe // that has not begun
}

// A probe is one question; its fields are for those who have seen done closed.
type probe struct {
	done      chan struct{}
	rev, life uint64
	err       error
}

func (p *prober) init() { p.kick = make(chan struct{}, 1) }

// ask returns a revision that the engine had, and in which life, after the call.
func (p *prober) ask(ctx context.Context) (rev, life uint64, err error) {
	p.mu.Lock()
	if p.next == nil {
		p.next = &probe{done: make(chan struct{})}
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
	q := p.next
	p.mu.Unlock()
	select {
	case <-q.done:
		return q.rev, q.life, q.err
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
}

// take returns the question that is to be asked now.
func (p *prober) take() *probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.next
	p.next = nil
	return q
}

// probe asks what the prober is asked.
func (r *Replica) probe() {
	for {
		select {
		case <-r.probes.kick:
		case <-r.ctx.Done():
			return
		}
		if q := r.probes.take(); q != nil {
			ctx, stop := context.WithTimeout(r.ctx, r.o.Patience)
			snap, err := r.p.Get(ctx, cluster.Query{Key: r.lifeKey()})
			stop()
			if q.rev, q.life, q.err = snap.Revision, snap.Life, err; r.ctx.Err() == nil {
				r.note(err)
			}
			close(q.done)
		}
	}
}
