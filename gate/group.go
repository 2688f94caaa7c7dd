// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"iter"
	"maps"

	"github.com/skybus-io/skybus/addr"
)

// A Group is clients that a service sends to at once, as the service knows it: who is in it, and how many at each home. It belongs
// to an Outbox, whose Join and Leave change it.
type Group struct {
	name    string
	members map[Client]struct{}
	homes   map[addr.Addr]int
}

// Name returns the name by which the gates know the group, too.
func (g *Group) Name() string { return g.name }

// Len returns how many members there are.
func (g *Group) Len() int {
	if g == nil {
		return 0
	}
	return len(g.members)
}

// Has reports whether a client is a member.
func (g *Group) Has(c Client) bool {
	if g == nil {
		return false
	}
	_, is := g.members[c]
	return is
}

// Members goes through the members, in no order. The group must not change meanwhile.
func (g *Group) Members() iter.Seq[Client] {
	if g == nil {
		return func(func(Client) bool) {}
	}
	return maps.Keys(g.members)
}

// At returns how many members have their home there.
func (g *Group) At(home addr.Addr) int {
	if g == nil {
		return 0
	}
	return g.homes[home]
}

// add makes c a member, and reports whether it was none.
func (g *Group) add(c Client) bool {
	if g.Has(c) {
		return false
	}
	g.members[c] = struct{}{}
	g.homes[c.Home]++
	return true
}

// remove ends a membership, and reports whether there was one.
func (g *Group) remove(c Client) bool {
	if !g.Has(c) {
		return false
	}
	delete(g.members, c)
	if g.homes[c.Home]--; g.homes[c.Home] == 0 {
		delete(g.homes, c.Home)
	}
	return true
}
