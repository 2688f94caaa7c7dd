// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"errors"
	"strings"
	"testing"
)

// sample is one record of the page.
type sample struct {
	name string
	env  Envelope // of an envelope with a report: its payload behind the report
	rep  *Report
}

const (
	here  = 0x00000001_00000007 // handle of the receiver
	there = 0x00000002_00000003 // handle of the sender
)

func samples() []sample {
	trace := Trace{ID: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Span: [8]byte{16, 17, 18, 19, 20, 21, 22, 23}}
	return []sample{
		{name: "send", env: Envelope{Kind: Send, Encoding: EncodingRaw, UserKind: 5, To: here, From: there, Payload: []byte("hello")}},
		{name: "send-name", env: Envelope{Kind: Send, Encoding: EncodingText, Name: []byte("logs"), From: there, Payload: []byte("shi")}},
		{name: "call", env: Envelope{
			Kind: Call, Encoding: EncodingCBOR, Type: 0xdeadbeef, To: here, From: there, Session: 42,
			Trace: trace, Left: 2_500_000, Payload: []byte{0xa0},
		}},
		{name: "call-protobuf", env: Envelope{
			Kind: Call, Encoding: EncodingProto, Type: 1, To: here, From: there, Session: 42, Payload: []byte{8, 1},
		}},
		{name: "reply", env: Envelope{Kind: Reply, Encoding: EncodingCBOR, To: there, From: here, Session: 42, Payload: []byte{0xf5}}},
		{name: "reply-nothing", env: Envelope{Kind: Reply, To: there, From: here, Session: 42}},
		{name: "error", env: Envelope{Kind: Error, To: there, From: here, Session: 42}, rep: &Report{Code: CodeStalePID, Text: "stale PID", Hop: "0.0.3.1"}},
		{name: "down", env: Envelope{Kind: Down, To: there, From: here, Session: 9}, rep: &Report{Code: CodeKilled, Text: "killed", Name: "logs"}},
		{name: "down-as-it-wanted", env: Envelope{Kind: Down, To: there, From: here, Session: 9}, rep: &Report{}},
		{
			name: "bounce", env: Envelope{Kind: Bounce, Encoding: EncodingRaw, UserKind: 5, To: there, From: here, Payload: []byte("hello")},
			rep: &Report{Code: CodeNoService, Original: Send},
		},
		{name: "monitor", env: Envelope{Kind: Monitor, To: here, From: there, Session: 9}},
		{name: "demonitor", env: Envelope{Kind: Demonitor, To: here, From: there, Session: 9}},
		{name: "link", env: Envelope{Kind: Monitor, UserKind: Linked, To: here, From: there, Session: 9}},
		{name: "cancel", env: Envelope{Kind: Cancel, To: here, From: there, Session: 42}},
		{name: "ping", env: Envelope{Kind: Ping, Session: 99}},
		{name: "pong", env: Envelope{Kind: Pong, Session: 99}},
		{name: "group", env: Envelope{Kind: Group, Encoding: EncodingRaw, Name: []byte("room"), From: there, Payload: []byte("hi")}},
	}
}

// write returns the record of a sample.
func (s *sample) write(t testing.TB) []byte {
	t.Helper()
	if s.rep == nil {
		b, err := s.env.Append(nil)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		return b
	}
	b, err := s.env.AppendHead(nil)
	if err == nil {
		b, err = AppendReport(b, s.env.Kind, s.rep)
	}
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return append(b, s.env.Payload...)
}

// wantFormat checks that an error is one of the format and says all parts.
func wantFormat(t testing.TB, err error, parts ...string) {
	t.Helper()
	if !errors.Is(err, ErrFormat) {
		t.Errorf("the error is %v, want one of the format", err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %q, want it to say %q", err, part)
		}
	}
}
