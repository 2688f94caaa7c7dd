// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/route"
)

// A verdict is what becomes of one route that is configured or published.
type verdict struct {
	rule     route.Rule
	source   string // as in package report, like the state
	state    string
	learnt   time.Time // zero: with the configuration
	conflict string
	to       string
	err      error
}

// inForce tells whether it is in the route table.
func (v *verdict) inForce() bool {
	switch v.state {
	case report.RouteShadowed, report.RouteRefused:
		return false
	case report.RouteConflict:
		return v.source == report.Configured // what is bound is where the engine says
	}
	return true
}

// passedOver is what is not believed of a host.
type passedOver struct {
	count int
	first error // one of the reasons
}

// A court judges all routes at one moment. m.mu is held as long as it sits.
type court struct {
	m          *Member
	configured map[addr.Prefix]bool
	known      map[string]bool // hosts whose routes may be in force
	hosts      []route.Host    // of the table
	list       []verdict
	routes     int // in force
	passed     map[string]*passedOver
}

// routes judges everything, and returns what is in force. With mu held, but in Start.
func (m *Member) routes() Routes {
	c := m.sit()
	return Routes{Hosts: c.hosts, Rules: c.rules()}
}

// sit judges everything. With mu held.
func (m *Member) sit() *court {
	c := &court{m: m, configured: map[addr.Prefix]bool{}, known: map[string]bool{}, passed: map[string]*passedOver{}}
	c.list = make([]verdict, 0, len(m.settings.Rules)+len(m.own.bound)+len(m.mirror.entries))
	c.seat()
	c.hearConfigured()
	c.hearBound()
	c.hearPublished()
	c.tell()
	return c
}

// rules are those in force: the configured ones in their order, then the others by prefix.
func (c *court) rules() []route.Rule {
	list := make([]route.Rule, 0, c.routes)
	var order []uint64 // prefix and number of each that is published
	for i := range c.list {
		v := &c.list[i]
		switch p := v.rule.Prefix; {
		case !v.inForce():
		case v.rule.Published:
			order = append(order, uint64(p.Addr)<<32|uint64(p.Bits)<<numberBits|uint64(i))
		default:
			list = append(list, v.rule)
		}
	}
	slices.Sort(order)
	for _, o := range order {
		list = append(list, c.list[o&(1<<numberBits-1)].rule)
	}
	return list
}

// numberBits is what is left for a verdict's number beside 32 bits of address and 6 for a length: there are
// fewer than that.
const numberBits = 26

func (c *court) passOver(host string, err error) {
	p := c.passed[host]
	if p == nil {
		p = &passedOver{first: err}
		c.passed[host] = p
	}
	p.count++
}

// tell logs what is passed over, once for each host.
func (c *court) tell() {
	for host, p := range c.passed {
		c.m.notices.say("passed over "+host, "some of what a host publishes is passed over", "host", host, "how_many", p.count, "err", p.first.Error())
	}
}

// seat finds the hosts: those of the configuration, and of the others as many as a table takes.
func (c *court) seat() {
	m := c.m
	configured := map[string]bool{m.c.Host: true}
	c.known[m.c.Host] = true
	for _, h := range m.settings.Hosts {
		c.hosts = append(c.hosts, h)
		configured[h.Name] = true
	}
	most := m.c.Quota.Hosts - 1 // and this one
	var added []route.Host
	for _, e := range byAge(maps.Values(m.mirror.hosts)) {
		name := e.host
		if e.refused != nil {
			m.notices.say("refused "+name, "a host is not believed", "host", name, "err", e.refused.Error())
		}
		if name == m.c.Host {
			continue
		}
		if most--; most < 0 || !configured[name] && len(c.hosts)+len(added) >= route.MaxHosts {
			c.passOver(name, fmt.Errorf("host %s is one more than the %d that there may be", name, m.c.Quota.Hosts))
			continue
		}
		if t := e.value.host.Template; t != m.c.Template.String() {
			m.notices.say("template "+name, "a host writes addresses in another way", "host", name, "template", t, "here", m.c.Template.String())
		}
		c.known[name] = true
		if !configured[name] {
			added = append(added, route.Host{Name: name, Address: e.value.host.Links[0]})
		}
	}
	slices.SortFunc(added, func(a, b route.Host) int { return strings.Compare(a.Name, b.Name) })
	c.hosts = append(c.hosts, added...)
}

// byAge orders entries: those that were created first, of equal ones the lower key. All members that
// believe the same order it alike.
func byAge(entries func(func(*entry) bool)) []*entry {
	return slices.SortedFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.host, b.host),
			cmp.Compare(a.prefix.Addr, b.prefix.Addr), cmp.Compare(a.prefix.Bits, b.prefix.Bits))
	})
}

