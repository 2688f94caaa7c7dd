// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// patched returns the record of a sample with bytes at an offset replaced.
func patched(t *testing.T, name string, at int, p ...byte) []byte {
	t.Helper()
	all := samples()
	i := slices.IndexFunc(all, func(s sample) bool { return s.name == name })
	b := all[i].write(t)
	copy(b[at:], p)
	return b
}

func TestRecordsThatAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		record []byte
		says   []string
	}{
		{"nothing", nil, []string{"offset 0", "a head of 32 bytes"}},
		{"a short head", make([]byte, HeadSize-1), []string{"offset 31", "the end of the record"}},
		{"version 2", patched(t, "send", 0, 2), []string{"offset 0", "version 2", "want version 1"}},
		{"kind 0", patched(t, "send", 1, 0), []string{"offset 1", "kind 0"}},
		{"kind 12", patched(t, "send", 1, 12), []string{"offset 1", "kind 12", "1 to 11, or 128"}},
		{"kind 127", patched(t, "send", 1, 127), []string{"offset 1", "kind 127"}},
		{"a CANCEL of session 0", patched(t, "cancel", 24, 0), []string{"offset 24", "session 0 of a CANCEL"}},
		{"a CANCEL with a payload", append(patched(t, "cancel", 4), 1), []string{"offset 32", "a CANCEL with 1 bytes behind it"}},
		{"flag 16", patched(t, "send", 2, 16), []string{"offset 2", "flags 0x10", "0x10 is reserved"}},
		{"flag 32768", patched(t, "send", 3, 0x80), []string{"offset 2", "0x8000 is reserved"}},
		{"encoding 5", patched(t, "send", 4, 5), []string{"offset 4", "encoding 5", "0 to 4"}},
		{"reserved", patched(t, "send", 7, 1), []string{"offset 6", "0x100", "want 0"}},
		{"a SEND to nobody", patched(t, "send", 8, 0, 0, 0, 0, 0), []string{"offset 8", "SEND to handle 0"}},
		{"a SEND to two", patched(t, "send-name", 8, 1), []string{"offset 8", `handle 0x1 and the name "logs"`}},
		{"a REPLY to a name", patched(t, "send-name", 1, byte(Reply), 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1), []string{"offset 2", "a handle"}},
		{"a CALL of session 0", patched(t, "call", 24, 0), []string{"offset 24", "session 0 of a CALL"}},
		{"a PING with an encoding", patched(t, "ping", 4, 1), []string{"offset 4", "encoding raw of a PING"}},
		{"a PING with a payload", append(patched(t, "ping", 4), 1, 2), []string{"offset 32", "a PING with 2 bytes behind it"}},
		{"a payload of no encoding", patched(t, "send", 4, 0), []string{"offset 32", "5 bytes with encoding none"}},
		{"CBOR of no bytes", patched(t, "reply", 4)[:HeadSize+4], []string{"offset 36", "no bytes with encoding CBOR"}},
		{"protobuf of no type", patched(t, "call-protobuf", 32, 0), []string{"type 0 with encoding protobuf"}},
		{"no type", patched(t, "reply", 4)[:HeadSize+3], []string{"offset 32", "3 bytes before the end", "a type of 4 bytes"}},
		{"a trace that ends", patched(t, "call", 4)[:59], []string{"offset 36", "a trace of 24 bytes"}},
		{"a trace of zeros", patched(t, "call", 36, make([]byte, 16)...), []string{"offset 36", "a trace id of zeros"}},
		{"a time left that ends", patched(t, "call", 4)[:67], []string{"offset 60", "a time left of 8 bytes"}},
		{"no time left", patched(t, "call", 60, make([]byte, 8)...), []string{"offset 60", "0 microseconds left"}},
		{"less than no time left", patched(t, "call", 67, 0x80), []string{"offset 60", "more than 0"}},
		{"no name", patched(t, "send-name", 4)[:HeadSize], []string{"offset 32", "the length of a name"}},
		{"an empty name", patched(t, "send-name", 32, 0), []string{"offset 32", "an empty name"}},
		{"a name that ends", patched(t, "send-name", 32, 8), []string{"offset 33", "7 bytes before the end", "a name of 8 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e Envelope
			wantFormat(t, e.Parse(tt.record), tt.says...)
		})
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	tests := []struct {
		name string
		kind Kind
		body string
		says []string
	}{
		{"nothing", Error, "", []string{"offset 0", "at least 8 bytes"}},
		{"of a CALL", Call, "\x01\x00\x00\x00\x00\x00\x00\x00", []string{"report of a CALL"}},
		{"of kind 200", 200, "\x01\x00\x00\x00\x00\x00\x00\x00", []string{"report of a kind 200"}},
		{"an ERROR of nothing", Error, "\x00\x00\x00\x00\x00\x00\x00\x00", []string{"offset 0", "code 0 of a ERROR"}},
		{"a long text", Error, "\x01\x00\x01\x10\x00\x00\x00\x00" + strings.Repeat("x", 4097), []string{"offset 2", "4097 bytes"}},
		{"a text that ends", Error, "\x01\x00\x05\x00\x00\x00\x00\x00abcd", []string{"offset 8", "4 bytes before the end", "texts of 5"}},
		{"a hop that ends", Error, "\x01\x00\x01\x00\xff\x00\x00\x00abcd", []string{"texts of 256"}},
		{"an ERROR with a name", Error, "\x01\x00\x00\x00\x00\x01\x00\x00a", []string{"offset 5", `the name "a"`}},
		{"an ERROR of a SEND", Error, "\x01\x00\x00\x00\x00\x00\x01\x00", []string{"offset 6", "ERROR of a SEND"}},
		{"a BOUNCE of nothing", Bounce, "\x01\x00\x00\x00\x00\x00\x00\x00", []string{"offset 6", "BOUNCE of a kind 0"}},
		{"a BOUNCE of a PONG", Bounce, "\x01\x00\x00\x00\x00\x00\x0a\x00", []string{"offset 6", "BOUNCE of a PONG"}},
		{"reserved", Error, "\x01\x00\x00\x00\x00\x00\x00\x01", []string{"offset 7", "want 0"}},
		{"bytes behind", Down, "\x01\x00\x01\x00\x00\x00\x00\x00abc", []string{"offset 9", "2 bytes behind the report"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ParseReport(tt.kind, []byte(tt.body))
			wantFormat(t, err, tt.says...)
		})
	}
}

