// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestLookupDurable(t *testing.T) {
	tab := sample(t)
	tab.Durable = append(tab.Durable, Durable{From: prefix(t, "0.0.4.7"), To: prefix(t, "0.0.3.9"), Dir: "/exact"},
		Durable{From: prefix(t, "0.0.4.7"), To: prefix(t, "*.*.*.*"), Dir: "/wide"})
	check(t, tab.Validate())
	for _, c := range []struct {
		from, to addr.Addr
		want     string // dir, empty: none
	}{
		{0x101, 0x309, "/var/lib/skybus"},
		{0x407, 0x309, "/exact"},
		{0x408, 0x309, "/var/lib/skybus"}, // the longer To counts, not the longer From
		{0x407, 0x308, "/盘"},
		{0x407, 0x508, "/wide"},
		{0x101, 0x308, ""},
		{0x309, 0x101, ""},
	} {
		d, ok := tab.LookupDurable(c.from, c.to)
		if d.Dir != c.want || ok != (c.want != "") {
			t.Errorf("%#x to %#x: got %+v, %v, want %q", uint32(c.from), uint32(c.to), d, ok, c.want)
		}
	}
	if got, want := tab.DurableDirs(), []string{"/var/lib/skybus", "/盘", "/exact", "/wide"}; !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}

// TestLookupDurableDoesNotGoByTheOrder looks rules up forwards and backwards.
func TestLookupDurableDoesNotGoByTheOrder(t *testing.T) {
	rng := testutil.Rand(t)
	found := 0
	for range 200 {
		tab := random(rng)
		back := tab.Clone()
		slices.Reverse(back.Durable)
		for range 50 {
			from, to := randomAddr(rng, tab.Template), randomAddr(rng, tab.Template)
			a, ok := tab.LookupDurable(from, to)
			if b, ok2 := back.LookupDurable(from, to); a != b || ok != ok2 {
				t.Fatalf("%#x to %#x: %+v forwards, %+v backwards", from, to, a, b)
			}
			if ok {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no rule was ever found")
	}
}

func TestCloneHasDurableRulesOfItsOwn(t *testing.T) {
	tab := sample(t)
	c := tab.Clone()
	c.Durable[0].Dir = "/elsewhere"
	if same(c, tab) {
		t.Error("the change is in the original")
	}
}

func TestTooManyDurableRules(t *testing.T) {
	tab := &Table{Key: key}
	for i := range MaxDurable + 1 {
		tab.Durable = append(tab.Durable, Durable{From: addr.Exact(addr.Addr(i + 1)), To: addr.Exact(1), Dir: "/d"})
	}
	if err := tab.Validate(); err == nil || err.Error() != "durable rules: there are 4097, want at most 4096" {
		t.Errorf("got %v", err)
	}
}

func TestModes(t *testing.T) {
	for text, want := range map[string]Mode{"sync": Sync, "async": Async} {
		if got, err := ParseMode(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	if _, err := ParseMode("maybe"); err == nil || !strings.HasSuffix(err.Error(), "want sync or async") {
		t.Errorf("got %v", err)
	}
	if got := Mode(2).String(); got != "mode(2)" {
		t.Errorf("got %q", got)
	}
}
