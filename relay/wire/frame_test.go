// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestEachFrameIsReadAsItWasWritten(t *testing.T) {
	seen := map[Type]bool{}
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			h, err := ParseHeader(s.frame)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Header{Length: len(s.frame) - HeaderSize, Type: s.typ, Flags: s.flags, Stream: s.stream}); h != want {
				t.Errorf("the header is %+v, want %+v", h, want)
			}
			got, err := s.parse(s.frame[HeaderSize:])
			if err != nil || got != s.want {
				t.Errorf("read %+v, %v\nwritten %+v", got, err, s.want)
			}
		})
		seen[s.typ] = true
	}
	for typ := TypeHello; typ < typeEnd; typ++ {
		if !seen[typ] {
			t.Errorf("there is no sample of %v", typ)
		}
	}
}

// A frame is appended to whatever is there, and that stays as it is.
func TestFramesFollowEachOther(t *testing.T) {
	var stream []byte
	for _, s := range samples() {
		stream = append(stream, s.frame...)
	}
	b := AppendHello([]byte("before"), &sampleHello)
	if string(b[:6]) != "before" || string(b[6:]) != string(AppendHello(nil, &sampleHello)) {
		t.Errorf("a frame behind other bytes is % x", b)
	}
	for _, s := range samples() {
		h, err := ParseHeader(stream)
		if err != nil || h.Type != s.typ {
			t.Fatalf("found %+v, %v where a frame %s was written", h, err, s.name)
		}
		stream = stream[HeaderSize+h.Length:]
	}
	if len(stream) != 0 {
		t.Errorf("%d bytes are left", len(stream))
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	frames := map[string][]byte{}
	for _, s := range samples() {
		frames[s.name] = s.frame
	}
	tests := []struct {
		name, frame string
		at          int
		with        []byte
		want        string
	}{
		{"another protocol", "ping", 0, []byte("GET / HTTP/1.1\r\n"), "this is no relay"},
		{"the complement is wrong by a bit", "ping", 12, []byte{0xf6}, "this is no relay"},
		{"type 0", "ping", 4, []byte{0}, "type 0 is unknown"},
		{"the type after the last", "ping", 4, []byte{byte(typeEnd)}, "type 16 is unknown"},
		{"type 255", "ping", 4, []byte{255}, "type 255 is unknown"},
		{"a flag where there is none", "ping", 5, []byte{1}, "PING frame with flags"},
		{"an unknown flag", "resume", 5, []byte{2}, "RESUME frame with flags"},
		{"a known and an unknown flag", "resume", 5, []byte{3}, "RESUME frame with flags"},
		{"RESUME's flag on an ACK", "ack", 5, []byte{1}, "ACK frame with flags"},
		{"the first reserved byte", "data", 6, []byte{1}, "DATA frame with flags"},
		{"the second reserved byte", "data", 7, []byte{1}, "DATA frame with flags"},
		{"HELLO of a stream", "hello", 8, []byte{1}, "HELLO frame of stream 1"},
		{"PONG of a stream", "pong", 11, []byte{1}, "PONG frame of stream 16777216"},
		{"BYE of a stream", "bye", 8, []byte{9}, "BYE frame of stream 9"},
		{"OPEN of none", "open", 8, []byte{0}, "OPEN frame of no stream"},
		{"DATA of none", "data", 8, []byte{0}, "DATA frame of no stream"},
		{"WANT of none", "want", 8, []byte{0}, "WANT frame of no stream"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseHeader(patch(frames[tt.frame], tt.at, tt.with...))
			wantProtocol(t, err, tt.want)
		})
	}
}

// header returns a frame's first bytes with the length of any body.
func header(t Type, length uint32) []byte {
	stream := uint32(0)
	if ofStream[t] {
		stream = 1
	}
	b := Begin(nil, t, 0, stream)
	binary.LittleEndian.PutUint32(b, length)
	binary.LittleEndian.PutUint32(b[12:], ^length)
	return b
}

