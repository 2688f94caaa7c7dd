// SPDX-License-Identifier: Apache-2.0

// Package store is an engine for cluster.Provider in the memory of one process: keys with
// revisions, leases, and a log of changes that watches read at their own pace.
//
// A store keeps nothing on disk. It begins with a revision that is made of the time, so that
// a later store has none that an earlier one has had.
//
// What each client has written counts against its quota: a [Client] is who asks, however
// many connections it has. Watches cost nothing but the log, which has an end: whoever is
// behind it gets ErrCompacted.
//
// A store that [NewCopy] makes is the memory of a replica: what another engine has, with that
// engine's revisions. [Store.Feed] tells it; what its clients want to change goes to that engine
// first, between [Client.Begin] and [Pending.End], and comes back by Feed. Leases are its own.
package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// Limits bound what a store holds. Zero fields mean the defaults.
type Limits struct {
	Keys         int   // of all clients; 262,144
	Bytes        int64 // of all keys and values, each key with 128 more; 128 MiB
	ClientKeys   int   // of one client; 131,072
	ClientBytes  int64 // 64 MiB
	ClientLeases int   // 16
	LogEvents    int   // changes remembered; 65,536
	LogBytes     int64 // of them; 32 MiB
}

// keyCost is what a key takes beside its bytes, about.
const keyCost = 128

func (l Limits) withDefaults() Limits {
	l.Keys = or(l.Keys, 1<<18)
	l.Bytes = or(l.Bytes, 128<<20)
	l.ClientKeys = or(l.ClientKeys, 1<<17)
	l.ClientBytes = or(l.ClientBytes, 64<<20)
	l.ClientLeases = or(l.ClientLeases, 16)
	l.LogEvents = or(l.LogEvents, 1<<16)
	l.LogBytes = or(l.LogBytes, 32<<20)
	return l
}

func or[T int | int64](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// A Store is the engine. Any goroutine may call its methods; values that go in and come out
// are never changed by it or by the caller.
type Store struct {
	limits Limits
	copied bool // Feed tells what there is

	mu      sync.Mutex
	life    uint64
	rev     uint64
	items   map[string]*item
	order   keys
	bytes   int64
	log     log
	leases  map[cluster.LeaseID]*lease
	ids     map[string]*Client
	looked  time.Time     // when leases were last looked at
	changed chan struct{} // closed at the next revision

	copy copyState // of a copy; of others it is zero
}

// An item is a key that is there.
type item struct {
	cluster.KV
	by *Client // whose quota it counts against; nil: nobody's here
}

func (i *item) cost() int64 { return cost(i.Key, i.Value) }

func cost(key string, value []byte) int64 { return int64(len(key)+len(value)) + keyCost }

// New returns an empty store. Tend must be called regularly for leases to expire.
func New(l Limits) *Store {
	now := time.Now()
	l = l.withDefaults()
	base := uint64(now.UnixMilli())<<20 + 1
	return &Store{
		limits: l, life: rand.Uint64() | 1, rev: base, items: map[string]*item{}, leases: map[cluster.LeaseID]*lease{}, ids: map[string]*Client{},
		log: log{events: l.LogEvents, most: l.LogBytes, begin: base}, looked: now, changed: make(chan struct{}),
	}
}

// A Client is one that asks, with what it has written.
type Client struct {
	s      *Store
	id     string
	open   int // connections
	keys   int
	bytes  int64
	leases map[cluster.LeaseID]*lease

	begun reserved // what commits under way may add
}

// Open returns the client of that id; each Open wants a Close.
func (s *Store) Open(id string) *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.ids[id]
	if c == nil {
		c = &Client{s: s, id: id, leases: map[cluster.LeaseID]*lease{}}
		s.ids[id] = c
	}
	c.open++
	return c
}

// Close says that one connection of the client is gone. Its keys and leases stay.
func (c *Client) Close() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.open--
	c.forget()
}

// forget drops a client that nothing is left of.
func (c *Client) forget() {
	if c.open == 0 && c.keys == 0 && len(c.leases) == 0 && c.begun == (reserved{}) {
		delete(c.s.ids, c.id)
	}
}

// Connected reports whether the client has a connection.
func (c *Client) Connected() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.open > 0
}

// Life is as in cluster.Snapshot; 0: a copy that was told nothing yet.
func (s *Store) Life() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life
}

// Stats are for Health.
type Stats struct {
	Revision              uint64
	Keys, Leases, Clients int
	Bytes                 int64
	Ended                 int // leases of a copy that have ended and still have keys
}

// Stats says how much there is.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Revision: s.rev, Keys: len(s.items), Leases: len(s.leases), Clients: len(s.ids), Bytes: s.bytes, Ended: len(s.copy.dead)}
}

// Commit does a batch for the client.
func (c *Client) Commit(b cluster.Batch) (uint64, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.If {
		if err := s.compare(&b.If[i]); err != nil {
			return 0, err
		}
	}
	if _, err := c.afford(b.Do); err != nil {
		return 0, err
	}
	return s.apply(c, b.Do), nil
}

// differs is the error of a compare that does not hold.
func (s *Store) differs(format string, args ...any) error {
	return &cluster.CompareError{Revision: s.rev, Text: fmt.Sprintf(format, args...)}
}

