// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/names"
)

// A cache is a copy of all claims, as the watch has told them.
type cache struct {
	root  string // of the keys
	grace time.Duration

	mu       sync.RWMutex
	queues   map[string]queue
	presence map[LeaseID]presence
	heard    time.Time
	synced   bool
	life     uint64
	epoch    uint64 // counts snapshots
	revision uint64
	doubts   map[seat]time.Time   // claims that are not in the engine and still count, until when
	dead     map[string]time.Time // hosts that have died lately, and when
	ghosts   map[seat]ghost       // claims of theirs that are believed to be gone
	changed  chan struct{}        // closed at the next update
	watchers map[*watcher]bool
	bad      int // values that could not be read
	badErr   error
}

func newCache(root string, grace time.Duration) *cache {
	return &cache{
		root: root, grace: grace, queues: map[string]queue{}, presence: map[LeaseID]presence{}, heard: time.Now(), doubts: map[seat]time.Time{},
		dead: map[string]time.Time{}, ghosts: map[seat]ghost{},
		changed: make(chan struct{}), watchers: map[*watcher]bool{},
	}
}

// update takes in what the watch has told.
func (c *cache) update(u Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.heard = now.Add(-u.Age)
	if u.Snapshot {
		c.replace(u, now)
	} else if len(u.Events) > 0 {
		c.apply(u.Events, now)
	}
	c.believe(now)
	c.synced, c.life, c.revision = true, u.Life, u.Revision
	close(c.changed)
	c.changed = make(chan struct{})
}

// delete takes a claim out by its key, and has gone look at it.
func (c *cache) delete(key string, touched map[string]bool, gone func(string, claim)) {
	at, ok := seatOf(c.root, key)
	i := c.queues[at.name].find(at.owner)
	if !ok || i < 0 {
		return
	}
	was := c.queues[at.name][i]
	touched[at.name] = true
	c.take(at.name, at.owner)
	gone(at.name, was)
}

// put takes in a claim, or a client's presence.
func (c *cache) put(kv *KV, touched map[string]bool) {
	if id, ok := presenceOf(c.root, kv.Key); ok {
		c.presence[id] = parsePresence(id, kv.Value)
		return
	}
	name, cl, err := parseClaim(c.root, kv)
	if err != nil {
		c.bad, c.badErr = c.bad+1, err
		return
	}
	touched[name] = true
	at := seat{name, cl.owner}
	delete(c.doubts, at)
	delete(c.ghosts, at)
	c.take(name, cl.owner)
	c.add(name, cl)
}

func (c *cache) add(name string, cl claim) {
	q := append(queue{}, c.queues[name]...) // readers may have the old one
	q = append(q, cl)
	q.sort()
	c.queues[name] = q
}

func (c *cache) take(name string, o names.Owner) {
	at := c.queues[name].find(o)
	if at < 0 {
		return
	}
	q := append(queue{}, c.queues[name][:at]...)
	q = append(q, c.queues[name][at+1:]...)
	if len(q) == 0 {
		delete(c.queues, name)
		return
	}
	c.queues[name] = q
}

// settle tells the watchers of the names that may have changed.
func (c *cache) settle(touched map[string]bool) {
	for w := range c.watchers {
		for name := range touched {
			if strings.HasPrefix(name, w.prefix) {
				w.touch(name)
			}
		}
	}
}

// lookup returns a name's queue; it is not to be changed.
func (c *cache) lookup(name string) (q queue, synced bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.queues[name], c.synced
}

// doubted returns the claims on a name that an engine in that life does not have, as far as this copy
// knows, and that still count.
func (c *cache) doubted(name string, life uint64) (list queue) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, cl := range c.queues[name] {
		if cl.modified == 0 || c.life != life { // or the watch has not seen yet that it has begun anew
			cl.modified = 0
			list = append(list, cl)
		}
	}
	return list
}

// reach waits until the cache has come to a revision of a life of the engine, or has left
// that life behind.
func (c *cache) reach(ctx context.Context, life, revision uint64) error {
	c.mu.RLock()
	begin := c.epoch
	c.mu.RUnlock()
	for {
		c.mu.RLock()
		there := c.life == life && c.revision >= revision || c.life != life && c.epoch != begin
		changed := c.changed
		c.mu.RUnlock()
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait waits for the first snapshot.
func (c *cache) wait(ctx context.Context) error {
	for {
		c.mu.RLock()
		synced, changed := c.synced, c.changed
		c.mu.RUnlock()
		if synced {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
