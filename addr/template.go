// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// addrBits is the width of an address.
const addrBits = 32

// The shape of 8.8.8.8; see Template.
const (
	defaultLows  = 1<<24 | 1<<16 | 1<<8 | 1<<0
	defaultWidth = addrBits
)

// Template says how addresses are written: the widths in bits of their
// segments, from the most significant one on. There are 1 to 32 segments of
// 1 to 32 bits each, and no more than 32 bits in all.
//
// The zero Template is the default one, 8.8.8.8. Templates with the same widths
// are equal under ==.
type Template struct {
	// lows has a bit set where a segment has its lowest bit, and width is the
	// sum of the widths: with both, the list needs no array. The default
	// template is stored as two zeros, which makes == hold for it too.
	lows  uint32
	width uint8
}

// Default is the template 8.8.8.8. It is the zero Template.
var Default Template

// ParseTemplate reads a template, widths joined by dots such as "8.8.8.8". The
// error is a [*ParseError].
func ParseTemplate(s string) (Template, error) {
	if s == "" {
		return Template{}, templateError(s, 0, ErrSyntax, "is empty")
	}
	var lows uint32 // of a template that has 32 bits, until the sum is known
	sum := 0
	for n, rest, more := 1, s, true; more; n++ {
		var text string
		text, rest, more = strings.Cut(rest, ".")
		width, err := segmentWidth(s, n, text)
		if err != nil {
			return Template{}, err
		}
		if sum += width; sum > addrBits {
			return Template{}, templateError(s, n, ErrRange,
				"brings the sum to %d, an address has %d bits", sum, addrBits)
		}
		lows |= 1 << (addrBits - sum)
	}
	return newTemplate(lows>>(addrBits-sum), sum), nil
}

// segmentWidth reads text, the n-th width of the template s.
func segmentWidth(s string, n int, text string) (int, error) {
	v, ok := number(text)
	switch {
	case text == "":
		return 0, templateError(s, n, ErrSyntax, "is empty, a width is 1..%d bits", addrBits)
	case !ok:
		return 0, templateError(s, n, ErrSyntax, "is %s, a width is a decimal number", quote(text))
	case v < 1 || v > addrBits:
		return 0, templateError(s, n, ErrRange, "is %s, a width is 1..%d bits", clip(text), addrBits)
	}
	return int(v), nil
}

func templateError(s string, n int, kind error, format string, args ...any) error {
	return &ParseError{Kind: "template", Text: s, Segment: n, Reason: fmt.Sprintf(format, args...), Err: kind}
}

// newTemplate stores the default template as zeros.
func newTemplate(lows uint32, width int) Template {
	if lows == defaultLows && width == defaultWidth {
		return Template{}
	}
	return Template{lows: lows, width: uint8(width)}
}

// MustTemplate is [ParseTemplate] for texts in source code: it panics on an
// error.
func MustTemplate(s string) Template {
	t, err := ParseTemplate(s)
	if err != nil {
		panic(err)
	}
	return t
}

// Bits returns the sum of the widths, 1..32.
func (t Template) Bits() int {
	if t.width == 0 {
		return defaultWidth
	}
	return int(t.width)
}

// Segments returns the number of segments, 1..32.
func (t Template) Segments() int { return bits.OnesCount32(t.segments().lows) }

// Contains tells whether a can be written after t: whether its bits above
// those of the template are all zero.
func (t Template) Contains(a Addr) bool { return uint64(a)>>t.Bits() == 0 }

// String writes the template as [ParseTemplate] reads it.
func (t Template) String() string {
	var room [maxText]byte
	buf := room[:0]
	for s := t.segments(); s.top > 0; {
		buf = appendDot(buf, s.top != t.Bits())
		_, width := s.next()
		buf = strconv.AppendUint(buf, uint64(width), 10)
	}
	return string(buf)
}

// MarshalText writes the template as [Template.String] does. It never fails.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what [Template.MarshalText] writes. On an error the
// template keeps its value.
func (t *Template) UnmarshalText(text []byte) error {
	v, err := ParseTemplate(string(text))
	if err != nil {
		return err
	}
	*t = v
	return nil
}

// segments goes through the segments of a template from left to right. top is
// the bit above those that are still to come; at 0 none are.
type segments struct {
	lows uint32
	top  int
}

func (t Template) segments() segments {
	if t.width == 0 {
		return segments{lows: defaultLows, top: defaultWidth}
	}
	return segments{lows: t.lows, top: int(t.width)}
}

// next returns the lowest bit and the width of the next segment. It must not be
// called when top is 0.
func (s *segments) next() (low, width int) {
	below := s.lows & (1<<s.top - 1)
	low = bits.Len32(below) - 1
	width = s.top - low
	s.top = low
	return low, width
}
