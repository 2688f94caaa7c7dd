// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/route"
)

func prefixes(t testing.TB, list ...string) (p []addr.Prefix) {
	t.Helper()
	for _, text := range list {
		p = append(p, rule(t, text, "").Prefix)
	}
	return p
}

func TestPolicy(t *testing.T) {
	p := Policy{
		{Hosts: []string{"game-?", "west"}, Prefixes: prefixes(t, "0.0.3.*", "0.0.4.1"), Names: []string{"arena.*"}, MaxRoutes: 3, MaxNames: 9},
		{Hosts: []string{"db*"}},
		{Hosts: []string{"game-*"}, MaxGroups: 2},
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, prefix, name string
		prefixErr, nameErr string
	}{
		{"west", "0.0.3.7", "arena.1", "", ""},
		{"game-1", "0.0.3.*", "arena.", "", ""},
		{"west", "0.0.4.1", "bank", "", `does not let host west have name "bank"`},
		{"west", "0.0.4.*", "arena.x", "does not let host west publish 0.0.4.*", ""},
		{"west", "*.*.*.*", "arena", "does not let host west publish *.*.*.*", "does not let"},
		{"db", "*.*.*.*", "bank", "", ""},
		{"game-11", "9.9.9.9", "bank", "", ""},
		{"east", "0.0.3.1", "arena.1", "no entry for host east", "no entry for host east"},
	} {
		for _, got := range []struct {
			err  error
			want string
		}{{p.prefix(c.host, prefixes(t, c.prefix)[0], addr.Default), c.prefixErr}, {p.Name(c.host, c.name), c.nameErr}} {
			if text := fmt.Sprint(got.err); (got.err == nil) != (got.want == "") || !strings.Contains(text, got.want) {
				t.Errorf("%+v: got %v, want %q", c, got.err, got.want)
			}
		}
	}
	q := Quota{Hosts: 9, Routes: 100, Groups: 50}
	for host, want := range map[string]string{"west": "3 50 9", "db": "100 50 0", "game-11": "100 2 0", "east": "100 50 0"} {
		routes, groups := p.most(host, q)
		equal(t, host, fmt.Sprint(routes, groups, p.MaxNames(host)), want)
	}
	if err := (Policy)(nil).Name("anyone", "anything"); err != nil {
		t.Error(err)
	}
}

func TestMistakesOfAPolicy(t *testing.T) {
	p := Policy{
		{}, {Hosts: []string{"[a"}, Names: []string{""}}, {Hosts: []string{"x"}, Prefixes: []addr.Prefix{{Addr: 1, Bits: 24}}},
		{Hosts: []string{"x"}, Prefixes: []addr.Prefix{{Bits: 33}}}, {Hosts: []string{"x"}, MaxNames: -1},
	}
	err := p.Validate()
	for _, want := range []string{"entry 1: no hosts", `entry 2: glob "[a"`, `entry 2: glob "":`, "entry 3: prefix", "entry 4: prefix", "entry 5: a bound below 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestPolicyInForce: a host that has another policy publishes what the others do not believe.
func TestPolicyInForce(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		p := Policy{{Hosts: []string{"west"}, Prefixes: prefixes(t, "0.0.3.*"), Names: []string{"arena"}}, {Hosts: []string{"*"}}}
		with := func(c *Config) { c.Policy = p }
		east, west := w.join("east", with), w.join("west")
		west.bind("0.0.3.1", "0.0.4.1", "0.0.4.2")
		groups := map[string]int{"arena": 2, "bank": 1}
		if err := west.m.SetGroups(groups); err != nil {
			t.Fatal(err)
		}
		w.until(soon, "east knows all", func() bool { return east.hostOf("west").Routes == 3 && len(east.m.Group("arena")) == 1 })
		w.quiet(100 * time.Millisecond)
		equal(t, "east", east.text(), "0.0.3.1=west+")
		h := east.hostOf("west")
		equal(t, "passed over", h.PassedOver, 2)
		r := east.stateOf("0.0.4.1", "west")
		if want := "the policy does not let host west publish 0.0.4.1"; r.State != report.RouteRefused || r.Error != want {
			t.Errorf("the route: %+v", r)
		}
		equal(t, "log", east.logged("some of what a host publishes is passed over"), 1)
		equal(t, "a group", east.m.Group("bank"), "[]")
		if err := west.m.Reload(Settings{Policy: p}); err != nil {
			t.Fatal(err)
		}
		w.until(soon, "west publishes less", func() bool { return east.hostOf("west").Routes == 1 && east.hostOf("west").PassedOver == 0 })
		equal(t, "west's own", west.stateOf("0.0.4.1", "west").Error, "the policy does not let host west publish 0.0.4.1")
		equal(t, "keys", len(w.e.get(t)), 4)
		if err := west.m.Reload(Settings{}); err != nil {
			t.Fatal(err)
		}
		w.until(soon, "all again", func() bool { return east.hostOf("west").Routes == 3 && len(w.e.get(t)) == 7 })
	})
}

