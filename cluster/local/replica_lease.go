// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// keep has a lease of the host, from the first snapshot on.
func (r *Replica) keep(was state) {
	if !r.synced() {
		return
	}
	h := r.resume(was)
	for r.ctx.Err() == nil {
		if h == nil {
			if h = r.acquire(); h == nil {
				return // it is closed
			}
		}
		r.use(h)
		select {
		case <-h.Lost():
		case <-h.gone:
		case <-r.ctx.Done():
			return
		}
		r.lose(h)
		h = nil
	}
}

// synced waits for the first snapshot.
func (r *Replica) synced() bool {
	for {
		r.mu.Lock()
		known, changed := r.known, r.changed
		r.mu.Unlock()
		if known {
			return true
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return false
		}
	}
}

// resume takes over the lease of the process before, with the leases that hang on it. From then on clients are
// answered: whether their leases are the same is decided.
func (r *Replica) resume(was state) (h *hostLease) {
	if was.Lease != 0 && was.Life == r.store.Life() {
		ctx, stop := context.WithTimeout(r.ctx, r.o.TTL)
		l, err := r.adopt(ctx, was.Lease)
		stop()
		if err == nil {
			h = newHostLease(l)
		} else if r.ctx.Err() == nil {
			r.o.Logger.Warn("the host's lease of before is not there any more", "lease", fmt.Sprintf("%x", uint64(was.Lease)), "err", err)
		}
	}
	r.store.Adopted(h != nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if h != nil {
		r.term = was.Term
	} else {
		r.owner.Store(0)
	}
	r.decided = true
	r.told()
	return h
}

func newHostLease(l cluster.Lease) *hostLease {
	return &hostLease{Lease: l, gone: make(chan struct{}), since: time.Now()}
}

// adopt takes a lease over, as often as the engine does not answer. Errors: ErrLeaseLost; ErrUnavailable
// with the context's.
func (r *Replica) adopt(ctx context.Context, id cluster.LeaseID) (cluster.Lease, error) {
	a, ok := r.p.(cluster.Adopter)
	if !ok {
		return nil, fmt.Errorf("%w: the engine's client cannot take it over", cluster.ErrLeaseLost)
	}
	for {
		short, stop := context.WithTimeout(ctx, 3*r.o.Patience) // so that Health says what is amiss
		l, err := a.Adopt(short, id)
		stop()
		if err == nil || !errors.Is(err, cluster.ErrUnavailable) || ctx.Err() != nil {
			return l, err
		}
		r.note(err)
		r.rest(minBackoff)
	}
}

// acquire gets a lease: the one of before if the engine has it still, with all keys. Then what their
// clients, who were told that theirs are lost, have not put again within a TTL is deleted. Otherwise the
// engine deletes it, and it is a new one. It returns nil when the replica is closed.
func (r *Replica) acquire() *hostLease {
	for r.ctx.Err() == nil {
		if id := cluster.LeaseID(r.owner.Load()); id != 0 {
			l, err := r.adopt(r.ctx, id)
			if err == nil {
				return newHostLease(l)
			}
			if !errors.Is(err, cluster.ErrLeaseLost) {
				r.wait(err)
				continue
			}
			r.owner.Store(0)
			r.store.Disown()
		}
		ctx, stop := context.WithTimeout(r.ctx, 3*r.o.Patience)
		l, err := r.p.Grant(ctx, r.o.TTL)
		stop()
		if err == nil {
			return newHostLease(l)
		}
		r.wait(err)
	}
	return nil
}

// wait is what is done about a lease that could not be had.
func (r *Replica) wait(err error) {
	if r.ctx.Err() != nil {
		return
	}
	if !errors.Is(err, cluster.ErrUnavailable) {
		r.o.Logger.Error("the cluster engine gives this host no lease", "err", err)
	}
	r.note(err)
	r.rest(cluster.Heartbeat / 4)
}

// use puts a lease in force: clients get leases from now on. What was written down before would not be
// found again, so it is first.
func (r *Replica) use(h *hostLease) {
	again := uint64(h.ID()) == r.owner.Swap(uint64(h.ID()))
	r.remember(h)
	r.mu.Lock()
	r.host = h
	r.told()
	r.mu.Unlock()
	if again { // of adopted leases there is none yet
		r.later(h)
	}
	r.o.Logger.Info("the host has a lease of the cluster engine", "lease", fmt.Sprintf("%x", uint64(h.ID())), "ttl", h.TTL())
}

// remember writes down what a restart is to find.
func (r *Replica) remember(h *hostLease) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	s := state{
		Cluster: r.o.Cluster, Host: r.o.Host, Lease: h.ID(), Life: r.store.Life(), Term: r.term, Incarnation: r.number, Judged: r.law.in() != nil,
	}
	r.mu.Unlock()
	if err := r.save(s); err != nil {
		r.note(err)
		r.o.Logger.Error("the host's lease cannot be written down: a restart loses what its processes have", "err", err)
	}
}

// later has deleted, a TTL from now on, what hangs on leases that were lost with the host's and that has come back, unless that is
// lost once more.
func (r *Replica) later(h *hostLease) {
	r.done.Go(func() {
		select {
		case <-time.After(r.o.TTL):
			r.store.Due()
		case <-h.Lost():
		case <-h.gone:
		case <-r.ctx.Done():
		}
	})
}

// lose ends what hangs on a lease of the host: all leases of its processes. They hear of it at once.
func (r *Replica) lose(h *hostLease) {
	r.mu.Lock()
	if r.host != h { // another life has come before
		r.mu.Unlock()
		return
	}
	r.anew(h)
	r.mu.Unlock()
	r.store.EndAll()
	r.hangUp()
	if r.ctx.Err() == nil {
		r.o.Logger.Warn("the host's lease is lost; its processes put again what they have", "lease", fmt.Sprintf("%x", uint64(h.ID())))
	}
}

// anew begins another term: no lease of before is one any more. With mu held.
func (r *Replica) anew(h *hostLease) {
	r.term, r.host = newTerm(), nil
	if h != nil {
		h.lose()
	}
	r.told()
}

// leased waits for the host's lease. Errors: ErrUnavailable with the context's.
func (r *Replica) leased(ctx context.Context) (h *hostLease, term uint64, err error) {
	for {
		r.mu.Lock()
		h, term, changed, last := r.host, r.term, r.changed, r.last
		r.mu.Unlock()
		if h != nil {
			return h, term, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, unavailable("the host has no lease", ctx.Err(), last)
		}
	}
}

// unavailable is an ErrUnavailable with why it is.
func unavailable(what string, err, last error) error {
	if last != nil {
		return fmt.Errorf("%w: %s: %w: %w", cluster.ErrUnavailable, what, err, last)
	}
	return fmt.Errorf("%w: %s: %w", cluster.ErrUnavailable, what, err)
}
