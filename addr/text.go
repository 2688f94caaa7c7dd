// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The kinds of text that scan reads, as errors name them.
const (
	kindAddress = "address"
	kindPrefix  = "prefix"
)

// maxText is room for the longest text of an address: 32 digits and the dots
// between them. Fewer segments have more digits each and fewer dots.
const maxText = 2*addrBits - 1

// Parse reads an address: one decimal number a segment, joined by dots. It
// takes "0.0.0.0"; see [None]. The error is a [*ParseError].
func (t Template) Parse(s string) (Addr, error) {
	a, _, err := t.scan(kindAddress, s)
	return a, err
}

// Format writes an address. One that t does not contain is written with a
// left-most number too large for its segment, which Parse refuses: nothing is
// cut off, so two addresses never look alike.
func (t Template) Format(a Addr) string {
	var room [maxText]byte
	return string(t.Append(room[:0], a))
}

// Append writes an address as [Template.Format] does to the end of buf and
// returns the extended buffer. It allocates only when buf has no room.
func (t Template) Append(buf []byte, a Addr) []byte {
	rest := uint64(a)
	for s := t.segments(); s.top > 0; {
		buf = appendDot(buf, s.top != t.Bits())
		low, _ := s.next()
		buf = strconv.AppendUint(buf, rest>>low, 10)
		rest &= 1<<low - 1
	}
	return buf
}

func appendDot(buf []byte, dot bool) []byte {
	if dot {
		return append(buf, '.')
	}
	return buf
}

// scan reads an address or a prefix, as kind says. free is the number of low
// bits that a prefix leaves open.
func (t Template) scan(kind, s string) (a Addr, free int, err error) {
	f := fail{t: t, kind: kind, text: s}
	segs := t.segments()
	rest, more := s, true
	for n := 1; more; n++ {
		if segs.top == 0 {
			return 0, 0, f.count()
		}
		var text string
		text, rest, more = strings.Cut(rest, ".")
		low, width := segs.next()
		if text == "*" && kind == kindPrefix {
			free += width
			continue
		}
		v, ok := number(text)
		if !ok || v>>width != 0 || free > 0 {
			return 0, 0, f.segment(n, text, width)
		}
		a |= Addr(v) << low
	}
	if segs.top > 0 {
		return 0, 0, f.count()
	}
	return a, free, nil
}

// number reads a decimal number without sign. One that is too large for any
// segment is returned as some number that is too large for any segment.
func number(s string) (v uint64, ok bool) {
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if v <= math.MaxUint32 {
			v = v*10 + uint64(d)
		}
	}
	return v, s != ""
}

// fail words the errors of scan, away from its loop.
type fail struct {
	t          Template
	kind, text string
}

// count is the error for too few or too many segments.
func (f fail) count() error {
	n := 0
	if f.text != "" {
		n = strings.Count(f.text, ".") + 1
	}
	return f.error(0, ErrSyntax, "number of segments is %d, template %s has %d", n, f.t, f.t.Segments())
}

// segment is the error for the n-th segment, which is width bits wide. If
// nothing is wrong with the segment itself, a '*' stood before it.
func (f fail) segment(n int, text string, width int) error {
	if f.text == "" {
		return f.count()
	}
	v, ok := number(text)
	limit := uint64(1)<<width - 1
	switch {
	case text == "":
		return f.error(n, ErrSyntax, "is empty, template %s allows 0..%d", f.t, limit)
	case text == "*":
		return f.error(n, ErrSyntax, "is *, which only a prefix may have")
	case !ok:
		return f.error(n, ErrSyntax, "is %s, not a decimal number; template %s allows 0..%d", quote(text), f.t, limit)
	case v > limit:
		return f.error(n, ErrRange, "is %s, template %s allows 0..%d", clip(text), f.t, limit)
	}
	return f.error(n, ErrSyntax, "is %s after a *, nothing but * may follow one", clip(text))
}

func (f fail) error(n int, kind error, format string, args ...any) error {
	return &ParseError{Kind: f.kind, Text: f.text, Segment: n, Reason: fmt.Sprintf(format, args...), Err: kind}
}
