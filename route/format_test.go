// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestPageHasTheLayout compares the tables of docs/format/route.md with the code.
func TestPageHasTheLayout(t *testing.T) {
	page, err := os.ReadFile("../docs/format/route.md")
	check(t, err)
	for heading, want := range map[string][]string{
		"## table": {
			row(bodyAtKey, "u32", "key"), row(bodyAtHosts, "u32", "hosts"), row(bodyAtGeneration, "u64", "generation"),
			row(bodyAtRules, "u32", "rules"), row(bodyAtSum, "u32", "sum"),
			row(bodyAtDurable, "u32", "durable"),
			row(128+restAtTemplate, "64", "template"), row(128+restAtSelf, "64", "self"),
			row(128+restAtHosts, strconv.Itoa(hostSize)+" x hosts", "hosts"),
			"| 256 + 320 x hosts | " + strconv.Itoa(ruleSize) + " x rules | rules |",
			"| 256 + 320 x hosts + 112 x rules | " + strconv.Itoa(durableSize) + " x durable | durable |",
		},
		"### Host entry, " + strconv.Itoa(hostSize) + " bytes": {
			row(hostAtName, strconv.Itoa(hostAtAddress-hostAtName), "name"),
			row(hostAtAddress, strconv.Itoa(hostSize-hostAtAddress), "address"),
		},
		"### Rule entry, " + strconv.Itoa(ruleSize) + " bytes": {
			row(ruleAtAddr, "u32", "addr"), row(ruleAtBits, "u8", "bits"), row(ruleAtRelease, "u8", "release"),
			row(ruleAtPriority, "u8", "priority"), row(ruleAtFlags, "u8", "flags"), row(ruleAtHost, "u32", "host"),
			row(ruleAtZero4, "u32", "0"), row(ruleAtDesc, strconv.Itoa(ruleSize-ruleAtDesc), "desc"),
		},
		"### Durable entry, " + strconv.Itoa(durableSize) + " bytes": {
			row(durableAtFrom, "u32", "from"), row(durableAtTo, "u32", "to"), row(durableAtFromBits, "u8", "fromBits"),
			row(durableAtToBits, "u8", "toBits"), row(durableAtMode, "u8", "mode"),
			row(durableAtZero, strconv.Itoa(durableAtDir-durableAtZero), "0"), row(durableAtDir, strconv.Itoa(durableSize-durableAtDir), "dir"),
		},
	} {
		_, section, ok := strings.Cut(string(page), "\n"+heading+"\n")
		if !ok {
			t.Errorf("there is no heading %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n#")
		rows := 0
		for line := range strings.Lines(section) {
			if strings.HasPrefix(line, "|") && strings.ContainsAny(line[2:3], "0123456789") {
				rows++
			}
		}
		if rows != len(want) {
			t.Errorf("%s: %d rows, want %d", heading, rows, len(want))
		}
		for _, w := range want {
			if !strings.Contains(section, "\n"+w) {
				t.Errorf("%s: there is no row %q", heading, w)
			}
		}
	}
}

func row(at int, width, name string) string {
	return "| " + strconv.Itoa(at) + " | " + width + " | " + name + " |"
}

// TestBytesOfATable spells out a small one.
func TestBytesOfATable(t *testing.T) {
	tab := &Table{
		Key: 0x1234, Template: addr.MustTemplate("16.16"), Self: "me", Hosts: []Host{{"b", "c:1"}},
		Rules: []Rule{
			{Prefix: addr.Prefix{Addr: 0x30000, Bits: 16}, Host: "b", Release: Stored, Priority: 5, Desc: "d"},
			{Prefix: addr.Exact(7), Host: "me", Published: true},
		},
		Durable: []Durable{{From: addr.Prefix{Addr: 0x20000, Bits: 16}, To: addr.Exact(9), Mode: Async, Dir: "/e"}},
	}
	c := tab.encode(9)
	wantBody := "\x34\x12\x00\x00\x01\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00"
	if got := string(c.body[:bodyAtSum]); got != wantBody {
		t.Errorf("body %q\nwant %q", got, wantBody)
	}
	pad := func(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }
	want := pad("16.16", 64) + pad("me", 64) + pad("b", 64) + pad("c:1", 256) +
		"\x00\x00\x03\x00\x10\x01\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00" + pad("d", 96) +
		"\x07\x00\x00\x00\x20\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00" + pad("", 96) +
		pad("\x00\x00\x02\x00\x09\x00\x00\x00\x10\x20\x01", 16) + pad("/e", 240)
	if n := le.Uint32(c.body[bodyAtDurable:]); n != 1 {
		t.Errorf("%d durable rules, want 1", n)
	}
	if string(c.rest) != want {
		t.Errorf("rest %q\nwant %q", c.rest, want)
	}
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	rng := testutil.Rand(t)
	tables := []*Table{sample(t), {Key: key}, full()}
	for range 300 {
		tables = append(tables, random(rng))
	}
	for _, tab := range tables {
		tab.Generation = 1 + rng.Uint64N(1<<63)
		c := tab.encode(tab.Generation)
		got, err := c.decode(key)
		if err != nil {
			t.Fatalf("%+v: %v", tab, err)
		}
		if !same(got, tab) {
			t.Fatalf("got  %+v\nwant %+v", got, tab)
		}
	}
}

// mend makes the checksum right, so that a test gets behind it.
func (c *content) mend() { le.PutUint32(c.body[bodyAtSum:], c.sum()) }

func TestDamage(t *testing.T) {
	host, rule := restAtHosts+hostSize, restAtHosts+2*hostSize+2*ruleSize // the second, the third
	durable := restAtHosts + 2*hostSize + 4*ruleSize + durableSize        // the second
	put32 := func(b []byte, v uint32) { le.PutUint32(b, v) }
	for _, c := range []struct {
		what   string
		change func(*content)
		want   string
	}{
		{"checksum", func(c *content) { c.body[bodyAtSum]++ }, "its checksum is"},
		{"key", func(c *content) { c.body[bodyAtKey]++ }, "it is of key 2001, want 2000"},
		{"generation", func(c *content) { c.body[bodyAtGeneration] = 0 }, "its generation is 0"},
		{"more hosts", func(c *content) { c.body[bodyAtHosts]++ }, "3 hosts, 4 rules and 2 durable rules take 2048 bytes, there are 1728"},
		{"more rules", func(c *content) { c.body[bodyAtRules]++ }, "2 hosts, 5 rules and 2 durable rules take 1840 bytes"},
		{"too many hosts", func(c *content) { put32(c.body[bodyAtHosts:], 4097) }, "4097 hosts and 4 rules, want at most 4096 and 65536"},
		{"all the rules", func(c *content) { put32(c.body[bodyAtRules:], 1<<32-1) }, "4294967295 rules, want at most"},
		{"more durable rules", func(c *content) { c.body[bodyAtDurable]++ }, "3 durable rules take 1984 bytes"},
		{"too many durable rules", func(c *content) { put32(c.body[bodyAtDurable:], 1<<32-1) }, "4294967295 durable rules, want at most 4096"},
		{"durable rule's bits", func(c *content) { c.rest[durable+durableAtFromBits] = 33 }, "durable rule 2, 0.0.4.0 to 0.0.3.*: from: prefix of 33 bits"},
		{"bits behind a durable rule's prefix", func(c *content) { c.rest[durable+durableAtTo] = 1 }, "to: address 0x301 has bits behind the prefix"},
		{"mode", func(c *content) { c.rest[durable+durableAtMode] = 2 }, "mode 2: want 0 to 1"},
		{"zeros of a durable rule", func(c *content) { c.rest[durable+durableAtDir-1] = 1 }, "durable rule 2: route table is damaged: bytes that want to be 0 are not"},
		{"dir without end", func(c *content) { fill(c.rest[durable+durableAtDir : durable+durableSize]) }, "durable rule 2: "},
		{"no dir", func(c *content) { clear(c.rest[durable+durableAtDir : durable+durableSize]) }, "want an absolute path"},
		{"durable rule twice", func(c *content) {
			copy(c.rest[durable:], c.rest[durable-durableSize:durable])
		}, "durable rule 2: its prefixes are those of durable rule 1"},
		{"body", func(c *content) { c.body[95] = 1 }, "does not end with zeros"},
		{"cut off", func(c *content) { c.rest = c.rest[:len(c.rest)-1] }, "there are 1727"},
		{"cut off early", func(c *content) { c.rest = c.rest[:restAtSelf] }, "there are 64"},
		{"template", func(c *content) { copy(c.rest[restAtTemplate:], "8.8.8.9") }, "brings the sum to 33"},
		{"template, another way", func(c *content) { copy(c.rest[restAtTemplate:], "8.8.8.08") }, `template "8.8.8.08" is written "8.8.8.8"`},
		{"template without end", func(c *content) { fill(c.rest[:restAtSelf]) }, "template: "},
		{"self without end", func(c *content) { fill(c.rest[restAtSelf:restAtHosts]) }, "self: "},
		{"self with a tail", func(c *content) { c.rest[restAtHosts-1] = 1 }, "is not ended by zeros"},
		{"host's name", func(c *content) { c.rest[host] = 0 }, "host 2: "},
		{"host's address", func(c *content) { fill(c.rest[host+hostAtAddress : host+hostSize]) }, "host 2: "},
		{"two hosts of one name", func(c *content) { copy(c.rest[host:], c.rest[restAtHosts:restAtHosts+64]) }, `host 2: name "game-1" is that of host 1`},
		{"rule's host", func(c *content) { c.rest[rule+ruleAtHost] = 2 }, "rule 3: route table is damaged: host number 2, there are 2"},
		{"self is listed", func(c *content) { put32(c.rest[rule+ruleAtHost:], selfHost) }, "rule 3: route table is damaged: host number 4294967295"},
		{"no self", func(c *content) {
			put32(c.rest[rule+ruleAtHost:], selfHost)
			clear(c.rest[restAtSelf:restAtHosts])
		}, "host number 4294967295"},
		{"bits", func(c *content) { c.rest[rule+ruleAtBits] = 33 }, "prefix of 33 bits"},
		{"bits behind the prefix", func(c *content) { c.rest[rule+ruleAtBits] = 31 }, "has bits behind the prefix"},
		{"release", func(c *content) { c.rest[rule+ruleAtRelease] = 2 }, "release 2"},
		{"priority", func(c *content) { c.rest[rule+ruleAtPriority] = 8 }, "priority 8"},
		{"flags", func(c *content) { c.rest[rule+ruleAtFlags] |= 2 }, "rule 3: route table is damaged: bytes that want to be 0 are not"},
		{"zeros", func(c *content) { c.rest[rule+ruleAtZero4+3] = 1 }, "bytes that want to be 0 are not"},
		{"desc without end", func(c *content) { fill(c.rest[rule+ruleAtDesc : rule+ruleSize]) }, "is not ended by zeros"},
		{"desc", func(c *content) { c.rest[rule+ruleAtDesc] = 0xff }, "of UTF-8"},
		{"prefix twice", func(c *content) {
			copy(c.rest[rule:], c.rest[rule-ruleSize:rule])
		}, "rule 3: prefix *.*.*.* is that of rule 2"},
	} {
		t.Run(c.what, func(t *testing.T) {
			bytes := sample(t).encode(1)
			c.change(&bytes)
			if c.what != "checksum" {
				bytes.mend()
			}
			got, err := bytes.decode(key)
			if got != nil || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want ErrDamaged with %q", got, err, c.want)
			}
		})
	}
}

