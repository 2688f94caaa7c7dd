// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestNamesOfFramings(t *testing.T) {
	names := map[string]Standard{"2": Length2, "4": Length4, "varint": Varint, "line": Line, "raw": Raw}
	for name, want := range names {
		f, err := Parse(name)
		if err != nil || f != Framing(want) {
			t.Errorf("Parse(%q) is %v, %v, want %v", name, f, err, want)
		}
		if want.String() != name {
			t.Errorf("%d is called %q, want %q", want, want, name)
		}
	}
	for _, name := range []string{"", "3", "LINE", "raw ", "line,raw"} {
		if f, err := Parse(name); f != nil || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) ||
			!strings.Contains(err.Error(), "2, 4, varint, line, raw") {
			t.Errorf("Parse(%q) is %v, %v, want an error that says the name and all that there are", name, f, err)
		}
	}
	if got := Standard(77).String(); got != "framing 77" {
		t.Errorf("framing 77 is called %q", got)
	}
}

func TestAFramingThatThereIsNot(t *testing.T) {
	if p, n, err := Standard(77).Split([]byte("abc"), 10); p != nil || n != 0 {
		t.Errorf("Split is %q, %d", p, n)
	} else {
		wantError(t, err, ErrMalformed, "framing 77", "varint")
	}
	dst, err := Standard(77).Append([]byte("x"), []byte("abc"))
	wantError(t, err, ErrMalformed, "framing 77")
	if string(dst) != "x" {
		t.Errorf("dst has become %q", dst)
	}
}

// own is a framing of a program's own.
type own struct{ Standard }

// said is one that does not say what it can carry.
type said struct{ Framing }

func TestWhichFramingsCarryAnyBytes(t *testing.T) {
	for f, want := range map[Framing]bool{
		Length2: true, Length4: true, Varint: true, Line: false, Raw: false, Standard(77): false,
		own{Length4}: true, own{Line}: false, said{Length4}: false, nil: false,
	} {
		if Binary(f) != want {
			t.Errorf("Binary(%v) is %v, want %v", f, !want, want)
		}
	}
}

// A splitCase is what one Split gives.
type splitCase struct {
	framing Standard
	in      string
	limit   int
	packet  string
	n       int
	err     error
	says    string
}

