// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// asleep is how long nobody may look at the leases before it is the store that was away,
// not those that should have renewed them.
const asleep = time.Second

// A lease is a set of keys that goes away at a time.
type lease struct {
	id   cluster.LeaseID
	ttl  time.Duration
	till time.Time
	by   *Client // nil: of an adopted one, until somebody renews it
	keys map[string]struct{}
	due  bool // of one that has ended: its keys are to be deleted now
}

// Grant makes a lease for the client.
func (c *Client) Grant(ttl time.Duration) (cluster.LeaseID, error) {
	if ttl < cluster.MinTTL || ttl > cluster.MaxTTL {
		return 0, fmt.Errorf("%w: a lease of %v, want %v to %v", cluster.ErrLimit, ttl, cluster.MinTTL, cluster.MaxTTL)
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.limits.ClientLeases; len(c.leases) >= n {
		return 0, fmt.Errorf("%w: a client may have %d leases", cluster.ErrLimit, n)
	}
	var id cluster.LeaseID
	for id == 0 || s.holder(id) != nil {
		id = cluster.LeaseID(rand.Uint64())
	}
	s.lend(id, ttl, c)
	return id, nil
}

// lend makes a lease; c may be nil.
func (s *Store) lend(id cluster.LeaseID, ttl time.Duration, c *Client) *lease {
	l := &lease{id: id, ttl: ttl, till: time.Now().Add(ttl), by: c, keys: map[string]struct{}{}}
	s.leases[id] = l
	if c != nil {
		c.leases[id] = l
	}
	return l
}

// Renew has the lease live for another TTL. Any client may: who knows its number has it.
func (s *Store) Renew(id cluster.LeaseID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[id]
	if l == nil {
		return fmt.Errorf("%w: no lease %x", cluster.ErrLeaseLost, id)
	}
	l.till = time.Now().Add(l.ttl)
	return nil
}

// Renew is as that of the store, and returns the lease's TTL. An adopted lease is the client's from then
// on, with that TTL unless it is 0.
func (c *Client) Renew(id cluster.LeaseID, ttl time.Duration) (time.Duration, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.living(id)
	if l == nil {
		return 0, fmt.Errorf("%w: no lease %x", cluster.ErrLeaseLost, id)
	}
	if l.by == nil {
		s.give(l, c)
		if ttl >= cluster.MinTTL && ttl <= cluster.MaxTTL {
			l.ttl = ttl
		}
	}
	l.till = time.Now().Add(l.ttl)
	return l.ttl, nil
}

// Revoke ends a lease and deletes its keys. One that is not there is revoked already.
func (s *Store) Revoke(id cluster.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[id]; l != nil {
		s.end(l)
	}
}

// RevokeAll ends all leases of the client.
func (c *Client) RevokeAll() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range c.leases {
		s.end(l)
	}
}

// end deletes a lease's keys in one revision. They are in order, so that two runs tell the same. In
// a copy they are left to whoever asks for Ended.
func (s *Store) end(l *lease) {
	if s.copied {
		s.mourn(l, true)
		return
	}
	delete(s.leases, l.id)
	delete(l.by.leases, l.id)
	do := make([]cluster.Op, 0, len(l.keys))
	for key := range l.keys {
		do = append(do, cluster.Delete(key))
	}
	slices.SortFunc(do, func(a, b cluster.Op) int { return cmp.Compare(a.Key, b.Key) })
	s.apply(l.by, do)
	l.by.forget()
}

// Tend ends the leases that have expired. It is to be called a few times in the shortest TTL
// that matters. If it was not called for long, as when the process was stopped or its host
// slept, nobody could renew anything: all leases begin anew.
func (s *Store) Tend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	away := now.Sub(s.looked) > asleep
	s.looked = now
	for _, l := range s.leases {
		switch {
		case away:
			l.till = now.Add(l.ttl)
		case now.After(l.till):
			s.end(l)
		}
	}
}