func fill(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}

// FuzzDecode: whatever the bytes, they are damaged, or are just what the table
// that they give is written as. The checksum is made right: it stops nobody who
// means it.
func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2)) // the same ones each time
	for _, tab := range []*Table{sample(f), {Key: key}, random(rng), random(rng)} {
		c := tab.encode(7)
		f.Add(c.body[:], c.rest, true)
		f.Add(c.body[:], c.rest[:len(c.rest)/2], false)
	}
	f.Fuzz(func(t *testing.T, body, rest []byte, mend bool) {
		c := content{rest: rest}
		copy(c.body[:], body)
		if mend {
			c.mend()
		}
		tab, err := c.decode(key)
		if err != nil {
			if tab != nil || !errors.Is(err, ErrDamaged) {
				t.Fatalf("got %v, %v", tab, err)
			}
			return
		}
		again := tab.encode(tab.Generation)
		if again.body != c.body || !bytes.Equal(again.rest, c.rest) {
			t.Fatalf("%+v is written\n%x\n%x\nand was\n%x\n%x", tab, again.body, again.rest, c.body, c.rest)
		}
		for _, r := range tab.Rules {
			if m, ok := tab.Lookup(r.Prefix.Addr); ok == r.Prefix.Addr.IsNone() || ok && m.Prefix.Bits < r.Prefix.Bits {
				t.Fatalf("%v: got %+v, %v", r.Prefix, m, ok)
			}
		}
	})
}