// Each type has a least and a greatest length; beyond them no buffer is waited
// for. The numbers stand in docs/format/relay.md or follow from it.
func TestLengthsOfBodies(t *testing.T) {
	limits := map[Type][2]uint32{
		TypeHello: {27, 792}, TypeRefuse: {3, 258}, TypeOpen: {50, 50}, TypeResume: {36, 36}, TypeData: {24, 65536}, TypeFrag: {29, 28 + 32768},
		TypeAck: {36, 36}, TypeGap: {27, 282}, TypeClose: {8, 8}, TypeWant: {12, 12}, TypePing: {8, 8}, TypePong: {8, 8}, TypeBye: {3, 258},
		TypeJoin: {5, 260}, TypeJoined: {4, 4 + 255 + 16*513},
	}
	for typ := TypeHello; typ < typeEnd; typ++ {
		least, most := limits[typ][0], limits[typ][1]
		for _, n := range []uint32{least, most} {
			if h, err := ParseHeader(header(typ, n)); err != nil || h.Length != int(n) {
				t.Errorf("%v of %d bytes: %+v, %v", typ, n, h, err)
			}
		}
		for _, n := range []uint32{0, least - 1, most + 1, MaxBody + 1, 1 << 31, 1<<32 - 1} {
			_, err := ParseHeader(header(typ, n))
			wantProtocol(t, err, typ.String()+" frame of ")
		}
	}
}

// A body that is one byte short, or one long, is an error of its own, even where
// the header allows that length.
func TestBodiesOfOtherLengths(t *testing.T) {
	for _, s := range samples() {
		body := s.frame[HeaderSize:]
		for n := range body {
			got, err := s.parse(body[:n:n])
			if s.typ == TypeData && n == dataHeader || s.typ == TypeFrag && n > fragHeader {
				continue // no record, and a shorter part: whole as they are
			}
			if s.typ == TypeData && (n == dataHeader+RecordHeader+3 || n == dataHeader+2*RecordHeader+3) {
				continue // one record, and two
			}
			if err == nil {
				t.Errorf("%s: %d of %d bytes are read as %+v", s.name, n, len(body), got)
			} else {
				wantProtocol(t, err, "")
			}
		}
		if s.typ == TypeFrag {
			continue // a longer part
		}
		if got, err := s.parse(append(body[:len(body):len(body)], 0)); err == nil {
			t.Errorf("%s: with a byte behind it is read as %+v", s.name, got)
		} else {
			wantProtocol(t, err, "")
		}
	}
}

func TestNamesOfTypesAndCodes(t *testing.T) {
	if s := Type(200).String(); s != "Type(200)" {
		t.Errorf("an unknown type is called %q", s)
	}
	if s := Code(4000).String(); s != "code 4000" {
		t.Errorf("an unknown code is called %q", s)
	}
	if s := Code(0).String(); s != "code 0" {
		t.Errorf("code 0 is called %q", s)
	}
	names := map[string]bool{}
	for c := CodeVersion; c < codeEnd; c++ {
		names[c.String()] = true
	}
	for typ := TypeHello; typ < typeEnd; typ++ {
		names[typ.String()] = true
	}
	if want := int(codeEnd) - 1 + int(typeEnd) - 1; len(names) != want || names[""] {
		t.Errorf("%d names for %d types and codes", len(names), want)
	}
}

// A text longer than a frame has room for is cut; the frame stays whole.
func TestLongTextsAreCut(t *testing.T) {
	long := strings.Repeat("x", MaxText+50)
	b := AppendNotice(nil, TypeBye, 0, Notice{Code: CodeStopping, Text: long})
	if _, err := ParseHeader(b); err != nil {
		t.Fatal(err)
	}
	n, err := ParseNotice(b[HeaderSize:])
	if err != nil || n.Text != long[:MaxText] {
		t.Errorf("%v, a text of %d bytes", err, len(n.Text))
	}
}
