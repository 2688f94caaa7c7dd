// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// roles are what the processes do that tests start.
var roles = map[string]killtest.Role{}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(m.Run())
}

const key = 2000

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prefix(t testing.TB, s string) addr.Prefix {
	t.Helper()
	p, err := addr.Default.ParsePrefix(s)
	check(t, err)
	return p
}

// sample is a table with one of everything.
func sample(t testing.TB) *Table {
	t.Helper()
	return &Table{
		Key: key, Self: "game-1",
		Hosts: []Host{{"game-1", "10.0.0.1:7100"}, {"db_1.example", "[fd00::7%eth0]:9001"}},
		Rules: []Rule{
			{Prefix: prefix(t, "0.0.3.*"), Host: "game-1", Desc: "一区"},
			{Prefix: prefix(t, "*.*.*.*"), Host: "db_1.example", Release: Stored, Priority: 7},
			{Prefix: prefix(t, "0.0.3.9"), Host: "db_1.example", Priority: 1, Desc: "moved"},
			{Prefix: addr.Prefix{Addr: 0x380, Bits: 25}, Host: "db_1.example", Published: true},
		},
		Durable: []Durable{
			{From: prefix(t, "*.*.*.*"), To: prefix(t, "0.0.3.9"), Dir: "/var/lib/skybus"},
			{From: prefix(t, "0.0.4.*"), To: prefix(t, "0.0.3.*"), Mode: Async, Dir: "/盘"},
		},
	}
}

// stored is sample as it is after the first Store in a new folder.
func stored(t testing.TB) (root string) {
	t.Helper()
	root = testutil.Dir(t)
	check(t, Store(root, sample(t), shm.Keep))
	return root
}

func load(t testing.TB, root string) *Table {
	t.Helper()
	got, err := Load(root, key)
	check(t, err)
	return got
}

// same compares what tables say; the index is no part of that.
func same(a, b *Table) bool {
	return a.Key == b.Key && a.Generation == b.Generation && a.Template == b.Template && a.Self == b.Self &&
		slices.Equal(a.Hosts, b.Hosts) && slices.Equal(a.Rules, b.Rules) && slices.Equal(a.Durable, b.Durable)
}

func tableFile(root string) string { return filepath.Join(Dir(root, key), tableName) }

// random returns a valid table of prefixes that overlap a lot.
func random(rng *rand.Rand) *Table {
	t := &Table{Key: key, Template: []addr.Template{addr.Default, addr.MustTemplate("6.8.8.4"), addr.MustTemplate("32")}[rng.IntN(3)]}
	for i := range 1 + rng.IntN(5) {
		t.Hosts = append(t.Hosts, Host{"h" + strconv.Itoa(i), fmt.Sprintf("10.0.0.%d:%d", i, 1+rng.IntN(65535))})
	}
	switch rng.IntN(3) {
	case 0:
		t.Self = t.Hosts[rng.IntN(len(t.Hosts))].Name
	case 1:
		t.Self = "elsewhere"
	}
	seen := map[addr.Prefix]bool{}
	for range rng.IntN(60) {
		p := addr.Prefix{Bits: uint8(rng.IntN(33))}
		p.Addr = first(randomAddr(rng, t.Template), p.Bits)
		if seen[p] || p.IsExact() && p.Addr.IsNone() {
			continue
		}
		seen[p] = true
		r := Rule{Prefix: p, Host: t.Hosts[rng.IntN(len(t.Hosts))].Name, Release: Release(rng.IntN(2)), Priority: uint8(rng.IntN(8)), Published: rng.IntN(2) == 0}
		if t.Self != "" && rng.IntN(4) == 0 {
			r.Host = t.Self
		}
		t.Rules = append(t.Rules, r)
	}
	randomDurable(rng, t)
	return t
}

func randomDurable(rng *rand.Rand, t *Table) {
	seen := map[[2]addr.Prefix]bool{}
	for range rng.IntN(20) {
		d := Durable{Mode: Mode(rng.IntN(2)), Dir: []string{"/a", "/b/c", "/"}[rng.IntN(3)]}
		d.From.Bits, d.To.Bits = uint8(rng.IntN(33)), uint8(rng.IntN(33))
		d.From.Addr, d.To.Addr = first(randomAddr(rng, t.Template), d.From.Bits), first(randomAddr(rng, t.Template), d.To.Bits)
		none := func(p addr.Prefix) bool { return p.IsExact() && p.Addr.IsNone() }
		if pair := [2]addr.Prefix{d.From, d.To}; !seen[pair] && !none(d.From) && !none(d.To) {
			seen[pair] = true
			t.Durable = append(t.Durable, d)
		}
	}
}

// randomAddr returns an address of the template, near its lower or upper end.
func randomAddr(rng *rand.Rand, t addr.Template) addr.Addr {
	a := addr.Addr(rng.Uint32()) & addr.Addr(uint64(1)<<t.Bits()-1)
	switch rng.IntN(3) {
	case 0:
		return a & 0xff
	case 1:
		return a &^ 0xffff
	}
	return a
}
