// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// newRand returns a generator whose seed is logged; SKYBUS_SEED replays one.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SKYBUS_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SKYBUS_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("SKYBUS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// randomWidths returns the widths of a random template.
func randomWidths(r *rand.Rand) []int {
	var widths []int
	for left := 1 + r.IntN(addrBits); left > 0; {
		w := 1 + r.IntN(left)
		if r.IntN(2) == 0 {
			w = 1 + r.IntN(min(left, 4)) // many segments, too
		}
		widths = append(widths, w)
		left -= w
		if r.IntN(8) == 0 {
			break
		}
	}
	return widths
}

func randomTemplate(t *testing.T, r *rand.Rand) (Template, []int) {
	t.Helper()
	widths := randomWidths(r)
	text := ""
	for i, w := range widths {
		if i > 0 {
			text += "."
		}
		text += strconv.Itoa(w)
	}
	tmpl, err := ParseTemplate(text)
	if err != nil || tmpl.String() != text {
		t.Fatalf("template %q: read as %v, %v", text, tmpl, err)
	}
	return tmpl, widths
}

// naiveFormat writes an address the slow way: segment by segment from the right.
func naiveFormat(widths []int, a Addr) string {
	text, rest := "", uint64(a)
	for i := len(widths) - 1; i >= 0; i-- {
		part := strconv.FormatUint(rest&(1<<widths[i]-1), 10)
		if text != "" {
			part += "."
		}
		text = part + text
		rest >>= widths[i]
	}
	return text
}

func TestRandomAddressesRoundTrip(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		tmpl, widths := randomTemplate(t, r)
		a := Addr(r.Uint64() & (1<<tmpl.Bits() - 1))
		text := tmpl.Format(a)
		if want := naiveFormat(widths, a); text != want {
			t.Fatalf("%v: Format(%d) = %q, want %q", tmpl, a, text, want)
		}
		if got, err := tmpl.Parse(text); err != nil || got != a || !tmpl.Contains(a) {
			t.Fatalf("%v: Parse(%q) = %d, %v; want %d", tmpl, text, got, err, a)
		}
	}
}

func TestRandomAddressesOutsideTheTemplate(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		tmpl, _ := randomTemplate(t, r)
		a := Addr(r.Uint32())
		got, err := tmpl.Parse(tmpl.Format(a))
		if (err == nil) != tmpl.Contains(a) || (err == nil && got != a) {
			t.Fatalf("%v: %q, contained %v, read as %d, %v", tmpl, tmpl.Format(a), tmpl.Contains(a), got, err)
		}
	}
}

func TestRandomPrefixesRoundTrip(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		tmpl, widths := randomTemplate(t, r)
		free := 0
		for i := range r.IntN(len(widths) + 1) {
			free += widths[len(widths)-1-i]
		}
		a := Addr(r.Uint64() & (1<<tmpl.Bits() - 1) >> free << free)
		p := Prefix{Addr: a, Bits: uint8(addrBits - free)}
		text := tmpl.FormatPrefix(p)
		if got, err := tmpl.ParsePrefix(text); err != nil || got != p {
			t.Fatalf("%v: ParsePrefix(%q) = %+v, %v; want %+v", tmpl, text, got, err, p)
		}
		if other := Addr(r.Uint32()); p.Contains(other) != (uint64(other)>>free == uint64(a)>>free) {
			t.Fatalf("%+v contains %v: %v", p, other, p.Contains(other))
		}
	}
}
