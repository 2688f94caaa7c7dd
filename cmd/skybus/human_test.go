// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSizesAreShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 512: "512", 1023: "1023", 1024: "1K", 1536: "1.5K", 65536: "64K", 65537: "64.0K",
		1 << 20: "1M", 20480000: "19.5M", 1 << 30: "1G", 150<<20 + 1: "150M", 1<<64 - 1: "16E",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestRatesAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.2", 1: "1", 17.4: "17", 999: "999", 1200: "1.2k", 3.4e6: "3.4M"} {
		if got := rate(v); got != want {
			t.Errorf("rate(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestAgeIsCoarse(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 3 * time.Hour: "3h", 47 * time.Hour: "47h", 49 * time.Hour: "2d",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%s ago: %s, want %s", d, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "-" {
		t.Errorf("never: %s", got)
	}
}

func TestCountsAgreeWithTheirThings(t *testing.T) {
	for want, got := range map[string]string{
		"1 message": count(1, "message"), "0 messages": count(uint64(0), "message"), "2 addresses": count(2, "address"),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestNothingDrivesTheTerminal(t *testing.T) {
	if got := printable("网关\x1b[31m\x07\u202e"); got != `网关\x1b[31m\a\u202e` {
		t.Errorf("printable: %s", got)
	}
	if got := excerpt([]byte("say \"hi\"\n\xff\x00")); got != `say "hi"\n\xff\x00` {
		t.Errorf("excerpt: %s", got)
	}
}

func TestTableAlignsWideCharacters(t *testing.T) {
	tab := newTable("NAME", ">COUNT", "DESC")
	tab.row("网关一", "7", "x")
	tab.row("a", "1234567", "")
	want := []string{
		"NAME      COUNT  DESC",
		"网关一        7  x",
		"a       1234567",
	}
	for i, l := range tab.lines() {
		if l != want[i] {
			t.Errorf("line %d: %q, want %q", i, l, want[i])
		}
	}
}

func TestSparseDumpLeavesOutZeros(t *testing.T) {
	data := make([]byte, 200000)
	copy(data, "first")
	data[100000] = 'x'
	var b bytes.Buffer
	if err := dumpSparse(&b, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	want := "00000000: 6669 7273 7400 0000 0000 0000 0000 0000  first...........\n*\n" +
		"000186a0: 7800 0000 0000 0000 0000 0000 0000 0000  x...............\n*\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestKeyIsDecimalOrHexadecimal(t *testing.T) {
	for text, want := range map[string]domainKey{"1": 1, "010": 10, "1000": 1000, "0x3e8": 1000, "0X3E8": 1000, "2147483647": 1<<31 - 1} {
		var k domainKey
		if err := k.Set(text); err != nil || k != want {
			t.Errorf("%s: %d, %v", text, k, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "1e3", "1_000", "0b1", "0o7", "0x", "2147483648", "99999999999999999999", "x"} {
		var k domainKey
		if err := k.Set(text); err == nil || !strings.Contains(err.Error(), "want") || k != 0 {
			t.Errorf("%q: %d, %v", text, k, err)
		}
	}
}