// hearConfigured judges this host's configuration, which is always in force.
func (c *court) hearConfigured() {
	for _, r := range c.m.settings.Rules {
		c.configured[r.Prefix] = true
		v := verdict{rule: r, source: report.Configured, state: report.RouteActive}
		if r.Host == c.m.c.Host {
			c.hearOwn(&v)
		}
		if v.state == report.RouteRefused { // to others; here it is in force
			v.state = report.RoutePending
		}
		c.rule(v)
	}
}

// rule takes a verdict down.
func (c *court) rule(v verdict) {
	if v.inForce() {
		c.routes++
	}
	c.list = append(c.list, v)
}

// hearOwn says how far the engine has something that this host is to publish.
func (c *court) hearOwn(v *verdict) {
	m, key := c.m, routeKey(v.rule.Prefix)
	e := m.mirror.entries[key]
	switch {
	case m.own.refused[key] != nil:
		v.state, v.err = report.RouteRefused, m.own.refused[key].err
	case e != nil && e.owner != m.c.Host:
		v.state, v.conflict = report.RouteConflict, e.owner
	case e == nil || e.modified == 0 || m.own.wants[key] == nil || string(e.raw) != string(m.own.wants[key].raw):
		v.state = report.RoutePending
	default:
		v.learnt = e.learnt
	}
	if w := m.own.wants[key]; w != nil && v.learnt.IsZero() {
		v.learnt = w.since
	}
}

// hearBound judges what is bound here. It lives here whatever the engine knows, unless another host
// was first.
func (c *court) hearBound() {
	m := c.m
	for _, a := range slices.Sorted(maps.Keys(m.own.bound)) {
		p := addr.Exact(a)
		if c.configured[p] || !m.c.Template.Contains(a) {
			continue
		}
		v := verdict{rule: route.Rule{Prefix: p, Host: m.c.Host, Published: true}, source: report.Published, state: report.RouteActive}
		c.hearOwn(&v)
		if c.full(&v) {
			v.state = report.RouteRefused
		}
		c.rule(v)
	}
}

// full says of a route that would be in force that the table has no room for it.
func (c *court) full(v *verdict) bool {
	if !v.inForce() || c.routes < route.MaxRules {
		return false
	}
	v.err = fmt.Errorf("the route table has %d rules, which is the most", route.MaxRules)
	return true
}

// hearPublished judges what other hosts have published.
func (c *court) hearPublished() {
	m := c.m
	count := map[string]int{}
	all := make([]*entry, 0, len(m.mirror.entries))
	for _, e := range m.mirror.entries {
		if e.kind == kindRoute && e.owner != m.c.Host {
			count[e.owner]++
			all = append(all, e)
		}
	}
	beyond := c.beyond(all, count)
	if c.routes+len(all) > route.MaxRules { // the order matters
		all = byAge(slices.Values(all))
	}
	for _, e := range all {
		v := c.judge(e, beyond[e])
		if v.err != nil {
			c.passOver(e.owner, v.err)
		}
		c.rule(v)
	}
}

// beyond finds the routes that are more than their hosts may have.
func (c *court) beyond(all []*entry, count map[string]int) map[*entry]bool {
	beyond := map[*entry]bool{}
	for host, n := range count {
		most, _ := c.m.settings.Policy.most(host, c.m.c.Quota)
		if n <= most {
			continue
		}
		list := byAge(func(yield func(*entry) bool) {
			for _, e := range all {
				if e.owner == host && !yield(e) {
					return
				}
			}
		})
		for _, e := range list[most:] {
			beyond[e] = true
		}
	}
	return beyond
}

// judge says what becomes of another host's route.
func (c *court) judge(e *entry, beyond bool) verdict {
	m := c.m
	v := verdict{rule: e.value.route.rule(e.prefix), source: report.Published, state: report.RouteActive, learnt: e.learnt, to: e.value.route.To}
	switch {
	case e.doubted():
		v.state = report.RouteDoubted
	case v.to != "":
		v.state = report.RouteMoving
	}
	switch {
	case !c.known[e.owner]:
		v.err = fmt.Errorf("host %s is not known", e.owner)
	case !m.c.Template.Contains(e.prefix.Addr):
		v.err = fmt.Errorf("address %#x is outside of template %s", uint32(e.prefix.Addr), m.c.Template)
	case beyond:
		v.err = fmt.Errorf("host %s publishes more routes than it may", e.owner)
	default:
		v.err = m.settings.Policy.prefix(e.owner, e.prefix, m.c.Template)
	}
	switch {
	case v.err != nil || !c.configured[e.prefix] && c.full(&v):
		v.state = report.RouteRefused
	case c.configured[e.prefix]:
		v.state = report.RouteShadowed
	}
	return v
}
