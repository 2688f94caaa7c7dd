// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding/hex"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestBytesThatAreRefused(t *testing.T) {
	r := registry(t, Limits{MaxSize: 1 << 16, MaxElements: 1000, MaxDepth: 8})
	tests := []struct {
		name string
		data string // hexadecimal
		e    Encoding
		typ  uint32
		want error
		says string
	}{
		{"bytes of nothing", "00", None, 0, ErrData, "1 bytes with encoding none"},
		{"text with a type", "61", Text, 5, ErrData, "type id 0x5 with encoding text"},
		{"too long", strings.Repeat("00", 1<<16+1), Raw, 0, ErrTooLarge, "65537 bytes, want at most 65536"},
		{"protobuf without format", "00", Proto, 5, ErrUnknownType, "protobuf: nobody has added a format"},
		{"encoding 9", "00", 9, 0, ErrUnknownType, "encoding 9"},
		{"an unknown type", "a0", CBOR, 77, ErrUnknownType, "id 0x4d"},
		{"no CBOR", "", CBOR, 0, ErrData, "EOF"},
		{"an int for a struct", "05", CBOR, ID("flat"), ErrData, "decode flat"},
		{"two values", "0505", CBOR, 0, ErrData, "1 bytes of extraneous data"},
		{"a text that ends", "6561", CBOR, 0, ErrData, "unexpected EOF"},
		{"a length of 2^60", "9b1000000000000000ffffffffff", CBOR, 0, ErrTooLarge, "1000"},
		{"a text of 2^60", "7b1000000000000000ffffffffff", CBOR, 0, ErrData, "EOF"},
		{"a map of 2^63", "bb8000000000000000ffffffffff", CBOR, 0, ErrData, "too large"},
		{"items of 2^60", "9b1000000000000000ffffffffff", CBOR, ID("items"), ErrTooLarge, "1000"},
		{"no definite length", "9fff", CBOR, 0, ErrData, "indefinite-length array"},
		{"a big number", "c249ffffffffffffffffff", CBOR, 0, ErrData, "bignum"},
		{"below an int64", "3bffffffffffffffff", CBOR, 0, ErrData, "-18446744073709551616"},
		{"a simple value", "f0", CBOR, 0, ErrData, "simple value 16"},
		{"a key that is no text", "a10102", CBOR, 0, ErrData, "type string"},
		{"nested tags", strings.Repeat("d820", 20) + "00", CBOR, 0, ErrTooLarge, "nested"},
		{"a time that is none", "c06161", CBOR, 0, ErrData, "cannot set a for time.Time"},
		{"an empty box", "da534b594280", CBOR, 0, ErrData, "want an array of a type's id and a value"},
		{"a box of a text", "da534b5942820061", CBOR, 0, ErrData, "EOF"},
		{"a box with a text for an id", "da534b594282616100", CBOR, 0, ErrData, "begins with 0x61"},
		{"a box with a long id", "da534b5942821b000000000000000500", CBOR, 0, ErrData, "want 32 bits"},
		{"a box of an unknown type", "81da534b5942820500", CBOR, 0, ErrUnknownType, "id 0x5"},
		{"elements one after the other", "82" + strings.Repeat("9901f5"+strings.Repeat("00", 501), 2), CBOR, 0, ErrTooLarge, "1004 elements, want at most 1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := hex.DecodeString(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			v, err := r.Decode(data, tt.e, tt.typ)
			if wantError(t, err, tt.want, tt.says); v != nil {
				t.Errorf("beside the error there is %v", v)
			}
		})
	}
}

