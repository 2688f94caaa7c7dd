// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"

	"github.com/skybus-io/skybus/addr"
)

// A Match is what a table says of one address.
type Match struct {
	Rule
	// Local tells that the rule's host is the table's Self: the address lives on
	// this host.
	Local bool
}

// Lookup returns the rule with the longest prefix that has a, or false if none
// has. [addr.None] has no rule. It costs one map access for each length of prefix in
// the table, at most 33, and allocates nothing but the index at its first call.
// The table must not be changed after that. Any goroutine may call it.
func (t *Table) Lookup(a addr.Addr) (Match, bool) {
	if a.IsNone() {
		return Match{}, false
	}
	x := t.indexed()
	for _, bits := range x.lengths {
		if i, ok := x.rules[keyOf(a, bits)]; ok {
			r := &t.Rules[i]
			return Match{Rule: *r, Local: t.isSelf(r.Host)}, true
		}
	}
	return Match{}, false
}

// Host returns the host of that name, or false if the table has none. The
// table must not be changed after the first call. Any goroutine may call it.
func (t *Table) Host(name string) (Host, bool) {
	i, ok := t.indexed().hosts[name]
	if !ok {
		return Host{}, false
	}
	return t.Hosts[i], true
}

func (t *Table) isSelf(host string) bool { return t.Self != "" && host == t.Self }

// index finds rules and hosts by number. It is never changed.
type index struct {
	rules   map[uint64]int32 // by keyOf
	lengths []uint8          // of the prefixes that there are, the longest first
	hosts   map[string]int32
}

// keyOf names the prefix of that length which has a.
func keyOf(a addr.Addr, bits uint8) uint64 {
	return uint64(bits)<<32 | uint64(first(a, bits))
}

// first returns a with the bits behind the first bits set to 0.
func first(a addr.Addr, bits uint8) addr.Addr {
	return a &^ addr.Addr(uint64(1)<<(32-uint64(min(bits, 32)))-1)
}

// indexed returns the index. Two goroutines that make it at once make equal ones.
func (t *Table) indexed() *index {
	if x := t.index.Load(); x != nil {
		return x
	}
	x := &index{rules: make(map[uint64]int32, len(t.Rules)), hosts: make(map[string]int32, len(t.Hosts))}
	for i, r := range t.Rules {
		bits := min(r.Prefix.Bits, 32)
		x.rules[keyOf(r.Prefix.Addr, bits)] = int32(i)
		if !slices.Contains(x.lengths, bits) {
			x.lengths = append(x.lengths, bits)
		}
	}
	slices.SortFunc(x.lengths, func(a, b uint8) int { return int(b) - int(a) })
	for i, h := range t.Hosts {
		x.hosts[h.Name] = int32(i)
	}
	t.index.Store(x)
	return x
}