func (s *Store) compare(c *cluster.Compare) error {
	if c.Prefix {
		return s.untouched(c)
	}
	var is uint64
	if it := s.items[c.Key]; it != nil {
		is = it.Modified
	}
	if is != c.Revision {
		return s.differs("key %q is of revision %d, want %d", c.Key, is, c.Revision)
	}
	return nil
}

// untouched wants no key to have been put after a revision.
func (s *Store) untouched(c *cluster.Compare) (err error) {
	if c.Revision > s.rev {
		return s.differs("revision %d is yet to come", c.Revision)
	}
	s.order.from(c.Key, func(key string) bool {
		if !strings.HasPrefix(key, c.Key) {
			return false
		}
		if is := s.items[key].Modified; is > c.Revision {
			err = s.differs("key %q is of revision %d, want at most %d", key, is, c.Revision)
		}
		return err == nil
	})
	return err
}

// reserved is room.
type reserved struct {
	keys  int
	bytes int64
}

func (r *reserved) add(o reserved) { r.keys, r.bytes = r.keys+o.keys, r.bytes+o.bytes }

// afford wants leases that live and room for what is put, and returns how much. Values that others
// lose give no room to the client; those that it replaces itself do.
func (c *Client) afford(do []cluster.Op) (own reserved, err error) {
	s := c.s
	var all reserved
	for i := range do {
		op := &do[i]
		if !op.Delete && op.Lease != 0 && s.living(op.Lease) == nil {
			return own, fmt.Errorf("%w: key %q is to have lease %x", cluster.ErrLeaseLost, op.Key, op.Lease)
		}
		if old := s.items[op.Key]; old != nil {
			all.add(reserved{-1, -old.cost()})
			if old.by == c {
				own.add(reserved{-1, -old.cost()})
			}
		}
		if !op.Delete {
			size := reserved{1, cost(op.Key, op.Value)}
			all.add(size)
			own.add(size)
		}
	}
	l, begun := s.limits, s.copy.begun
	switch {
	case own.keys > 0 && c.keys+c.begun.keys+own.keys > l.ClientKeys, own.bytes > 0 && c.bytes+c.begun.bytes+own.bytes > l.ClientBytes:
		return own, fmt.Errorf("%w: a client may have %d keys in %d bytes", cluster.ErrLimit, l.ClientKeys, l.ClientBytes)
	case all.keys > 0 && len(s.items)+begun.keys+all.keys > l.Keys, all.bytes > 0 && s.bytes+begun.bytes+all.bytes > l.Bytes:
		return own, fmt.Errorf("%w: all clients may have %d keys in %d bytes", cluster.ErrLimit, l.Keys, l.Bytes)
	}
	return own, nil
}

// apply does what was checked, as one revision, and returns that.
func (s *Store) apply(c *Client, do []cluster.Op) uint64 {
	events := make([]change, 0, len(do))
	next := s.rev + 1
	for i := range do {
		op := &do[i]
		if op.Delete {
			if it := s.items[op.Key]; it != nil {
				events = append(events, s.remove(it, next))
			}
			continue
		}
		events = append(events, s.put(c, op, next))
	}
	if len(events) == 0 {
		return s.rev
	}
	s.rev = next
	s.log.add(events)
	s.tell()
	return next
}

func (s *Store) put(c *Client, op *cluster.Op, rev uint64) change {
	kv := cluster.KV{Key: op.Key, Value: op.Value, Lease: op.Lease, Created: rev, Modified: rev}
	if it := s.items[op.Key]; it != nil {
		kv.Created = it.Created
	}
	return s.place(&kv, c)
}

// place makes a key what kv says, and counts it against by.
func (s *Store) place(kv *cluster.KV, by *Client) change {
	ch := change{}
	it := s.items[kv.Key]
	if it == nil {
		it = &item{}
		s.items[kv.Key] = it
		s.order.insert(kv.Key)
	} else {
		kv.Key = it.Key // one string for all
		ch.before = it.KV
		s.uncount(it)
	}
	it.KV, it.by = *kv, by
	s.count(it)
	s.buried(ch.before.Lease)
	ch.Event = cluster.Event{KV: it.KV}
	return ch
}

func (s *Store) remove(it *item, rev uint64) change {
	s.uncount(it)
	delete(s.items, it.Key)
	s.order.remove(it.Key)
	s.buried(it.Lease)
	return change{Event: cluster.Event{KV: cluster.KV{Key: it.Key, Modified: rev}, Deleted: true}, before: it.KV}
}

// count adds what an item is to the counts, and to its lease.
func (s *Store) count(it *item) {
	s.bytes += it.cost()
	if it.by != nil {
		it.by.keys++
		it.by.bytes += it.cost()
	}
	if l := s.holder(it.Lease); l != nil {
		l.keys[it.Key] = struct{}{}
	}
}

// uncount takes what an item is off the counts, and off its lease.
func (s *Store) uncount(it *item) {
	s.bytes -= it.cost()
	if l := s.holder(it.Lease); l != nil {
		delete(l.keys, it.Key)
	}
	if it.by != nil {
		it.by.keys--
		it.by.bytes -= it.cost()
		it.by.forget()
	}
}

// Leased reports whether the client has a lease.
func (c *Client) Leased() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return len(c.leases) > 0
}