// What other writers may write is taken.
func TestBytesThatAreTaken(t *testing.T) {
	r := registry(t, Limits{})
	tests := []struct {
		name, data string
		want       any
	}{
		{"undefined", "f7", nil},
		{"a short float", "f93c00", 1.0},
		{"a tag that nobody knows", "d8206161", "a"},
		{"a box with an id of one byte", "da534b59428218ff00", nil},
		{"a key twice", "a2616101616102", map[string]any{"a": int64(2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := hex.DecodeString(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Decode(data, CBOR, 0)
			if strings.HasPrefix(tt.name, "a box") {
				wantError(t, err, ErrUnknownType, "id 0xff")
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("it is %#v, %v, want %#v", got, err, tt.want)
			}
		})
	}
}

// A wide is large in memory and one byte on the wire.
type wide struct{ A [4096]int64 }

type wides struct {
	Slice []wide
	Map   map[string]wide
	Ptr   *wide
	Any   []any
}

// What a few bytes can make the decoder allocate is bounded by their number.
func TestBytesCannotAskForMuchMemory(t *testing.T) {
	r := NewRegistry(Limits{})
	for _, err := range []error{Register[wides](r, "wides"), Register[wide](r, "wide")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const n = 10_000
	boxed, _, _, err := r.Append(nil, []any{(*wide)(nil) == nil})
	if err != nil || len(boxed) == 0 {
		t.Fatal(err)
	}
	one, _, _, err := r.Append(nil, []any{wide{}})
	if err != nil {
		t.Fatal(err)
	}
	head := string(one[1 : 1+len(boxHead)+5]) // the box up to its content
	tests := []struct {
		name, data string
		typ        uint32
		refused    bool
	}{
		{"structs in a slice", "\xa1\x65Slice\x99\x27\x10" + strings.Repeat("\xa0", n), ID("wides"), true},
		{"structs in a map", "\xa1\x63Map\xb9\x27\x10" + strings.Repeat("\x60\xa0", n), ID("wides"), true},
		{"registered types", "\x99\x27\x10" + strings.Repeat(head+"\xa0", n), 0, true},
		{"those in a struct", "\xa1\x63Any\x99\x27\x10" + strings.Repeat(head+"\xa0", n), ID("wides"), true},
		{"small maps", "\x99\x27\x10" + strings.Repeat("\xa1\x60\x00", n), 0, false},
		{"empty slices", "\x99\x27\x10" + strings.Repeat("\x80", n), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := r.Decode([]byte(tt.data), CBOR, tt.typ)
			runtime.ReadMemStats(&after)
			if tt.refused {
				wantError(t, err, ErrTooLarge)
			} else if err != nil {
				t.Error(err)
			}
			// The copy of a registered type that the caller gets counts twice.
			got, most := after.TotalAlloc-before.TotalAlloc, uint64(3*(slack+unfold*len(tt.data)))
			if got > most {
				t.Errorf("%d bytes took %d, want at most %d", len(tt.data), got, most)
			}
		})
	}
}

func TestCountOfElements(t *testing.T) {
	tests := []struct {
		name, data      string
		elements, pairs uint64
		ok              bool
	}{
		{"nothing", "", 0, 0, true},
		{"nested", "\x82\x83\x00\x01\x02\xa1\x61a\x81\x00", 6, 1, true},
		{"wide lengths", "\x98\x02\x00\xfb\x00\x00\x00\x00\x00\x00\x00\x00", 2, 0, true},
		{"strings are passed over", "\x44\x9a\x9a\x9a\x9a\x62\xa1\xa1", 0, 0, true},
		{"tags", "\xc1\x81\xd8\x20\xa0", 1, 0, true},
		{"a head that ends", "\x19\x01", 0, 0, false},
		{"a string that ends", "\x42\x01", 0, 0, false},
		{"no definite length", "\x9f\xff", 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if e, p, ok := count([]byte(tt.data)); ok != tt.ok || e != tt.elements || p != tt.pairs {
				t.Errorf("%d elements, %d pairs, %v; want %d, %d, %v", e, p, ok, tt.elements, tt.pairs, tt.ok)
			}
		})
	}
}

func TestLimitsHaveBounds(t *testing.T) {
	if got, want := NewRegistry(Limits{}).Limits(), (Limits{16 << 20, 64, 1 << 20}); got != want {
		t.Errorf("the default is %+v, want %+v", got, want)
	}
	if got, want := NewRegistry(Limits{-1, 1, 2}).Limits(), (Limits{1, 4, 16}); got != want {
		t.Errorf("small ones are %+v, want %+v", got, want)
	}
	if got, want := NewRegistry(Limits{1 << 40, 1 << 40, 1 << 40}).Limits(), (Limits{1 << 30, 1024, 1 << 30}); got != want {
		t.Errorf("large ones are %+v, want %+v", got, want)
	}
}
