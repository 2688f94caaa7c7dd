// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/route"
)

// own is what this host is to have in the engine, and which of it is to be looked at. It has no lock, and
// knows nothing of what the engine has.
type own struct {
	c          *Config
	bound      map[addr.Addr]bool
	last       []addr.Addr // as Binds gave them
	configured map[addr.Prefix]route.Rule
	groups     map[string]int

	wants     map[string]*want    // by key
	refused   map[string]*refusal // what a policy or a quota is against
	dirty     map[string]bool     // keys that may not be as wanted
	conflicts map[string]*conflict
	told      time.Time // when conflicts last were
	fenced    error     // why this host is not in the cluster
}

// A want is a key that is to be there.
type want struct {
	ident
	raw   []byte
	since time.Time
}

// A refusal is something that this host has and does not publish.
type refusal struct {
	ident
	err   error
	since time.Time
}

// A conflict is a key that another host has.
type conflict struct {
	ident
	host string
}

func newOwn(c *Config) *own {
	o := &own{
		c: c, bound: map[addr.Addr]bool{}, configured: map[addr.Prefix]route.Rule{}, groups: map[string]int{},
		wants: map[string]*want{}, refused: map[string]*refusal{}, dirty: map[string]bool{}, conflicts: map[string]*conflict{},
	}
	o.set(ident{kind: kindHost, host: c.Host}, o.hostValue(stateHere))
	return o
}

func (o *own) hostValue(state string) []byte {
	return encode(&hostValue{
		V: valueVersion, Links: o.c.Links, Fingerprint: o.c.Fingerprint, Incarnation: o.c.Incarnation, Template: o.c.Template.String(), State: state,
	})
}

func (id ident) key() string {
	switch id.kind {
	case kindHost:
		return hostKey(id.host)
	case kindRoute:
		return routeKey(id.prefix)
	default:
		return groupKey(id.group, id.host)
	}
}

// set wants a key to have a value.
func (o *own) set(id ident, raw []byte) {
	key := id.key()
	delete(o.refused, key)
	w := o.wants[key]
	if w != nil && string(w.raw) == string(raw) {
		return
	}
	since := time.Now()
	if w != nil {
		since = w.since
	}
	o.wants[key] = &want{id, raw, since}
	o.dirty[key] = true
}

// drop wants a key to be gone.
func (o *own) drop(key string) {
	delete(o.refused, key)
	if o.wants[key] != nil {
		delete(o.wants, key)
		delete(o.conflicts, key)
		o.dirty[key] = true
	}
}

// refuse is set for what may not be published.
func (o *own) refuse(id ident, err error) {
	key := id.key()
	o.drop(key)
	o.refused[key] = &refusal{id, err, time.Now()}
}

// all has everything looked at.
func (o *own) all() {
	for key := range o.wants {
		o.dirty[key] = true
	}
}

// see is called when a key may have changed in the engine; e is nil if it is not there.
func (o *own) see(key string, e *entry) {
	if o.wants[key] != nil || e != nil && e.owner == o.c.Host && !e.doubted() {
		o.dirty[key] = true
	}
}

// bind takes in what is bound now, and tells whether that is something else than before.
func (o *own) bind(list []addr.Addr, s *Settings) bool {
	if slices.Equal(list, o.last) {
		return false
	}
	o.last = slices.Clone(list)
	now := make(map[addr.Addr]bool, len(list))
	var fresh []addr.Addr
	for _, a := range list {
		if !a.IsNone() && !now[a] {
			now[a] = true
			if !o.bound[a] {
				fresh = append(fresh, a)
			}
		}
	}
	gone := len(now) < len(o.bound)+len(fresh)
	if !gone && len(fresh) == 0 {
		return false
	}
	before := o.bound
	o.bound = now
	if gone && len(o.refused) > 0 {
		o.reckon(s) // there is room for others now
		return true
	}
	for a := range before {
		if _, configured := o.configured[addr.Exact(a)]; !now[a] && !configured {
			o.drop(routeKey(addr.Exact(a)))
		}
	}
	o.grow(fresh, s)
	return true
}

