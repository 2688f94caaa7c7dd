// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// Leases of a copy's clients are numbers that the other engine knows nothing of. When one ends, its keys are still
// there; Ended and Left say which, until Feed has told that they are gone.

// holder returns the lease of that number, also one that has ended and has keys; nil: none is known.
func (s *Store) holder(id cluster.LeaseID) *lease {
	if l := s.leases[id]; l != nil {
		return l
	}
	return s.copy.dead[id]
}

// living returns a lease that may be used. After Adopted a client may come with one that has no keys; it is
// nobody's until it is renewed.
func (s *Store) living(id cluster.LeaseID) *lease {
	l := s.leases[id]
	if l == nil && id != 0 && s.copy.dead[id] == nil && time.Now().Before(s.copy.till) {
		l = s.lend(id, s.copy.adopt, nil)
	}
	return l
}

// give makes a lease that nobody had the client's, with its keys.
func (s *Store) give(l *lease, c *Client) {
	l.by, c.leases[l.id] = c, l
	for key := range l.keys {
		if it := s.items[key]; it.by == nil {
			it.by = c
			c.keys++
			c.bytes += it.cost()
		}
	}
}

// stray returns the lease of a key that has gone from this host with a lease that nobody has: while leases
// are adopted a living one, else one that has ended, and its key came late.
func (s *Store) stray(id cluster.LeaseID) *lease {
	if s.copy.adopt > 0 && s.copy.till.IsZero() {
		return s.lend(id, s.copy.adopt, nil)
	}
	l := &lease{id: id, keys: map[string]struct{}{}}
	s.bury(l, true)
	return l
}

// mourn ends a lease of a copy.
func (s *Store) mourn(l *lease, due bool) {
	delete(s.leases, l.id)
	if l.by != nil {
		delete(l.by.leases, l.id)
		defer l.by.forget()
	}
	if len(l.keys) > 0 {
		s.bury(l, due)
	}
}

func (s *Store) bury(l *lease, due bool) {
	l.due = due
	s.copy.dead[l.id] = l
	s.signal()
}

// buried forgets a lease if it has ended and has no keys.
func (s *Store) buried(id cluster.LeaseID) {
	if l := s.copy.dead[id]; l != nil && len(l.keys) == 0 {
		delete(s.copy.dead, id)
	}
}

func (s *Store) signal() {
	select {
	case s.copy.ended <- struct{}{}:
	default:
	}
}

// Adopt takes all leases that keys of this host have, and that nobody has, for living ones: Feed then
// makes them, of that TTL, until Adopted. It is to be called before the first Feed.
func (s *Store) Adopt(ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copy.adopt = ttl
}

// Adopted ends that. If all is well the leases live for their TTL from now on, in which their clients
// renew them, also those that have no keys; else they were another's, and are forgotten.
func (s *Store) Adopted(well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.copy.till = now
	if well {
		s.copy.till = now.Add(s.copy.adopt)
	}
	for id, l := range s.leases {
		switch {
		case l.by != nil:
		case well:
			l.till = now.Add(l.ttl)
		default:
			delete(s.leases, id)
		}
	}
}

// EndAll ends all leases. Their keys are not to be deleted before Due.
func (s *Store) EndAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copy.till = time.Now()
	for _, l := range s.leases {
		s.mourn(l, false)
	}
}

// Due has the keys deleted of all leases that EndAll has ended.
func (s *Store) Due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.copy.dead {
		l.due = true
	}
	s.signal()
}

// Disown forgets all leases that have ended: their keys go by themselves, with a lease of the other engine
// that this host has lost.
func (s *Store) Disown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.copy.dead)
	close(s.copy.moved)
	s.copy.moved = make(chan struct{})
}

// Woken is full when Ended may have something new.
func (s *Store) Woken() <-chan struct{} { return s.copy.ended }

// Ended returns up to most leases that have ended and whose keys are to be deleted, in order.
func (s *Store) Ended(most int) (ids []cluster.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.copy.dead {
		if l.due {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(most, len(ids))]
}

// Left returns up to most of the keys that a lease has, in order; it may be one that lives.
func (s *Store) Left(id cluster.LeaseID, most int) (kvs []cluster.KV) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.holder(id)
	if l == nil {
		return nil
	}
	for key := range l.keys {
		kvs = append(kvs, s.items[key].KV)
		if len(kvs) == most {
			break
		}
	}
	slices.SortFunc(kvs, func(a, b cluster.KV) int { return cmp.Compare(a.Key, b.Key) })
	return kvs
}

// Leases returns the numbers of all leases that live.
func (s *Store) Leases() (ids []cluster.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.leases {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Item returns a key that is there.
func (s *Store) Item(key string) (kv cluster.KV, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[key]; it != nil {
		return it.KV, true
	}
	return kv, false
}

// Gone waits until a lease that has ended has no keys any more.
func (s *Store) Gone(ctx context.Context, id cluster.LeaseID) error {
	for {
		s.mu.Lock()
		dead, moved := s.copy.dead[id] != nil, s.copy.moved
		s.mu.Unlock()
		if !dead {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
