// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestHelloThatIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(h *Hello)
	}{
		{"versions the wrong way round", func(h *Hello) { h.Lowest, h.Highest = 4, 3 }},
		{"connection 4 of 4", func(h *Hello) { h.Conn = h.Conns }},
		{"connection 0 of none", func(h *Hello) { h.Conn, h.Conns = 0, 0 }},
		{"nobody's name", func(h *Hello) { h.Host = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := sampleHello
			tt.change(&h)
			_, err := ParseHello(AppendHello(nil, &h)[HeaderSize:])
			wantProtocol(t, err, "HELLO of host")
		})
	}
	h := sampleHello
	h.Expected, h.Template = "", ""
	if got, err := ParseHello(AppendHello(nil, &h)[HeaderSize:]); err != nil || got != h {
		t.Errorf("a HELLO to anybody: %+v, %v", got, err)
	}
}

// Whoever speaks several versions meets whoever speaks others: the highest common
// one is used, or both say which there are.
func TestVersionsAreNegotiated(t *testing.T) {
	tests := []struct {
		name                       string
		low, high, itsLow, itsHigh uint16
		want                       uint16 // 0: none
	}{
		{"the same", 1, 1, 1, 1, 1},
		{"an old and a new one that still knows it", 1, 1, 1, 3, 1},
		{"a new one that knows the old one", 1, 3, 1, 1, 1},
		{"an overlap", 2, 5, 4, 9, 5},
		{"they touch", 1, 4, 4, 7, 4},
		{"the other is too new", 1, 1, 2, 3, 0},
		{"the other is too old", 5, 9, 1, 4, 0},
		{"all of them", 0, math.MaxUint16, 0, math.MaxUint16, math.MaxUint16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			us := Hello{Lowest: tt.low, Highest: tt.high}
			it := Hello{Lowest: tt.itsLow, Highest: tt.itsHigh}
			ours, err := us.Common(&it)
			theirs, itsErr := it.Common(&us)
			if ours != tt.want || theirs != tt.want || (err == nil) != (tt.want != 0) || (itsErr == nil) != (err == nil) {
				t.Fatalf("version %d, %v here and %d, %v there, want %d", ours, err, theirs, itsErr, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), "this side") {
				t.Errorf("the refusal %q does not name both", err)
			}
		})
	}
}

func TestOpenThatIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *Open)
	}{
		{"sequence 0", func(o *Open) { o.First = 0 }},
		{"the next before the first", func(o *Open) { o.Next = o.First - 1 }},
		{"to itself", func(o *Open) { o.Dst = o.Src }},
		{"from nobody", func(o *Open) { o.Src = 0 }},
		{"to nobody", func(o *Open) { o.Dst = 0 }},
		{"no epoch", func(o *Open) { o.Epoch = 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := sampleOpen
			tt.change(&o)
			_, err := ParseOpen(AppendOpen(nil, 5, &o)[HeaderSize:])
			wantProtocol(t, err, "OPEN of")
		})
	}
}

func TestMoreConsumedThanStored(t *testing.T) {
	for _, typ := range []Type{TypeResume, TypeAck} {
		s := State{Epoch: 1, Stored: 5, Consumed: 6}
		_, err := ParseState(typ, AppendState(nil, typ, 0, 1, &s)[HeaderSize:])
		wantProtocol(t, err, typ.String()+" with 6 consumed and 5 stored")
	}
}

func TestRecordsOfADataFrame(t *testing.T) {
	whole := append(AppendRecord(nil, 4, 0), "four"...)
	tests := []struct {
		name    string
		records []byte
		want    string // empty: it is good
	}{
		{"one", whole, ""},
		{"an empty one", AppendRecord(nil, 0, FlagRedelivered), ""},
		{"half a header", whole[:5], "a record's header of 5 bytes"},
		{"a byte is missing", whole[:len(whole)-1], "a record of 4 bytes"},
		{"4 GiB", patch(whole, 0, 0xff, 0xff, 0xff, 0xff), "a record of 4294967295 bytes"},
		{"an unknown flag", patch(whole, 4, 2), "with flags 02"},
		{"a byte that is to be 0", patch(whole, 5, 1), "with flags 00 01"},
		{"the next", patch(whole, 6, 1), "with flags 00 00 01"},
		{"the last", patch(whole, 7, 1), "with flags 00 00 00 01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, rest, err := NextRecord(tt.records)
			if tt.want == "" {
				if err != nil || len(rest) != 0 {
					t.Errorf("%v, and %d bytes left", err, len(rest))
				}
				return
			}
			wantProtocol(t, err, tt.want)
		})
	}
	if _, _, _, err := ParseData(patch(dataFrame()[HeaderSize:], 8, make([]byte, 8)...)); err == nil {
		t.Error("DATA with sequence 0 is taken")
	}
}

func TestFragThatIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *Frag)
		ok     bool
	}{
		{"the last bytes", func(f *Frag) { f.Offset = f.Length - 4 }, true},
		{"one byte behind the end", func(f *Frag) { f.Offset = f.Length - 3 }, false},
		{"beyond the end", func(f *Frag) { f.Offset = f.Length + 1 }, false},
		{"a sum that wraps", func(f *Frag) { f.Offset, f.Length = math.MaxUint32-1, math.MaxUint32 }, false},
		{"an empty part", func(f *Frag) { f.Part = nil }, false},
		{"an empty record", func(f *Frag) { f.Length, f.Offset = 0, 0 }, false},
		{"sequence 0", func(f *Frag) { f.Seq = 0 }, false},
		{"an unknown flag", func(f *Frag) { f.Flags = 2 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := sampleFrag
			tt.change(&f)
			_, err := ParseFrag(append(AppendFrag(nil, 5, &f, len(f.Part)), f.Part...)[HeaderSize:])
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantProtocol(t, err, "FRAG of record")
		})
	}
	body := append(AppendFrag(nil, 5, &sampleFrag, 4), "part"...)[HeaderSize:]
	for at := 25; at < 28; at++ {
		_, err := ParseFrag(patch(body, at, 1))
		wantProtocol(t, err, "FRAG of record")
	}
}

func TestGaps(t *testing.T) {
	backwards := sampleGap
	backwards.To = backwards.From - 1
	_, err := ParseGap(GapRecord(&backwards))
	wantProtocol(t, err, "GAP from 13 to 12")

	for _, g := range []Gap{sampleGap, {Epoch: 3, From: 9, Reason: 2}, {Epoch: 1, From: 4, To: 4, Reason: 65535, Text: "one"}} {
		if got, err := ParseGap(GapRecord(&g)); err != nil || got != g {
			t.Errorf("a record of %+v is read as %+v, %v", g, got, err)
		}
	}
}

// Any values make the round trip, not only those of the tables.
func TestRandomValuesMakeTheRoundTrip(t *testing.T) {
	rng := testutil.Rand(t)
	text := func() string {
		b := make([]byte, rng.IntN(MaxText+1))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	for range 2000 {
		low, high := order(rng, math.MaxUint16)
		conn, conns := order(rng, math.MaxUint16-1)
		h := Hello{
			Lowest: uint16(low), Highest: uint16(high), Key: rng.Uint32(), Incarnation: rng.Uint64(), MaxRecord: rng.Uint32(),
			Conn: uint16(conn), Conns: uint16(conns + 1), Template: text(), Host: text() + "h", Expected: text(),
		}
		h.Host = h.Host[max(0, len(h.Host)-MaxText):]
		if got, err := ParseHello(AppendHello(nil, &h)[HeaderSize:]); err != nil || got != h {
			t.Fatalf("%+v\nis read as %+v, %v", h, got, err)
		}
		consumed, stored := order(rng, math.MaxInt64)
		s := State{Epoch: rng.Uint64(), Stored: stored, Consumed: consumed, Credit: rng.Uint64(), Largest: rng.Uint32()}
		if got, err := ParseState(TypeAck, AppendState(nil, TypeAck, 0, 1, &s)[HeaderSize:]); err != nil || got != s {
			t.Fatalf("%+v\nis read as %+v, %v", s, got, err)
		}
		first, next := order(rng, math.MaxInt64)
		o := Open{
			Src: rng.Uint32() | 1, Dst: rng.Uint32()&^1 | 2, Epoch: rng.Uint64() | 1, First: first + 1, Next: next + 1,
			Consumed: rng.Uint64(), Size: rng.Uint64(), Priority: uint8(rng.Uint32()), Release: uint8(rng.Uint32()),
		}
		if got, err := ParseOpen(AppendOpen(nil, 1, &o)[HeaderSize:]); err != nil || got != o {
			t.Fatalf("%+v\nis read as %+v, %v", o, got, err)
		}
	}
}

// order returns two random numbers up to most, the smaller one first.
func order(rng *rand.Rand, most uint64) (a, b uint64) {
	a, b = rng.Uint64N(most), rng.Uint64N(most)
	return min(a, b), max(a, b)
}