// grow wants more addresses to be published, as many as may be.
func (o *own) grow(list []addr.Addr, s *Settings) {
	most, _ := s.Policy.most(o.c.Host, o.c.Quota)
	n := o.routes()
	for _, a := range list {
		id := ident{kind: kindRoute, prefix: addr.Exact(a)}
		if _, configured := o.configured[id.prefix]; configured {
			continue
		}
		if err := o.mayPublish(id.prefix, n, most, s); err != nil {
			o.refuse(id, err)
			continue
		}
		n++
		o.set(id, encode(&routeValue{V: valueVersion, Host: o.c.Host, Kind: kindBound}))
	}
}

// routes is how many of the wants are.
func (o *own) routes() int {
	n := len(o.wants) - 1 // without the host
	for name := range o.groups {
		if o.wants[groupKey(name, o.c.Host)] != nil {
			n--
		}
	}
	return n
}

func (o *own) mayPublish(p addr.Prefix, have, most int, s *Settings) error {
	if have >= most {
		return fmt.Errorf("host %s has %d routes already, which is the most", o.c.Host, have)
	}
	return s.Policy.prefix(o.c.Host, p, o.c.Template)
}

// reckon works out everything that is wanted. What was wanted before stays rather than what is new.
func (o *own) reckon(s *Settings) {
	before := o.wants
	o.wants, o.refused, o.configured = map[string]*want{}, map[string]*refusal{}, map[addr.Prefix]route.Rule{}
	for key, w := range before {
		if w.kind != kindRoute {
			o.wants[key] = w
		}
	}
	var list []route.Rule
	for _, r := range s.Rules {
		if r.Host == o.c.Host {
			o.configured[r.Prefix] = r
			list = append(list, r)
		}
	}
	o.configure(list, before, s)
	o.grow(o.inOrder(before), s)
	o.group(o.groups, s)
	for key, w := range before {
		if now := o.wants[key]; now != nil {
			now.since = w.since
			continue
		}
		o.dirty[key] = true
		delete(o.conflicts, key)
	}
}

// inOrder returns what is bound, what was wanted first.
func (o *own) inOrder(before map[string]*want) []addr.Addr {
	list := slices.Collect(maps.Keys(o.bound))
	was := func(a addr.Addr) bool { return before[routeKey(addr.Exact(a))] != nil }
	slices.SortFunc(list, func(a, b addr.Addr) int { return cmp.Or(firstly(was(a), was(b)), cmp.Compare(a, b)) })
	return list
}

// firstly orders what is before what is not.
func firstly(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// configure wants the prefixes of the configuration to be published.
func (o *own) configure(list []route.Rule, before map[string]*want, s *Settings) {
	most, _ := s.Policy.most(o.c.Host, o.c.Quota)
	n := 0
	was := func(r route.Rule) bool { return before[routeKey(r.Prefix)] != nil }
	slices.SortStableFunc(list, func(a, b route.Rule) int { return firstly(was(a), was(b)) })
	for _, r := range list {
		id := ident{kind: kindRoute, prefix: r.Prefix}
		if err := o.mayPublish(r.Prefix, n, most, s); err != nil {
			o.refuse(id, err)
			continue
		}
		n++
		o.set(id, encode(&routeValue{
			V: valueVersion, Host: o.c.Host, Kind: kindConfigured, Release: r.Release, Priority: r.Priority, Desc: r.Desc,
		}))
	}
}

// group takes in the groups that this host has members of, with how many.
func (o *own) group(groups map[string]int, s *Settings) {
	was := func(name string) bool { return o.wants[groupKey(name, o.c.Host)] != nil }
	list := slices.Collect(maps.Keys(groups))
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(firstly(was(a), was(b)), cmp.Compare(a, b)) })
	for name := range o.groups {
		if groups[name] < 1 {
			o.drop(groupKey(name, o.c.Host))
		}
	}
	o.groups = map[string]int{}
	_, most := s.Policy.most(o.c.Host, o.c.Quota)
	for _, name := range list {
		if groups[name] < 1 {
			continue
		}
		o.groups[name] = groups[name]
		id := ident{kind: kindGroup, group: name, host: o.c.Host}
		if err := s.Policy.Name(o.c.Host, name); err != nil {
			o.refuse(id, err)
			continue
		}
		if most--; most < 0 {
			o.refuse(id, fmt.Errorf("group %s: host %s has as many as it may", quote(name), o.c.Host))
			continue
		}
		o.set(id, encode(&groupValue{V: valueVersion, Members: groups[name]}))
	}
}
