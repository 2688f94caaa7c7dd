// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A copyState is what only a copy has. The store's lock guards it.
type copyState struct {
	dead    map[cluster.LeaseID]*lease // leases that have ended and still have keys in the other engine
	ended   chan struct{}              // full if there is something new in dead
	moved   chan struct{}              // closed at the next Feed
	begun   reserved                   // of all clients
	writing map[string]*Client         // who puts a key without a lease, while it does
	adopt   time.Duration              // a lease of this host that nobody knows is a living one, of that TTL; 0: it has ended
	till    time.Time                  // until when a client may come with such a lease
}

// NewCopy returns an empty store for what another engine has: Feed tells it. Tend is for the
// leases of its clients. Until the first Feed its life is 0.
func NewCopy(l Limits) *Store {
	s := New(l)
	s.copied, s.life, s.rev, s.log.begin = true, 0, 0, 0
	s.copy = copyState{
		dead: map[cluster.LeaseID]*lease{}, ended: make(chan struct{}, 1), moved: make(chan struct{}), writing: map[string]*Client{},
	}
	return s
}

// A Reader makes of an event of the other engine what the copy is to hold, in place: the lease becomes that
// of a client. own says that the key went there from this host and goes with its lease; ok, that
// the copy is to hold it. It is called with the store's lock held.
type Reader func(ev *cluster.Event) (own, ok bool)

// Feed takes in what a watch of the other engine has told; the events are the store's from then on.
// another says that a snapshot was of another life than what was there: then all leases are gone. Errors, after
// which nothing has changed: ErrLimit, it is more than the limits let in; ErrCompacted, it does not
// follow on what is there.
func (s *Store) Feed(u *cluster.Update, read Reader) (another bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case u.Snapshot:
		another, err = s.replace(u, read)
	case u.Life != s.life || u.Revision < s.rev:
		err = fmt.Errorf("%w: told of revision %d of life %x, there is %d of %x", cluster.ErrCompacted, u.Revision, u.Life, s.rev, s.life)
	default:
		err = s.follow(u, read)
	}
	if err == nil {
		close(s.copy.moved)
		s.copy.moved = make(chan struct{})
	}
	return another, err
}

// follow takes in events.
func (s *Store) follow(u *cluster.Update, read Reader) error {
	var more reserved
	for i := range u.Events {
		ev := &u.Events[i]
		if !ev.Deleted && s.items[ev.Key] == nil {
			more.add(reserved{1, cost(ev.Key, ev.Value)})
		}
	}
	if err := s.room(reserved{len(s.items) + more.keys, s.bytes + more.bytes}, more.keys > 0); err != nil {
		return err
	}
	events := make([]change, 0, len(u.Events))
	for i := range u.Events {
		ev := &u.Events[i]
		if ev.Modified <= s.rev {
			continue // told before
		}
		at := ev.Modified
		own, ok := read(ev)
		if ok {
			events = append(events, s.hold(&ev.KV, own))
		} else if it := s.items[ev.Key]; it != nil {
			events = append(events, s.remove(it, at))
		}
	}
	s.rev = u.Revision
	if len(events) > 0 {
		s.log.add(events)
		s.tell()
	}
	return nil
}

// room wants what there will be to be within the limits.
func (s *Store) room(will reserved, grows bool) error {
	if l := s.limits; grows && (will.keys > l.Keys || will.bytes > l.Bytes) {
		return fmt.Errorf("%w: the cluster has %d keys in %d bytes, a copy of it may have %d in %d", cluster.ErrLimit, will.keys, will.bytes, l.Keys, l.Bytes)
	}
	return nil
}

// replace makes the copy what a snapshot says. The log begins with it: watches begin anew, too.
func (s *Store) replace(u *cluster.Update, read Reader) (another bool, err error) {
	another = s.life != 0 && s.life != u.Life
	if !another && u.Revision < s.rev {
		return false, fmt.Errorf("%w: a snapshot of revision %d, there is %d", cluster.ErrCompacted, u.Revision, s.rev)
	}
	will := reserved{keys: len(u.Events)}
	for i := range u.Events {
		will.bytes += cost(u.Events[i].Key, u.Events[i].Value)
	}
	if err := s.room(will, true); err != nil {
		return false, err
	}
	s.clear(another, len(u.Events))
	s.life, s.rev = u.Life, u.Revision
	for i := range u.Events {
		if own, ok := read(&u.Events[i]); ok {
			s.hold(&u.Events[i].KV, own)
		}
	}
	s.log = log{events: s.limits.LogEvents, most: s.limits.LogBytes, begin: s.rev}
	for id := range s.copy.dead {
		s.buried(id)
	}
	s.tell()
	return another, nil
}

// clear empties the copy, and takes the leases off in another life.
func (s *Store) clear(another bool, size int) {
	s.items, s.order, s.bytes = make(map[string]*item, size), keys{}, 0
	for _, l := range s.leases {
		clear(l.keys)
	}
	for _, l := range s.copy.dead {
		clear(l.keys)
	}
	if another {
		for _, c := range s.ids {
			clear(c.leases)
		}
		clear(s.leases)
		clear(s.copy.dead)
		s.copy.adopt, s.copy.till = 0, time.Time{}
	}
	for _, c := range s.ids {
		c.keys, c.bytes = 0, 0
		c.forget()
	}
}

// hold puts a key that the other engine has.
func (s *Store) hold(kv *cluster.KV, own bool) change {
	l := s.holder(kv.Lease)
	if l == nil && own && kv.Lease != 0 {
		l = s.stray(kv.Lease)
	}
	by := s.copy.writing[kv.Key]
	if l != nil {
		by = l.by
	}
	return s.place(kv, by)
}

// tell wakes those who wait for changes.
func (s *Store) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Revision is as in cluster.Snapshot.
func (s *Store) Revision() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev
}

// Reach waits until a copy has come to a revision of a life. Errors: ErrCompacted, it is in another
// life, or will be; the context's.
func (s *Store) Reach(ctx context.Context, life, rev uint64) error {
	for {
		s.mu.Lock()
		is, at, moved := s.life, s.rev, s.copy.moved
		s.mu.Unlock()
		switch {
		case is != life:
			return fmt.Errorf("%w: it is of life %x, there is %x", cluster.ErrCompacted, life, is)
		case at >= rev:
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A Pending is a batch on its way to the other engine.
type Pending struct {
	c   *Client
	own reserved
	do  []cluster.Op
}

// Begin wants a batch to keep to the limits, with what is under way already, and its leases to live. What is
// put without a lease counts against the client if Feed tells it before End.
func (c *Client) Begin(b *cluster.Batch) (*Pending, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	own, err := c.afford(b.Do)
	if err != nil {
		return nil, err
	}
	own = reserved{max(own.keys, 0), max(own.bytes, 0)}
	c.begun.add(own)
	s.copy.begun.add(own)
	for i := range b.Do {
		if op := &b.Do[i]; !op.Delete && op.Lease == 0 {
			s.copy.writing[op.Key] = c
		}
	}
	return &Pending{c: c, own: own, do: b.Do}, nil
}

// End is to be called once, when the batch was done and the copy has it, or was not.
func (p *Pending) End() {
	s := p.c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	back := reserved{-p.own.keys, -p.own.bytes}
	p.c.begun.add(back)
	s.copy.begun.add(back)
	for i := range p.do {
		if key := p.do[i].Key; s.copy.writing[key] == p.c {
			delete(s.copy.writing, key)
		}
	}
	p.c.forget()
}
