// SPDX-License-Identifier: Apache-2.0

package cluster

import "time"

// Hosts do not die together; engines lose leases together. What is here finds out which it was, and keeps
// claims that are not believed to be gone.

// How many hosts must have died for their deaths to be doubted. Clients without a host count one by one.
const (
	massHosts  = 2
	massDeaths = 3
)

// A ghost is a claim that was believed to be gone with its host, and may be raised until then.
type ghost struct {
	claim
	till time.Time
}

// replace makes the cache what a snapshot says. What an engine that has begun anew does not
// have is doubted first: its owners are about to say so again. In the same life a host that is missing
// has died while the watch told nothing.
func (c *cache) replace(u Update, now time.Time) {
	queues, were := c.queues, c.presence
	c.queues, c.presence = map[string]queue{}, map[LeaseID]presence{}
	another := c.synced && c.life != u.Life
	if another {
		clear(c.dead)
		clear(c.ghosts)
	}
	touched := map[string]bool{}
	for i := range u.Events {
		c.put(&u.Events[i].KV, touched)
	}
	t := toll{gone: map[LeaseID]presence{}, dead: map[LeaseID]bool{}}
	for id, p := range were {
		if _, here := c.presence[id]; !here && !p.left && !another {
			t.gone[id] = p
		}
	}
	c.judge(&t, now)
	mass := len(t.dead) > 0 && c.mass(now)
	for name, q := range queues {
		touched[name] = true
		for i := range q {
			c.missing(name, q[i], another, t.dead, mass, now)
		}
	}
	if mass {
		c.raise(now, touched)
	}
	c.epoch++
	c.settle(touched)
}

// missing judges a claim that was there before a snapshot.
func (c *cache) missing(name string, cl claim, another bool, dead map[LeaseID]bool, mass bool, now time.Time) {
	if c.queues[name].find(cl.owner) >= 0 {
		return
	}
	at := seat{name, cl.owner}
	_, doubted := c.doubts[at]
	switch {
	case another:
		delete(c.doubts, at) // the time of grace begins anew
		c.suspect(name, cl, now)
	case doubted:
		c.suspect(name, cl, now)
	case dead[cl.lease]:
		c.bury(name, cl, mass, now)
	}
}

// apply takes in the events of whole revisions.
func (c *cache) apply(events []Event, now time.Time) {
	touched := map[string]bool{}
	dead := c.fallen(events, now)
	mass := len(dead) > 0 && c.mass(now)
	for i := range events {
		ev := &events[i]
		if _, ok := presenceOf(c.root, ev.Key); ok {
			continue
		}
		if !ev.Deleted {
			c.put(&ev.KV, touched)
			continue
		}
		c.delete(ev.Key, touched, func(name string, gone claim) {
			if dead[gone.lease] {
				c.bury(name, gone, mass, now)
			}
		})
	}
	if mass {
		c.raise(now, touched)
	}
	c.settle(touched)
}

// A toll has clients whose presences went without a word before, and of them those whose host has died.
type toll struct {
	gone map[LeaseID]presence
	dead map[LeaseID]bool
}

// fallen takes in what events say of presences. A host has died if all its presences are gone after
// a revision that has taken one of them without a word.
func (c *cache) fallen(events []Event, now time.Time) map[LeaseID]bool {
	t := toll{gone: map[LeaseID]presence{}, dead: map[LeaseID]bool{}}
	for i := range events {
		id, ok := presenceOf(c.root, events[i].Key)
		switch p, known := c.presence[id]; {
		case !ok:
		case !events[i].Deleted:
			c.presence[id] = parsePresence(id, events[i].Value)
		default:
			if known && !p.left {
				t.gone[id] = p
			}
			delete(c.presence, id)
		}
		if i+1 == len(events) || events[i+1].Modified != events[i].Modified {
			c.judge(&t, now)
		}
	}
	return t.dead
}

// judge finds out which hosts have died with those that are gone.
func (c *cache) judge(t *toll, now time.Time) {
	if len(t.gone) == 0 {
		return
	}
	alive := c.alive()
	for id, p := range t.gone {
		if !alive[p.host] {
			t.dead[id] = true
			c.dead[p.host] = now
		}
	}
	clear(t.gone)
}

// alive returns the hosts that have a client that does not leave.
func (c *cache) alive() map[string]bool {
	alive := map[string]bool{}
	for _, p := range c.presence {
		if !p.left {
			alive[p.host] = true
		}
	}
	return alive
}

// mass reports whether more than half of all hosts have died lately, which is more likely the engine's mistake than
// the truth; all the more so if they are back already.
func (c *cache) mass(now time.Time) bool {
	all, hosts := c.alive(), 0
	for host, at := range c.dead {
		if now.Sub(at) > c.grace {
			delete(c.dead, host)
			continue
		}
		if all[host] = true; !(presence{host: host}).alone() {
			hosts++
		}
	}
	return (hosts >= massHosts || len(c.dead) >= massDeaths) && 2*len(c.dead) > len(all)
}

// bury is what becomes of a claim whose host has died.
func (c *cache) bury(name string, cl claim, mass bool, now time.Time) {
	if mass {
		c.suspect(name, cl, now)
		return
	}
	c.ghosts[seat{name, cl.owner}] = ghost{cl, now.Add(c.grace)}
}

// raise brings back the claims that were believed to be gone before it was seen that too many are, on names that
// nobody has got meanwhile.
func (c *cache) raise(now time.Time, touched map[string]bool) {
	taken := map[string]bool{}
	for at := range c.ghosts {
		taken[at.name] = len(c.queues[at.name]) > 0
	}
	for at, g := range c.ghosts {
		if !taken[at.name] && !now.After(g.till) {
			c.suspect(at.name, g.claim, now)
			touched[at.name] = true
		}
		delete(c.ghosts, at)
	}
}

// suspect keeps a claim that the engine does not have any more, for the time of grace.
func (c *cache) suspect(name string, cl claim, now time.Time) {
	at := seat{name, cl.owner}
	if _, doubted := c.doubts[at]; !doubted {
		c.doubts[at] = now.Add(c.grace)
	}
	cl.modified = 0
	c.add(name, cl)
}

// believe lets go of what has been doubted for long enough.
func (c *cache) believe(now time.Time) {
	touched := map[string]bool{}
	for at, till := range c.doubts {
		if now.After(till) {
			delete(c.doubts, at)
			c.take(at.name, at.owner)
			touched[at.name] = true
		}
	}
	for at, g := range c.ghosts {
		if now.After(g.till) {
			delete(c.ghosts, at)
		}
	}
	c.settle(touched)
}

// keeps reports whether a claim counts that the engine does not have any more.
func (c *cache) keeps(at seat) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, doubted := c.doubts[at]
	return doubted
}
