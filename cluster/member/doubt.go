// SPDX-License-Identifier: Apache-2.0

package member

import (
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// Hosts do not die together; engines lose leases together. What is here finds out which it was, and keeps
// what is not believed to be gone.

// massDeaths is how many hosts must have died for their deaths to be doubted.
const massDeaths = 2

// dying returns the hosts that these events say have died: their keys went without a word before, which may be
// among the events. false means that they are back: what they had will be, too.
func (c *mirror) dying(events []cluster.Event) map[string]bool {
	died, may := map[string]bool{}, map[string]bool{}
	for i := range events {
		ev := &events[i]
		key, _ := c.cut(ev.Key)
		id, err := parseKey(key)
		if err != nil || id.kind != kindHost {
			continue
		}
		if !ev.Deleted {
			v, err := parseValue(id, ev.Value)
			may[id.host] = err == nil && v.host.State != stateLeft
			if died[id.host] {
				died[id.host] = false
			}
			continue
		}
		if here, said := may[id.host]; said && here || !said && c.hosts[id.host].mayDie() {
			died[id.host] = true
		}
	}
	return died
}

// mayDie tells whether the engine has the host, and it has not said that it leaves.
func (e *entry) mayDie() bool { return e != nil && e.modified != 0 && e.value.host.State != stateLeft }

// mass tells whether more hosts have died within the time of grace than are left, or the engine was away
// until just now: then deaths are not believed.
func (c *mirror) mass(now time.Time) bool {
	for host, at := range c.deaths {
		if now.Sub(at) > c.grace {
			delete(c.deaths, host)
		}
	}
	if now.Before(c.wary) {
		return true
	}
	if len(c.deaths) < massDeaths {
		return false
	}
	present := 0
	for name, e := range c.hosts {
		if _, died := c.deaths[name]; !died && e.mayDie() {
			present++
		}
	}
	return len(c.deaths) > present
}

// bury is what becomes of something of a host that has died.
func (c *mirror) bury(key string, e *entry, mass bool, now time.Time) {
	if mass {
		c.suspect(key, e, now)
		return
	}
	buried := *e
	buried.till = now.Add(c.grace) // how long it may be raised
	c.ghosts[key] = &buried
}

// raise brings back what hosts had that have died before it was seen that too many have.
func (c *mirror) raise(now time.Time, touched map[string]bool) {
	for key, e := range c.ghosts {
		_, unread := c.unread[key]
		if c.entries[key] == nil && !unread && !now.After(e.till) {
			c.suspect(key, e, now)
			touched[key] = true
		}
		delete(c.ghosts, key)
	}
}

// suspect keeps an entry that the engine does not have, for the time of grace.
func (c *mirror) suspect(key string, e *entry, now time.Time) {
	doubted := *e
	doubted.modified, doubted.lease, doubted.till = 0, 0, now.Add(c.grace)
	c.add(key, &doubted)
}

// comeBack is called when a host has put its key.
func (c *mirror) comeBack(host string) {
	delete(c.deaths, host)
	for key, e := range c.ghosts {
		if e.owner == host {
			delete(c.ghosts, key)
		}
	}
}

// believe lets go of what has been doubted for long enough, and returns its keys.
func (c *mirror) believe(now time.Time) map[string]bool {
	touched := map[string]bool{}
	for key, e := range c.doubts {
		if now.After(e.till) {
			c.take(key)
			touched[key] = true
		}
	}
	for key, e := range c.ghosts {
		if now.After(e.till) {
			delete(c.ghosts, key)
		}
	}
	return touched
}

// postpone is called when the engine is heard again after so long: nobody could say that he is there. What is in
// doubt stays so for longer, and deaths that are told now are doubted, too.
func (c *mirror) postpone(by time.Duration, now time.Time) {
	c.wary = now.Add(staleAfter)
	for _, e := range c.doubts {
		e.till = e.till.Add(by)
	}
	for _, e := range c.ghosts {
		e.till = e.till.Add(by)
	}
	for host, at := range c.deaths {
		c.deaths[host] = at.Add(by)
	}
}

// replace makes the mirror what a snapshot says. What an engine that has begun anew does not have is
// doubted: its hosts are about to say so again. In the same life a host that is missing has died
// while the watch told nothing.
func (c *mirror) replace(u *cluster.Update, now time.Time, touched map[string]bool) {
	before, another := c.entries, c.life != 0 && c.life != u.Life
	c.entries, c.hosts, c.groups = map[string]*entry{}, map[string]*entry{}, map[string]map[string]*entry{}
	c.counts, c.unread, c.doubts = map[string]int{}, map[string]uint64{}, map[string]*entry{}
	if another {
		clear(c.deaths)
		clear(c.ghosts)
	}
	for i := range u.Events {
		key, ok := c.cut(u.Events[i].Key)
		if !ok {
			continue
		}
		touched[key] = true
		known := before[key]
		if another {
			known = nil
		}
		c.put(key, &u.Events[i].KV, known, now)
	}
	c.missing(before, another, now, touched)
}

// cameBack tells whether a host is there, but not as it was: its key was deleted and put again.
func (c *mirror) cameBack(was *entry) bool {
	if was == nil || was.modified == 0 {
		return false
	}
	is := c.hosts[was.host]
	return is != nil && is.created != was.created
}

// missing judges what was there before a snapshot and is not in it.
func (c *mirror) missing(before map[string]*entry, another bool, now time.Time, touched map[string]bool) {
	died, left := map[string]bool{}, map[string]bool{}
	for _, e := range before {
		if e.kind != kindHost || c.hosts[e.host] != nil {
			continue
		}
		left[e.host] = e.value.host.State == stateLeft
		if !another && e.mayDie() {
			died[e.host] = true
			c.deaths[e.host] = now
		}
	}
	mass := c.mass(now)
	for key, e := range before {
		touched[key] = true
		if _, unread := c.unread[key]; unread || c.entries[key] != nil || left[e.owner] {
			continue
		}
		switch {
		case another:
			c.suspect(key, e, now)
		case e.doubted():
			c.add(key, e)
		case died[e.owner]:
			c.bury(key, e, mass, now)
		case c.cameBack(before[hostKey(e.owner)]):
			c.suspect(key, e, now)
		}
	}
	if mass && len(died) > 0 {
		c.raise(now, touched)
	}
}