func TestQuotas(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		three := func(c *Config) { c.Quota.Routes, c.Quota.Groups, c.Quota.Hosts = 3, 1, 3 }
		west := w.join("west", three, func(c *Config) { c.Rules = []route.Rule{rule(t, "0.0.7.*", "west")} })
		east := w.join("east", three)
		west.bind("0.0.3.3", "0.0.3.2", "0.0.3.4")
		if err := west.m.SetGroups(map[string]int{"a": 1, "b": 2}); err != nil {
			t.Fatal(err)
		}
		w.until(soon, "three routes", func() bool { return east.text() == "0.0.3.2=west+ 0.0.3.3=west+ 0.0.7.*=west+" })
		r := west.stateOf("0.0.3.4", "west")
		equal(t, "the fourth", r.State+": "+r.Error, "refused: host west has 3 routes already, which is the most")
		equal(t, "groups", fmt.Sprint(east.m.Group("a"), east.m.Group("b")), "[{west 1}] []")
		west.bind("0.0.3.3", "0.0.3.4", "0.0.3.1", "0.0.3.0")
		w.quiet(soon)
		w.until(soon, "room for one more", func() bool { return strings.Count(east.text(), "=west+") == 3 })
		equal(t, "one that was published stays", strings.Contains(east.text(), "0.0.3.3=west+"), true)
		west.bind("0.0.3.4")
		w.until(soon, "what was refused is published", func() bool { return east.text() == "0.0.3.4=west+ 0.0.7.*=west+" })
		w.join("north")
		w.quiet(soon)
		late := w.join("south", three)
		w.quiet(2 * time.Second)
		equal(t, "the fourth host", late.hostOf("south").Error, "the cluster has 3 hosts already, which is the most")
		w.hosts["north"].end()
		w.until(3*time.Second, "room for it", func() bool { return east.hostOf("south").State == report.HostKnown })
	})
}

// TestMoreThanItMay: a host with a larger quota than the others allow it. All others pass over the same.
func TestMoreThanItMay(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		two := func(c *Config) { c.Quota.Routes, c.Quota.Groups, c.Quota.Hosts = 2, 2, 3 }
		east, north, west := w.join("east", two), w.join("north", two), w.join("west")
		for _, list := range [][]string{{"0.0.3.9"}, {"0.0.3.9", "0.0.3.1"}, {"0.0.3.9", "0.0.3.1", "0.0.3.5"}} {
			west.bind(list...)
			groups := map[string]int{}
			for i := range list {
				groups[fmt.Sprint("g", i)] = 1
			}
			if err := west.m.SetGroups(groups); err != nil {
				t.Fatal(err)
			}
			w.quiet(soon)
		}
		equal(t, "east", east.text(), "0.0.3.1=west+ 0.0.3.9=west+")
		equal(t, "north", north.text(), east.text())
		equal(t, "passed over", east.hostOf("west").PassedOver, 1)
		equal(t, "groups", fmt.Sprint(east.m.Group("g0"), east.m.Group("g2")), "[{west 1}] []")
		far := w.join("far")
		far.bind("0.0.5.5")
		w.quiet(soon)
		equal(t, "a host too many", strings.Contains(east.text(), "far"), false)
		equal(t, "its error", east.hostOf("far").Error, "host far is one more than the 3 that there may be")
		equal(t, "who allows more", strings.Contains(west.text(), "0.0.5.5=far+"), true)
	})
}