var splitCases = []splitCase{
	{framing: Length2, in: "", limit: 10},
	{framing: Length2, in: "\x00", limit: 10},
	{framing: Length2, in: "\x00\x00", limit: 10, n: 2},
	{framing: Length2, in: "\x00\x00", limit: 0, n: 2},
	{framing: Length2, in: "\x00\x03ab", limit: 10},
	{framing: Length2, in: "\x00\x03abcd", limit: 3, packet: "abc", n: 5},
	{framing: Length2, in: "\x00\x03", limit: 2, err: ErrTooLarge, says: "3 bytes is too large, want at most 2"},
	{framing: Length2, in: "\xff\xff", limit: math.MaxInt},
	{framing: Length2, in: "\x00\x01", limit: -5, err: ErrTooLarge, says: "at most 0"},

	{framing: Length4, in: "\x00\x00\x00", limit: 10},
	{framing: Length4, in: "\x00\x00\x00\x00x", limit: 10, n: 4},
	{framing: Length4, in: "\x00\x00\x00\x02xyz", limit: 10, packet: "xy", n: 6},
	{framing: Length4, in: "\xff\xff\xff\xff", limit: 1 << 20, err: ErrTooLarge, says: "4294967295 bytes is too large, want at most 1048576"},
	{framing: Length4, in: "\x7f\xff\xff\xffabc", limit: math.MaxInt32},

	{framing: Varint, in: "", limit: 10},
	{framing: Varint, in: "\x00", limit: 0, n: 1},
	{framing: Varint, in: "\x03abcd", limit: 3, packet: "abc", n: 4},
	{framing: Varint, in: "\x03ab", limit: 3},
	{framing: Varint, in: "\x80", limit: 128},
	{framing: Varint, in: "\x80", limit: 127, err: ErrTooLarge, says: "at least 128 bytes is too large, want at most 127"},
	{framing: Varint, in: "\x85", limit: 132, err: ErrTooLarge, says: "at least 133"},
	{framing: Varint, in: "\x80\x00", limit: 1000, err: ErrMalformed, says: "80 00"},
	{framing: Varint, in: "\x80\x80\x00", limit: math.MaxInt, err: ErrMalformed, says: "shortest form"},
	{framing: Varint, in: "\x80\x01", limit: 1000},
	{framing: Varint, in: "\x80\x80\x80", limit: 1 << 20, err: ErrTooLarge, says: "at least 2097152"},
	{framing: Varint, in: "\xff\xff\xff\xff\xff\xff\xff\xff", limit: math.MaxInt},
	{framing: Varint, in: "\xff\xff\xff\xff\xff\xff\xff\xff\xff", limit: math.MaxInt, err: ErrTooLarge, says: "at least 18446744073709551615"},
	{framing: Varint, in: "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", limit: math.MaxInt},

	{framing: Line, in: "", limit: 10},
	{framing: Line, in: "\n", limit: 0, n: 1},
	{framing: Line, in: "\r\n", limit: 0, n: 2},
	{framing: Line, in: "abc\ndef\n", limit: 10, packet: "abc", n: 4},
	{framing: Line, in: "abc\r\ndef\n", limit: 3, packet: "abc", n: 5},
	{framing: Line, in: "a\rb\r\r\n", limit: 10, packet: "a\rb\r", n: 6},
	{framing: Line, in: "abc", limit: 3},
	{framing: Line, in: "abc\r", limit: 3},
	{framing: Line, in: "abc\r\r", limit: 3, err: ErrTooLarge, says: "at least 4 bytes is too large, want at most 3"},
	{framing: Line, in: "abcd", limit: 3, err: ErrTooLarge},
	{framing: Line, in: "abcd\n", limit: 3, err: ErrTooLarge},
	{framing: Line, in: "abc\rd\n", limit: 3, err: ErrTooLarge},
	{framing: Line, in: "abcdefghi\n", limit: 3, err: ErrTooLarge},
	{framing: Line, in: "abc\n", limit: math.MaxInt, packet: "abc", n: 4},
	{framing: Line, in: "abc", limit: math.MaxInt},

	{framing: Raw, in: "", limit: 10},
	{framing: Raw, in: "", limit: 0},
	{framing: Raw, in: "abc", limit: 10, packet: "abc", n: 3},
	{framing: Raw, in: "abcdef", limit: 4, packet: "abcd", n: 4},
	{framing: Raw, in: "a", limit: 0, err: ErrTooLarge},
}

func TestSplit(t *testing.T) {
	for _, c := range splitCases {
		name := fmt.Sprintf("%v of %q up to %d", c.framing, c.in, c.limit)
		b := []byte(c.in)
		packet, n, err := c.framing.Split(b, c.limit)
		if c.err != nil {
			wantError(t, err, c.err, c.says)
			if packet != nil || n != 0 {
				t.Errorf("%s is %q, %d beside the error", name, packet, n)
			}
			continue
		}
		if err != nil || string(packet) != c.packet || n != c.n {
			t.Errorf("%s is %q, %d, %v, want %q, %d", name, packet, n, err, c.packet, c.n)
		}
		if n > 0 && cap(packet) != len(packet) {
			t.Errorf("%s: who appends to the packet writes to what follows it", name)
		}
	}
}

