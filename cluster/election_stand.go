// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A stand is one candidacy: a key with a lease, as long as both are there.
type stand struct {
	name  string
	id    string // in the value: tells it from others of this process
	value []byte
	gone  chan struct{}
	once  sync.Once
	why   error // set before gone is closed

	// Set under Elections.mu.
	key     string
	lease   Lease
	life    uint64 // of created; 0: it is not known to be in the engine
	created uint64
	leads   bool // nobody waits for it any more
}

func (s *stand) lose(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.gone)
	})
}

// enter makes a stand that the keeper leaves alone, in the place of one that has failed, if any.
func (e *Elections) enter(name, value string, last *stand) (*stand, error) {
	s := &stand{name: name, id: cryptorand.Text(), gone: make(chan struct{})}
	s.value = candidateValue(s.id, value)
	e.mu.Lock()
	defer e.mu.Unlock()
	if was := e.stands[name]; was != nil && was != last {
		return nil, fmt.Errorf("election %q: %w", name, ErrCandidate)
	}
	e.stands[name] = s
	return s, nil
}

// leave gives a stand up: if its key is in the engine, or gets there, the keeper deletes it.
func (e *Elections) leave(s *stand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stands[s.name] == s {
		delete(e.stands, s.name)
	}
	e.wake()
}

// endLocked ends a stand. Its name is free, unless its campaign tries again.
func (e *Elections) endLocked(s *stand, why error) {
	s.lose(why)
	if s.leads && e.stands[s.name] == s {
		delete(e.stands, s.name)
	}
}

// stand gets a candidate into the engine and waits until it leads.
func (e *Elections) stand(ctx context.Context, s *stand) (*Leadership, error) {
	l, err := e.leased(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	s.lease, s.key = l, candidateKey(e.root, s.name, l.ID())
	e.mu.Unlock()
	if err := e.register(ctx, s); err != nil {
		return nil, err
	}
	for {
		token, gone, changed := e.board.standing(s)
		err := e.board.bad() // after changed was taken: what happens from now on is waited for
		switch {
		case gone:
			return nil, errAgain
		case err != nil:
			return nil, err
		case token != 0:
			e.lead(s)
			return &Leadership{e: e, s: s, token: token}, nil
		}
		select {
		case <-changed:
		case <-s.gone:
			return nil, s.why
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lead notes that a stand has won. It may be lost already.
func (e *Elections) lead(s *stand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.leads = true
	select {
	case <-s.gone:
		e.endLocked(s, s.why)
	default:
	}
}

// register puts the key, and learns since when the engine has it: of a batch whose outcome is not known, too.
func (e *Elections) register(ctx context.Context, s *stand) error {
	for {
		snap, err := e.p.Get(ctx, Query{Key: s.key})
		if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
			e.pause()
			continue
		}
		if err != nil {
			return err
		}
		b := Batch{If: []Compare{{Key: s.key}}, Do: []Op{Put(s.key, s.value, s.lease.ID())}}
		if len(snap.KVs) > 0 {
			kv := &snap.KVs[0]
			if c, err := parseCandidate(kv); err == nil && c.id == s.id {
				return e.note(s, snap.Life, kv.Created)
			}
			b = Batch{If: []Compare{{Key: s.key, Revision: kv.Modified}}, Do: []Op{Delete(s.key)}} // one that was given up
		}
		switch _, err := e.p.Commit(ctx, b); {
		case err == nil, errors.Is(err, ErrCompare):
		case errors.Is(err, ErrUnavailable) && ctx.Err() == nil:
			e.pause()
		default:
			return err
		}
	}
}

// note has the copy's watch look after the key from now on.
func (e *Elections) note(s *stand, life, created uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.life, s.created = life, created
	if e.lease != s.lease || isLost(s.lease) {
		return ErrLeaseLost
	}
	return nil
}

// again waits for what a candidacy needs that has failed with err, and returns an error if it is no use.
func (e *Elections) again(ctx context.Context, s *stand, err error) error {
	switch {
	case ctx.Err() != nil:
		return e.why(ctx, err)
	case errors.Is(err, ErrLeaseLost):
		if s.lease != nil && !isLost(s.lease) {
			revoke(ctx, s.lease) // only the engine knows that it is lost
		}
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrCompacted):
		e.pause()
	case errors.Is(err, ErrCompare), errors.Is(err, errAgain):
	default:
		return err
	}
	return nil
}

// withdraw deletes a key, unless another candidacy has it.
func (e *Elections) withdraw(ctx context.Context, key, id string) error {
	for {
		snap, err := e.p.Get(ctx, Query{Key: key})
		if err == nil {
			if len(snap.KVs) == 0 {
				return nil
			}
			kv := &snap.KVs[0]
			if c, err := parseCandidate(kv); err != nil || c.id != id {
				return nil
			}
			_, err = e.p.Commit(ctx, Batch{If: []Compare{{Key: key, Revision: kv.Modified}}, Do: []Op{Delete(key)}})
			if err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return e.why(ctx, err)
		}
		e.pause()
	}
}

// leased returns the lease that all candidacies have, and makes one if the last one is lost.
func (e *Elections) leased(ctx context.Context) (Lease, error) {
	select {
	case e.granting <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.granting }()
	e.mu.Lock()
	l := e.lease
	e.mu.Unlock()
	if l != nil && !isLost(l) {
		return l, nil
	}
	l, err := e.p.Grant(ctx, e.c.TTL)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil { // Close has not seen it
		return nil, ErrClosed
	}
	e.lease = l
	e.done.Go(func() { e.tend(l) })
	return l, nil
}

func isLost(l Lease) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// tend ends what hangs on a lease when that is lost.
func (e *Elections) tend(l Lease) {
	select {
	case <-l.Lost():
		if e.loseAll(l, ErrLeaseLost) > 0 {
			e.c.Logger.Warn("the lease of the elections of this process is lost")
		}
	case <-e.ctx.Done():
		e.loseAll(l, ErrClosed)
	}
}

// loseAll ends the candidacies of a lease and returns how many there were.
func (e *Elections) loseAll(l Lease, why error) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.stands {
		if s.lease == l {
			e.endLocked(s, why)
			n++
		}
	}
	return n
}

// revoke gives a lease back, if the engine answers soon; else it expires.
func revoke(ctx context.Context, l Lease) {
	ctx, stop := context.WithTimeout(ctx, Heartbeat)
	defer stop()
	_ = l.Revoke(ctx)
}

func (e *Elections) wake() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// pause keeps a loop from spinning on an error that comes at once.
func (e *Elections) pause() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-e.ctx.Done():
	}
}