// What may not be read is not written either, and the buffer stays as it was.
func TestWhatIsNotWritten(t *testing.T) {
	tests := []struct {
		name string
		env  Envelope
		says string
	}{
		{"kind 0", Envelope{}, "kind 0"},
		{"a large kind", Envelope{Kind: 255, Payload: []byte{1}}, "kind 255"},
		{"a name of 256 bytes", Envelope{Kind: Send, Name: make([]byte, 256)}, "256 bytes"},
		{"a type of raw bytes", Envelope{Kind: Send, To: 1, Encoding: EncodingRaw, Type: 7}, "type 0x7 with encoding raw"},
		{"less than no time left", Envelope{Kind: Send, To: 1, Left: -1}, "-1 microseconds left"},
		{"a payload of no encoding", Envelope{Kind: Send, To: 1, Payload: []byte{1}}, "encoding none"},
		{"a MONITOR with a payload", Envelope{Kind: Monitor, To: 1, Session: 1, Payload: []byte{1}}, "a MONITOR with 1 bytes"},
		{"a receiver that is none", Envelope{Kind: Group}, "GROUP to handle 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := tt.env.Append([]byte("before"))
			wantFormat(t, err, tt.says)
			if string(out) != "before" {
				t.Errorf("the buffer has %q", out)
			}
		})
	}
	out, err := AppendReport([]byte("before"), Bounce, &Report{Code: CodeKilled})
	if wantFormat(t, err, "BOUNCE of a kind 0"); string(out) != "before" {
		t.Errorf("the buffer has %q", out)
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"fits", strings.Repeat("a", MaxText), strings.Repeat("a", MaxText)},
		{"one too many", strings.Repeat("a", MaxText+1), strings.Repeat("a", MaxText)},
		{"within a character", strings.Repeat("a", MaxText-1) + "世", strings.Repeat("a", MaxText-1)},
		{"behind a character", strings.Repeat("a", MaxText-3) + "世界", strings.Repeat("a", MaxText-3) + "世"},
		{"no characters", strings.Repeat("\x80", MaxText+9), strings.Repeat("\x80", MaxText)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := AppendReport(nil, Error, &Report{Code: CodeUser, Text: tt.in})
			if err != nil {
				t.Fatal(err)
			}
			if r, _, err := ParseReport(Error, b); err != nil || r.Text != tt.want {
				t.Errorf("%d bytes arrive as %d, %v, want %d", len(tt.in), len(r.Text), err, len(tt.want))
			}
		})
	}
}

// A later version may have further codes: they arrive, and count as errors of
// the user.
func TestCodesOfALaterVersion(t *testing.T) {
	b, err := AppendReport(nil, Error, &Report{Code: codeEnd + 5, Text: "new"})
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := ParseReport(Error, b)
	if err != nil || r.Code != codeEnd+5 || r.Code.Known() != CodeUser || CodeKilled.Known() != CodeKilled {
		t.Errorf("%+v, %v", r, err)
	}
	if got, want := r.Code.String(), "code "+strconv.Itoa(int(codeEnd)+5); got != want {
		t.Errorf("it is called %q", got)
	}
}

// A later version may have further kinds: of those from 128 on a reader knows that it may
// pass over them, whatever else is in the record; but not in one of another version of the format.
func TestKindsOfALaterVersion(t *testing.T) {
	for k := Optional + 1; k != 0; k++ {
		var e Envelope
		if err := e.Parse(patched(t, "send", 1, byte(k), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)); !errors.Is(err, ErrOptional) {
			t.Errorf("%v: %v, want %v", k, err, ErrOptional)
		}
		wantFormat(t, e.Parse(patched(t, "send", 0, 2, byte(k))), "version 2")
		if _, err := (&Envelope{Kind: k}).Append(nil); !errors.Is(err, ErrFormat) {
			t.Errorf("%v is written: %v", k, err)
		}
	}
}

// What Parse leaves in the record cannot grow over what follows there.
func TestParsedSlicesEndWhereTheyEnd(t *testing.T) {
	b := append(patched(t, "group", 4), "next"...)
	record := b[:len(b)-4]
	var e Envelope
	if err := e.Parse(record); err != nil {
		t.Fatal(err)
	}
	_ = append(e.Name, '!')
	_ = append(e.Payload, '!')
	if !bytes.HasSuffix(b, []byte("roomhinext")) {
		t.Errorf("the record became %q", b)
	}
}

func TestHeadAndParseDoNotAllocate(t *testing.T) {
	for _, s := range samples() {
		record := s.write(t)
		buf := make([]byte, 0, MaxHead)
		var e Envelope
		n := testing.AllocsPerRun(100, func() {
			if e.Parse(record) != nil {
				t.Fatal("it cannot be read")
			}
			if out, err := e.AppendHead(buf); err != nil || len(out) < HeadSize {
				t.Fatal("it cannot be written")
			}
		})
		if n != 0 {
			t.Errorf("%s takes %v allocations", s.name, n)
		}
	}
}
