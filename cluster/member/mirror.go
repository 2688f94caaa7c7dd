// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// An entry is a key that this copy believes. Once it is in the copy only till is changed.
type entry struct {
	ident
	owner string // the host that it is of
	value value
	raw   []byte // the value as it came, of the engine's present one also if that is refused

	created, modified uint64 // modified 0: the engine does not have it
	lease             cluster.LeaseID
	learnt            time.Time // when this host learnt what it says
	till              time.Time // in doubt until then; zero: it is not
	refused           error     // why the engine's present value is not believed; value is what was before
}

func (e *entry) doubted() bool { return !e.till.IsZero() }

// A mirror is what a member knows of the others: all entries below the root, and which of them the
// engine has lost and are still believed. It has no lock, goroutine or clock of its own.
type mirror struct {
	root  string // that full keys begin with
	grace time.Duration
	bad   func(key string, err error) // is told what is passed over

	entries map[string]*entry            // by key
	hosts   map[string]*entry            // by name
	groups  map[string]map[string]*entry // by name and host
	counts  map[string]int               // groups of each host
	unread  map[string]uint64            // keys whose values cannot be read, with their revisions

	ghosts   map[string]*entry    // what hosts had that have died lately
	deaths   map[string]time.Time // of hosts that have not come back since
	doubts   map[string]*entry    // those entries that are in doubt
	wary     time.Time            // until then no death is believed
	synced   bool                 // a snapshot has been taken in
	life     uint64               // of the snapshot, or of the last good copy
	revision uint64
}

func newMirror(root string, grace time.Duration, bad func(string, error)) *mirror {
	return &mirror{
		root: root, grace: grace, bad: bad, entries: map[string]*entry{}, hosts: map[string]*entry{}, groups: map[string]map[string]*entry{},
		counts: map[string]int{}, unread: map[string]uint64{}, ghosts: map[string]*entry{}, deaths: map[string]time.Time{}, doubts: map[string]*entry{},
	}
}

// update takes in what the watch has told, and returns the keys that may have changed.
func (c *mirror) update(u *cluster.Update, now time.Time) map[string]bool {
	touched := map[string]bool{}
	if u.Snapshot {
		c.replace(u, now, touched)
	} else {
		c.apply(u.Events, now, touched)
	}
	c.synced, c.life, c.revision = true, u.Life, u.Revision
	return touched
}

// apply takes in the events of whole revisions.
func (c *mirror) apply(events []cluster.Event, now time.Time, touched map[string]bool) {
	died := c.dying(events)
	for host, dead := range died {
		if dead {
			c.deaths[host] = now
		}
	}
	mass := c.mass(now)
	for i := range events {
		key, ok := c.cut(events[i].Key)
		if !ok {
			continue
		}
		touched[key] = true
		if !events[i].Deleted {
			c.put(key, &events[i].KV, c.entries[key], now)
			continue
		}
		delete(c.unread, key)
		if e := c.take(key); e != nil {
			if dead, died := died[e.owner]; died {
				c.bury(key, e, mass || !dead, now)
			}
		}
	}
	if len(died) > 0 && mass {
		c.raise(now, touched)
	}
}

// cut takes the root off a key.
func (c *mirror) cut(full string) (key string, ok bool) { return strings.CutPrefix(full, c.root) }

// put takes in a key that the engine has; before is what was known of it in the same life.
func (c *mirror) put(key string, kv *cluster.KV, before *entry, now time.Time) {
	id, err := parseKey(key)
	if err != nil {
		c.bad(key, err)
		return
	}
	v, err := parseValue(id, kv.Value)
	if err != nil {
		c.bad(key, err)
		c.unreadable(key, kv, before, now)
		return
	}
	e := &entry{ident: id, owner: id.host, value: v, raw: kv.Value, created: kv.Created, modified: max(kv.Modified, 1), lease: kv.Lease, learnt: now}
	if id.kind == kindRoute {
		e.owner = v.route.Host
	}
	if before != nil {
		e.follow(before)
	}
	if e.refused != nil {
		c.bad(key, e.refused)
	}
	delete(c.unread, key)
	delete(c.ghosts, key)
	c.add(key, e)
	if id.kind == kindHost {
		c.comeBack(id.host)
	}
}

// follow makes e the entry after before: another certificate is refused while the key was never
// deleted, and what says the same has been known for as long.
func (e *entry) follow(before *entry) {
	switch {
	case e.kind != kindHost:
		if before.owner == e.owner && bytes.Equal(before.raw, e.raw) {
			e.learnt = before.learnt
		}
	case before.modified != 0 && before.created == e.created && before.value.host.Fingerprint != e.value.host.Fingerprint:
		e.refused = fmt.Errorf("host %s comes with another certificate: %s, and was %s", e.host,
			orNone(e.value.host.Fingerprint), orNone(before.value.host.Fingerprint))
		e.value, e.learnt = before.value, before.learnt
	case before.value.host.Incarnation == e.value.host.Incarnation:
		e.learnt = before.learnt
	}
}

func orNone(fingerprint string) string {
	if fingerprint == "" {
		return "none"
	}
	return fingerprint
}

// unreadable is what becomes of a key with a value that makes no sense. What was known of a host is in
// doubt: if it is there it puts its key again.
func (c *mirror) unreadable(key string, kv *cluster.KV, before *entry, now time.Time) {
	c.take(key)
	c.unread[key] = max(kv.Modified, 1)
	if before == nil || before.kind != kindHost {
		return
	}
	kept := *before
	kept.modified, kept.lease = 0, 0
	if !kept.doubted() {
		kept.till = now.Add(c.grace)
	}
	c.add(key, &kept)
}

// add puts an entry in the place of the one that the key has.
func (c *mirror) add(key string, e *entry) {
	c.take(key)
	c.entries[key] = e
	switch e.kind {
	case kindHost:
		c.hosts[e.host] = e
	case kindGroup:
		if c.groups[e.group] == nil {
			c.groups[e.group] = map[string]*entry{}
		}
		c.groups[e.group][e.host] = e
		c.counts[e.host]++
	case kindRoute:
	}
	if e.doubted() {
		c.doubts[key] = e
	}
}

// take takes the entry of a key out, nil if there is none.
func (c *mirror) take(key string) *entry {
	e := c.entries[key]
	if e == nil {
		return nil
	}
	delete(c.entries, key)
	delete(c.doubts, key)
	switch e.kind {
	case kindHost:
		delete(c.hosts, e.host)
	case kindGroup:
		if c.counts[e.host]--; c.counts[e.host] == 0 {
			delete(c.counts, e.host)
		}
		if delete(c.groups[e.group], e.host); len(c.groups[e.group]) == 0 {
			delete(c.groups, e.group)
		}
	case kindRoute:
	}
	return e
}
