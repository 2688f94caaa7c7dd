// SPDX-License-Identifier: Apache-2.0

package route

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestSampleIsValid(t *testing.T) {
	check(t, sample(t).Validate())
	check(t, (&Table{Key: 1}).Validate())
	check(t, full().Validate())
	rng := testutil.Rand(t)
	for range 200 {
		check(t, random(rng).Validate())
	}
}

func TestMistakes(t *testing.T) {
	const name = "want 1 to 63 bytes of a-z, A-Z, 0-9, '.', '_' and '-'"
	long := strings.Repeat("x", 64)
	for _, c := range []struct {
		what   string
		change func(*Table)
		want   string
	}{
		{"no key", func(t *Table) { t.Key = 0 }, "key 0: want 1 to 2147483647"},
		{"key too large", func(t *Table) { t.Key = 1 << 31 }, "key 2147483648: want 1 to 2147483647"},
		{"self with a space", func(t *Table) { t.Self, t.Rules[0].Host = "a b", "db_1.example" }, `self "a b": ` + name},
		{"self is no host and no rule's", func(t *Table) { t.Self = "elsewhere" }, ""},
		{"self is a rule's and no host", func(t *Table) { t.Self, t.Rules[0].Host = "elsewhere", "elsewhere" }, ""},
		{"no name", func(t *Table) { t.Hosts = append(t.Hosts, Host{"", "h:1"}) }, `host 3: name "": ` + name},
		{"long name", func(t *Table) { t.Hosts = append(t.Hosts, Host{long, "h:1"}) }, `host 3: name "` + long + `": ` + name},
		{"name of 63", func(t *Table) { t.Hosts = append(t.Hosts, Host{long[1:], "h:1"}) }, ""},
		{"name with a colon", func(t *Table) { t.Hosts = append(t.Hosts, Host{"h:1", "h:1"}) }, `host 3: name "h:1": ` + name},
		{"name with a 0", func(t *Table) { t.Hosts = append(t.Hosts, Host{"h\x00", "h:1"}) }, `host 3: name "h\x00": ` + name},
		{"two of one name", func(t *Table) { t.Hosts = append(t.Hosts, Host{"game-1", "h:1"}) }, `host 3: name "game-1" is that of host 1`},
		{"two of one address", func(t *Table) { t.Hosts = append(t.Hosts, Host{"c", "10.0.0.1:7100"}) }, ""},
		{"prefix twice", func(t *Table) { t.Rules[3].Prefix = t.Rules[0].Prefix }, "rule 4: prefix 0.0.3.* is that of rule 1"},
		{"all addresses twice", func(t *Table) { t.Rules[3].Prefix = addr.Prefix{} }, "rule 4: prefix *.*.*.* is that of rule 2"},
		{"unknown host", func(t *Table) { t.Rules[2].Host = "c" }, `rule 3, 0.0.3.9: host "c" is not among the table's hosts`},
		{"no host", func(t *Table) { t.Rules[2].Host = "" }, `rule 3, 0.0.3.9: host "" is not among the table's hosts`},
		{"no host and no self", func(t *Table) { t.Rules[2].Host, t.Self = "", "" }, `rule 3, 0.0.3.9: host "" is not among the table's hosts`},
		{"release", func(t *Table) { t.Rules[2].Release = 2 }, "rule 3, 0.0.3.9: release 2: want 0 to 1"},
		{"priority", func(t *Table) { t.Rules[2].Priority = 8 }, "rule 3, 0.0.3.9: priority 8: want 0 to 7"},
		{"desc of 95", func(t *Table) { t.Rules[2].Desc = long + long[:31] }, ""},
		{"desc of 96", func(t *Table) { t.Rules[2].Desc = long + long[:32] },
			`rule 3, 0.0.3.9: desc "` + long + `"… of 96 bytes: want at most 95 bytes of UTF-8 without a 0`},
		{"desc with a 0", func(t *Table) { t.Rules[2].Desc = "\x00" }, `rule 3, 0.0.3.9: desc "\x00" of 1 bytes: want at most 95 bytes of UTF-8 without a 0`},
		{"desc that is no text", func(t *Table) { t.Rules[2].Desc = "\xff" }, `rule 3, 0.0.3.9: desc "\xff" of 1 bytes: want at most 95 bytes of UTF-8 without a 0`},
		{"bits behind the prefix", func(t *Table) { t.Rules[2].Prefix = addr.Prefix{Addr: 0x301, Bits: 24} },
			"rule 3, 0.0.3.*: address 0x301 has bits behind the prefix, want 0x300"},
		{"too many bits", func(t *Table) { t.Rules[2].Prefix.Bits = 33 }, "rule 3, 0.0.3.9: prefix of 33 bits: want 0 to 32"},
		{"no address", func(t *Table) { t.Rules[2].Prefix.Addr = 0 }, "rule 3, 0.0.0.0: is no address, nothing can be bound to it"},
		{"outside of the template", func(t *Table) {
			t.Template = addr.MustTemplate("8.8")
			t.Rules = []Rule{{Prefix: addr.Exact(1 << 16), Host: "game-1"}, {Prefix: addr.Exact(1<<16 - 1), Host: "game-1"}}
		}, "rule 1, 256.0: address 0x10000 is outside of template 8.8, which has 16 bits"},
		{"durable rule twice", func(t *Table) { t.Durable[1].From, t.Durable[1].To = t.Durable[0].From, t.Durable[0].To },
			"durable rule 2: its prefixes are those of durable rule 1"},
		{"from of a durable rule", func(t *Table) { t.Durable[0].From = addr.Exact(0) },
			"durable rule 1, 0.0.0.0 to 0.0.3.9: from: is no address, nothing can be bound to it"},
		{"to of a durable rule", func(t *Table) { t.Durable[0].To = addr.Prefix{Addr: 1, Bits: 24} },
			"durable rule 1, *.*.*.* to 0.0.0.*: to: address 0x1 has bits behind the prefix, want 0x0"},
		{"mode", func(t *Table) { t.Durable[0].Mode = 2 }, "durable rule 1, *.*.*.* to 0.0.3.9: mode 2: want 0 to 1"},
		{"dir that is not absolute", func(t *Table) { t.Durable[0].Dir = "d" },
			`durable rule 1, *.*.*.* to 0.0.3.9: dir "d": want an absolute path without superfluous parts`},
		{"dir with superfluous parts", func(t *Table) { t.Durable[0].Dir = "/d/../e" },
			`durable rule 1, *.*.*.* to 0.0.3.9: dir "/d/../e": want an absolute path without superfluous parts`},
		{"dir of 239", func(t *Table) { t.Durable[0].Dir = "/" + strings.Repeat("x", 238) }, ""},
		{"dir of 240", func(t *Table) { t.Durable[0].Dir = "/" + strings.Repeat("x", 239) },
			`durable rule 1, *.*.*.* to 0.0.3.9: dir "/` + long[1:] + `"… of 240 bytes: want at most 239 bytes of UTF-8 without a 0`},
		{"dir with a 0", func(t *Table) { t.Durable[0].Dir = "/\x00" },
			`durable rule 1, *.*.*.* to 0.0.3.9: dir "/\x00" of 2 bytes: want at most 239 bytes of UTF-8 without a 0`},
		{"several", func(t *Table) { t.Key, t.Self, t.Hosts[1].Address, t.Rules[3].Priority = 0, "", "h", 9 },
			"key 0: want 1 to 2147483647\n" +
				`host 2, "db_1.example": address "h" has no port, want HOST:PORT` + "\n" +
				"rule 4, 0.0.3.128/25: priority 9: want 0 to 7"},
	} {
		t.Run(c.what, func(t *testing.T) {
			tab := sample(t)
			c.change(tab)
			got := ""
			if err := tab.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTooMany(t *testing.T) {
	tab := full()
	tab.Hosts = append(tab.Hosts, Host{"one-more", "h:1"})
	tab.Rules = append(tab.Rules, Rule{Prefix: addr.Exact(1), Host: "one-more"})
	const want = "hosts: there are 4097, want at most 4096\nrules: there are 65537, want at most 65536"
	if err := tab.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAddresses(t *testing.T) {
	const (
		host = "has no valid host, want a name, an IPv4 address or an IPv6 address in brackets"
		port = "has no valid port, want 1 to 65535"
	)
	long := strings.Repeat("x", MaxAddress-2)
	for _, c := range []struct{ address, want string }{
		{"10.0.0.1:1", ""},
		{"relay-1.example:65535", ""},
		{"[::1]:7100", ""},
		{"[fe80::1%eth0]:7100", ""},
		{long + ":1", ""},
		{long + ":12", "has 256 bytes, want at most 255"},
		{"", "has no port, want HOST:PORT"},
		{"h", "has no port, want HOST:PORT"},
		{":7100", host},
		{"::1:7100", host},
		{"[]:7100", host},
		{"[10.0.0.1]:7100", host},
		{"[::1:7100", host},
		{"a/b:7100", host},
		{"h:", port},
		{"h:0", port},
		{"h:65536", port},
		{"h:http", port},
		{"h:+1", port},
		{"[::1]", host},
		{"h h:1", "has a byte that is not visible ASCII"},
		{"h\x00:1", "has a byte that is not visible ASCII"},
		{"主机:1", "has a byte that is not visible ASCII"},
	} {
		if got := checkAddress(c.address); got != c.want {
			t.Errorf("%q: got %q, want %q", c.address, got, c.want)
		}
	}
}

func TestHostName(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"10.0.0.2:7100", "10.0.0.2_7100"},
		{"[fd00::7]:9", "_fd00__7__9"},
		{"db-1.Example_2:1", "db-1.Example_2_1"},
		{"", ""},
	} {
		if got := HostName(c.address); got != c.want {
			t.Errorf("%q: got %q, want %q", c.address, got, c.want)
		}
	}
}

func TestReleases(t *testing.T) {
	for text, want := range map[string]Release{"consumed": Consumed, "stored": Stored} {
		got, err := ParseRelease(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
		written, err := want.MarshalText()
		var read Release
		if err != nil || string(written) != text || read.UnmarshalText(written) != nil || read != want {
			t.Errorf("%s: written %q, read %v, %v", text, written, read, err)
		}
	}
	for _, text := range []string{"", "Stored", "release(2)", "stored "} {
		r := Stored
		if err := r.UnmarshalText([]byte(text)); err == nil || r != Stored || !strings.HasSuffix(err.Error(), ": want consumed or stored") {
			t.Errorf("%q: got %v, %v", text, r, err)
		}
	}
	if got := Release(2).String(); got != "release(2)" {
		t.Errorf("got %q", got)
	}
	if text, err := Release(2).MarshalText(); err == nil {
		t.Errorf("written as %q", text)
	}
}

func TestShortDescIsTakenByARule(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"gates":                              "gates",
		"a\xffb":                             "a\uFFFDb",
		strings.Repeat("x", MaxDesc+1):       strings.Repeat("x", MaxDesc),
		strings.Repeat("x", MaxDesc-1) + "é": strings.Repeat("x", MaxDesc-1),
	} {
		if got := ShortDesc(text); got != want {
			t.Errorf("ShortDesc(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestValidateOfOne: a host and a rule alone are judged as in a table.
func TestValidateOfOne(t *testing.T) {
	good := Rule{Prefix: prefix(t, "0.0.3.*"), Host: "game-1", Priority: 7, Desc: "d"}
	host := Host{"game-1", "10.0.0.1:7100"}
	check(t, good.Validate(addr.Default))
	check(t, host.Validate())
	for _, c := range []struct {
		change func(*Rule, *Host)
		want   string
	}{
		{func(r *Rule, _ *Host) { r.Prefix.Addr++ }, "prefix 0.0.3.*: address 0x301 has bits behind the prefix"},
		{func(r *Rule, _ *Host) { r.Host = "a/b" }, `host "a/b": want 1 to 63 bytes`},
		{func(r *Rule, _ *Host) { r.Release = 9 }, "release 9: want 0 to 1"},
		{func(r *Rule, _ *Host) { r.Priority = 8 }, "priority 8: want 0 to 7"},
		{func(r *Rule, _ *Host) { r.Desc = strings.Repeat("x", 96) }, "of 96 bytes: want at most 95"},
		{func(_ *Rule, h *Host) { h.Name = "" }, `name "": want 1 to 63 bytes`},
		{func(_ *Rule, h *Host) { h.Address = "host" }, `address "host" has no port`},
	} {
		r, h := good, host
		c.change(&r, &h)
		var text string
		for _, err := range []error{r.Validate(addr.Default), h.Validate()} {
			if err != nil {
				text += err.Error()
			}
		}
		if !strings.Contains(text, c.want) || strings.Contains(text, "\n") {
			t.Errorf("got %q, want %q and nothing else", text, c.want)
		}
	}
}
