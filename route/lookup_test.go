// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestLookup(t *testing.T) {
	tab := sample(t)
	for _, c := range []struct {
		address string
		rule    int // number; 0 is none
		local   bool
	}{
		{"0.0.3.1", 1, true},
		{"0.0.3.0", 1, true},
		{"0.0.3.127", 1, true},
		{"0.0.3.128", 4, false},
		{"0.0.3.255", 4, false},
		{"0.0.3.9", 3, false},
		{"0.0.4.0", 2, false},
		{"255.255.255.255", 2, false},
		{"0.0.0.1", 2, false},
		{"0.0.0.0", 0, false},
	} {
		m, ok := tab.Lookup(addr.MustParse(c.address))
		switch {
		case ok != (c.rule > 0):
			t.Errorf("%s: found %v", c.address, ok)
		case ok && (m.Rule != tab.Rules[c.rule-1] || m.Local != c.local):
			t.Errorf("%s: got %+v, want rule %d, local %v", c.address, m, c.rule, c.local)
		}
	}
	short := &Table{Template: addr.MustTemplate("6.8.8.4"), Rules: []Rule{{Prefix: addr.Prefix{Bits: 6}, Host: ""}}}
	if _, ok := short.Lookup(1 << 26); ok {
		t.Error("found an address outside of the template")
	}
	if m, ok := short.Lookup(1<<26 - 1); !ok || m.Local {
		t.Errorf("no self: found %v, local %v", ok, m.Local)
	}
}

func TestHostByName(t *testing.T) {
	tab := sample(t)
	if h, ok := tab.Host("db_1.example"); !ok || h != tab.Hosts[1] {
		t.Errorf("got %v, %v", h, ok)
	}
	if h, ok := tab.Host(""); ok {
		t.Errorf("got %v for no name", h)
	}
}

// TestLookupIsTheLongestMatch compares with trying all rules.
func TestLookupIsTheLongestMatch(t *testing.T) {
	rng := testutil.Rand(t)
	for range 300 {
		tab := random(rng)
		for range 100 {
			a := randomAddr(rng, tab.Template)
			if len(tab.Rules) > 0 && rng.IntN(2) == 0 {
				a = tab.Rules[rng.IntN(len(tab.Rules))].Prefix.Addr + addr.Addr(rng.IntN(3)) - 1
			}
			best := -1
			for i, r := range tab.Rules {
				if r.Prefix.Contains(a) && !a.IsNone() && (best < 0 || r.Prefix.Bits > tab.Rules[best].Prefix.Bits) {
					best = i
				}
			}
			m, ok := tab.Lookup(a)
			if ok != (best >= 0) {
				t.Fatalf("%v: found %v, want rule %d", a, ok, best+1)
			}
			if ok && (m.Rule != tab.Rules[best] || m.Local != (m.Host == tab.Self)) {
				t.Fatalf("%v: got %+v, want %+v, self %q", a, m, tab.Rules[best], tab.Self)
			}
		}
	}
}

// TestFirstLookupsAtOnce: goroutines that share a new table make its index.
func TestFirstLookupsAtOnce(t *testing.T) {
	testutil.NoLeaks(t)
	tab := sample(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if m, ok := tab.Lookup(0x309); !ok || m.Desc != "moved" {
				t.Errorf("got %+v, %v", m, ok)
			}
		})
	}
	all.Wait()
}

func TestCloneIsIndependent(t *testing.T) {
	tab := sample(t)
	tab.Generation = 3
	tab.Lookup(1)
	c := tab.Clone()
	if !same(c, tab) {
		t.Fatalf("got %+v", c)
	}
	c.Rules[0].Host, c.Hosts[0].Name, c.Self = "x", "x", "x"
	c.Rules[2].Prefix = addr.Exact(0x30a)
	if m, _ := c.Lookup(0x30a); m.Desc != "moved" {
		t.Errorf("the clone finds %+v", m)
	}
	if m, _ := tab.Lookup(0x309); m.Desc != "moved" || tab.Hosts[0].Name != "game-1" || tab.Rules[0].Host != "game-1" {
		t.Errorf("the original has %+v", tab)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	tab := sample(t)
	tab.Lookup(1)
	if n := testing.AllocsPerRun(100, func() { tab.Lookup(0x309) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// full is a table of the largest size.
func full() *Table {
	t := &Table{Key: key}
	for i := range MaxHosts {
		t.Hosts = append(t.Hosts, Host{fmt.Sprint("host-", i), fmt.Sprintf("host-%d:7100", i)})
	}
	for i := range MaxRules {
		t.Rules = append(t.Rules, Rule{Prefix: addr.Prefix{Addr: addr.Addr(i) << 12, Bits: uint8(20 + i%8)}, Host: t.Hosts[i%MaxHosts].Name})
	}
	return t
}

func BenchmarkLookup(b *testing.B) {
	tab := full()
	tab.Lookup(1)
	a := addr.Addr(0)
	for b.Loop() {
		a += 0x1357
		tab.Lookup(a & 0x0fffffff)
	}
}