func TestALengthThatIsTooLargeSaysBoth(t *testing.T) {
	_, err := Length2.Append(nil, make([]byte, 1<<16))
	wantError(t, err, ErrTooLarge, "65536 bytes is too large, want at most 65535")
	_, _, err = Length2.Split([]byte{1, 0}, 255)
	var e *TooLargeError
	if !errors.As(err, &e) || *e != (TooLargeError{Length: 256, Limit: 255}) {
		t.Errorf("the error is %#v", err)
	}
	_, _, err = Varint.Split([]byte{0xff}, 5)
	if !errors.As(err, &e) || *e != (TooLargeError{Length: 255, AtLeast: true, Limit: 5}) {
		t.Errorf("the error is %#v", err)
	}
}

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		framing Standard
		packet  string
		want    string
		err     error
	}{
		{framing: Length2, packet: "", want: "\x00\x00"},
		{framing: Length2, packet: "abc", want: "\x00\x03abc"},
		{framing: Length2, packet: strings.Repeat("x", 65535), want: "\xff\xff" + strings.Repeat("x", 65535)},
		{framing: Length2, packet: strings.Repeat("x", 65536), err: ErrTooLarge},
		{framing: Length4, packet: "abc", want: "\x00\x00\x00\x03abc"},
		{framing: Length4, packet: strings.Repeat("x", 65536), want: "\x00\x01\x00\x00" + strings.Repeat("x", 65536)},
		{framing: Varint, packet: "", want: "\x00"},
		{framing: Varint, packet: strings.Repeat("x", 127), want: "\x7f" + strings.Repeat("x", 127)},
		{framing: Varint, packet: strings.Repeat("x", 128), want: "\x80\x01" + strings.Repeat("x", 128)},
		{framing: Line, packet: "", want: "\n"},
		{framing: Line, packet: "a\rb", want: "a\rb\n"},
		{framing: Line, packet: "a\nb", err: ErrMalformed},
		{framing: Line, packet: "\nb", err: ErrMalformed},
		{framing: Line, packet: "ab\r", err: ErrMalformed},
		{framing: Line, packet: "\r", err: ErrMalformed},
		{framing: Raw, packet: "abc", want: "abc"},
	} {
		got, err := c.framing.Append([]byte("dst"), []byte(c.packet))
		if !errors.Is(err, c.err) || string(got) != "dst"+c.want {
			t.Errorf("%v of %.20q is %.30q, %v, want %.30q, %v", c.framing, c.packet, got, err, c.want, c.err)
		}
		if n := len(c.packet); err == nil && c.framing.Overhead(n) != len(got)-3-n {
			t.Errorf("%v says that it adds %d bytes to %d, and adds %d", c.framing, c.framing.Overhead(n), n, len(got)-3-n)
		}
	}
}

// Whatever the sizes, and wherever the stream is cut, the packets that went in
// come out, each by itself; or the one above the limit is an error, whatever is behind it.
func TestEverySplitGivesTheSamePackets(t *testing.T) {
	rng := testutil.Rand(t)
	const limit = 300
	for _, f := range standards {
		tooLarge := 0
		for range 40 {
			var stream []byte
			var want []string
			bad := false
			for range 1 + rng.IntN(5) {
				p := randomBytes(rng, []int{0, 1, 2, 127, 128, limit - 1, limit, limit + 1, rng.IntN(limit)}[rng.IntN(9)])
				if f == Line {
					p = asLine(p)
				}
				var err error
				if stream, err = f.Append(stream, p); err != nil {
					t.Fatal(err)
				}
				if bad = bad || len(p) > limit; !bad {
					want = append(want, fmt.Sprintf("%q", p))
				}
			}
			if f == Raw {
				checkRaw(t, stream, limit)
				continue
			}
			if bad {
				want = append(want, "error(too large)")
				tooLarge++
			}
			if got := eachSplit(t, stream, func() *receiver { return packetReceiver(f, limit) }); got != strings.Join(want, " ") {
				t.Fatalf("%v: %.300q, want %.300q", f, got, want)
			}
		}
		if f != Raw && (tooLarge == 0 || tooLarge == 40) {
			t.Errorf("%v: %d of 40 streams had a packet that was too large", f, tooLarge)
		}
	}
}

// asLine returns as many bytes, of which a line can carry each.
func asLine(p []byte) []byte {
	p = bytes.ReplaceAll(p, []byte("\n"), []byte("\r"))
	if n := len(p); n > 0 && p[n-1] == '\r' {
		p[n-1] = 'x'
	}
	return p
}

// checkRaw checks that what comes out is what went in: there are no boundaries.
func checkRaw(t *testing.T, stream []byte, limit int) {
	t.Helper()
	var got []byte
	for rest := stream; ; {
		p, n, err := Raw.Split(rest, limit)
		if err != nil || len(p) != n || n > limit {
			t.Fatalf("a packet of %d bytes takes %d, %v", len(p), n, err)
		}
		if n == 0 {
			break
		}
		got, rest = append(got, p...), rest[n:]
	}
	if !bytes.Equal(got, stream) {
		t.Errorf("%d bytes have become %d", len(stream), len(got))
	}
}
