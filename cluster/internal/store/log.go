// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A change is an event with what was there before; Modified 0: nothing.
type change struct {
	cluster.Event
	before cluster.KV
}

func (c *change) cost() int64 {
	return cost(c.Key, c.Value) + int64(len(c.before.Value)) + keyCost
}

// A log has the last changes, whole revisions of them.
type log struct {
	events int   // at most
	most   int64 // bytes

	changes []change
	first   int // the ones before are dropped
	bytes   int64
	begin   uint64 // all changes after this revision are there
}

// add appends the changes of one revision and drops what is too much.
func (l *log) add(c []change) {
	l.changes = append(l.changes, c...)
	for i := range c {
		l.bytes += c[i].cost()
	}
	for l.first < len(l.changes) && (len(l.changes)-l.first > l.events || l.bytes > l.most) {
		l.drop()
	}
	if l.first > len(l.changes)/2 { // what moves is less than what was dropped
		n := copy(l.changes, l.changes[l.first:])
		clear(l.changes[n:])
		l.changes, l.first = l.changes[:n], 0
	}
}

// drop forgets the oldest revision.
func (l *log) drop() {
	l.begin = l.changes[l.first].Modified
	for ; l.first < len(l.changes) && l.changes[l.first].Modified == l.begin; l.first++ {
		l.bytes -= l.changes[l.first].cost()
		l.changes[l.first] = change{}
	}
}

// after returns the changes after a revision.
func (l *log) after(rev uint64) []change {
	at, _ := slices.BinarySearchFunc(l.changes[l.first:], rev, func(c change, rev uint64) int {
		if c.Modified <= rev {
			return -1
		}
		return 1
	})
	return l.changes[l.first+at:]
}

// remembers wants a revision that the log reaches back to, and that there has been.
func (s *Store) remembers(rev uint64) error {
	if rev < s.log.begin || rev > s.rev {
		return fmt.Errorf("%w: %d, want %d to %d", cluster.ErrCompacted, rev, s.log.begin, s.rev)
	}
	return nil
}

// Get reads at most bytes (but one key if there is any) of what q asks for, from key from on,
// and says whether there is more.
func (s *Store) Get(q cluster.Query, from string, bytes int) (snap cluster.Snapshot, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap = cluster.Snapshot{Revision: q.Revision, Life: s.life}
	if q.Revision == 0 {
		snap.Revision = s.rev
	} else if err := s.remembers(q.Revision); err != nil {
		return cluster.Snapshot{}, false, err
	}
	snap.KVs, more = s.read(&q, max(from, q.Key), bytes, s.undone(&q, snap.Revision))
	return snap, more, nil
}

// undone returns the keys that q asks for and that have changed after rev, as they were
// then; nil is a key that was not there.
func (s *Store) undone(q *cluster.Query, rev uint64) map[string]*cluster.KV {
	then := map[string]*cluster.KV{}
	later := s.log.after(rev)
	for i := range later {
		c := &later[i]
		if _, seen := then[c.Key]; seen || !q.Matches(c.Key) {
			continue
		}
		then[c.Key] = nil
		if c.before.Modified > 0 {
			then[c.Key] = &c.before
		}
	}
	return then
}

// read merges what is there with what was there then.
func (s *Store) read(q *cluster.Query, from string, bytes int, then map[string]*cluster.KV) (kvs []cluster.KV, more bool) {
	gone := slices.Sorted(maps.Keys(then))
	gone = gone[search(gone, from):]
	take := func(kv *cluster.KV) bool {
		size := int(cost(kv.Key, kv.Value))
		if more = len(kvs) > 0 && size > bytes; more {
			return false
		}
		bytes -= size
		kvs = append(kvs, *kv)
		return true
	}
	takeGone := func(before string, all bool) bool {
		for ; len(gone) > 0 && (all || gone[0] < before); gone = gone[1:] {
			if kv := then[gone[0]]; kv != nil && !take(kv) {
				return false
			}
		}
		return true
	}
	s.order.from(from, func(key string) bool {
		if !q.Matches(key) {
			return false
		}
		if _, changed := then[key]; changed {
			return takeGone(key+"\x00", false)
		}
		return takeGone(key, false) && take(&s.items[key].KV)
	})
	if !more {
		takeGone("", true)
	}
	return kvs, more
}

func search(list []string, key string) int {
	at, _ := slices.BinarySearch(list, key)
	return at
}

// A Cursor says how far a watch is: Revision has been told, and Skip events after it.
type Cursor struct {
	Revision uint64
	Skip     int
}

// Poll returns changes after a cursor of keys that begin with prefix, about that many bytes of
// them, and the cursor behind them. If its Skip is not 0, the last revision is not complete and the
// next Poll goes on with it. If there are no changes it waits for some, until wait has passed or
// ctx is over, and returns none.
func (s *Store) Poll(ctx context.Context, prefix string, after Cursor, bytes int, wait time.Duration) ([]cluster.Event, Cursor, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		events, at, changed, err := s.poll(prefix, after, bytes)
		if err != nil || len(events) > 0 {
			return events, at, err
		}
		after = at
		select {
		case <-changed:
		case <-timeout.C:
			return nil, at, nil
		case <-ctx.Done():
			return nil, at, nil
		}
	}
}

func (s *Store) poll(prefix string, after Cursor, bytes int) (events []cluster.Event, at Cursor, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.remembers(after.Revision); err != nil {
		return nil, after, nil, err
	}
	list := s.log.after(after.Revision)
	at = after
	whole, skipped := 0, after.Skip // events of complete revisions; of the present one, told before
	for i := range list {
		c := &list[i]
		if i > 0 && c.Modified != list[i-1].Modified {
			at, whole, skipped = Cursor{Revision: list[i-1].Modified}, len(events), 0
		}
		if !strings.HasPrefix(c.Key, prefix) {
			continue
		}
		if at.Skip > 0 { // of the first revision: told already
			at.Skip--
			continue
		}
		if bytes <= 0 && whole > 0 {
			return events[:whole], at, s.changed, nil
		}
		if bytes <= 0 {
			return events, Cursor{at.Revision, skipped + len(events)}, s.changed, nil
		}
		events = append(events, c.Event)
		bytes -= int(cost(c.Key, c.Value))
	}
	return events, Cursor{Revision: s.rev}, s.changed, nil
}
