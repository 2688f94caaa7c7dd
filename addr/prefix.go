// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"math/bits"
	"strconv"
	"strings"
)

// Prefix stands for all addresses whose first Bits bits, of 32, are those of
// Addr. It needs no template: the bits above those of a short template are
// zero in every address and count as given. The zero Prefix stands for all
// addresses.
type Prefix struct {
	// Addr is the first address: its bits after the prefix are zero.
	Addr Addr
	// Bits is how many bits are given, 0..32. With 32 the prefix stands for
	// Addr alone.
	Bits uint8
}

// Exact returns the prefix that stands for a alone.
func Exact(a Addr) Prefix { return Prefix{Addr: a, Bits: addrBits} }

// ParsePrefix reads a prefix: an address in which the last segments, or all, may
// be '*'. A text without '*' stands for one address. The error is a
// [*ParseError].
func (t Template) ParsePrefix(s string) (Prefix, error) {
	a, free, err := t.scan(kindPrefix, s)
	if err != nil {
		return Prefix{}, err
	}
	return Prefix{Addr: a, Bits: uint8(addrBits - free)}, nil
}

// FormatPrefix writes a prefix as [Template.ParsePrefix] reads it. One that t
// has no stars for, as it ends inside a segment or outside the template, is
// written as its address and its number of bits: "0.0.3.128/25".
func (t Template) FormatPrefix(p Prefix) string {
	text := t.Format(p.Addr)
	if p.IsExact() {
		return text
	}
	stars, ok := t.stars(p)
	if !ok {
		return text + "/" + strconv.Itoa(int(p.Bits))
	}
	for range stars {
		text = text[:max(0, strings.LastIndexByte(text, '.'))]
	}
	return strings.TrimPrefix(text+strings.Repeat(".*", stars), ".")
}

// stars returns how many segments p leaves open, if it leaves only whole ones.
func (t Template) stars(p Prefix) (n int, ok bool) {
	free := p.free()
	segs := t.segments()
	open := segs.lows & (1<<free - 1)
	starts := free == segs.top || segs.lows>>free&1 != 0
	return bits.OnesCount32(open), starts && t.Contains(p.Addr)
}

// String writes the prefix after the [Default] template.
func (p Prefix) String() string { return Default.FormatPrefix(p) }

// IsExact tells whether p stands for a single address.
func (p Prefix) IsExact() bool { return p.Bits >= addrBits }

// Contains tells whether p stands for a.
func (p Prefix) Contains(a Addr) bool {
	return uint64(a)>>p.free() == uint64(p.Addr)>>p.free()
}

// free is the number of bits that are not given.
func (p Prefix) free() int { return addrBits - min(int(p.Bits), addrBits) }
