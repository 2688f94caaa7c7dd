// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// sample is one frame of each kind, with what its body means and how it is read.
type sample struct {
	name   string
	typ    Type
	flags  uint8
	stream uint32
	frame  []byte
	want   any
	parse  func(body []byte) (any, error)
}

var (
	sampleHello = Hello{
		Lowest: 1, Highest: 3, Key: 1000, Incarnation: 0x0102030405060708, MaxRecord: 16 << 20, Conn: 1, Conns: 4,
		Template: "8.8.8.8", Host: "north", Expected: "south",
	}
	sampleOpen = Open{
		Src: 0x0101, Dst: 0x0201, Epoch: 0x1122334455667788, First: 7, Next: 9, Consumed: 6, Size: 1 << 16, Priority: 3, Release: 1,
	}
	sampleState  = State{Epoch: 0x1122334455667788, Stored: 12, Consumed: 11, Credit: 49136, Largest: 16384}
	sampleFrag   = Frag{Epoch: 0x1122334455667788, Seq: 8, Length: 100_000, Offset: 65536, Flags: FlagRedelivered, Part: []byte("part")}
	sampleJoin   = Join{Lowest: 1, Highest: 2, Host: "north"}
	sampleJoined = Joined{Version: 1, Cluster: "games", Members: []Member{{Name: "east", Client: "10.0.0.1:7101"}, {Learner: true}}}
	sampleGap    = Gap{Epoch: 0x1122334455667788, From: 13, To: 20, Reason: 1, Text: "discarded"}
)

// data is what a DATA frame means.
type data struct {
	Epoch, First uint64
	Payloads     string
}

func dataFrame() []byte {
	records := AppendRecord(nil, 3, 0)
	records = append(records, "one"...)
	records = AppendRecord(records, 0, 0)
	records = append(AppendRecord(records, 5, FlagRedelivered), "three"...)
	return append(AppendData(nil, 5, 0x1122334455667788, 8, len(records)), records...)
}

func parseData(body []byte) (any, error) {
	var d data
	epoch, first, rest, err := ParseData(body)
	if err != nil {
		return d, err
	}
	d.Epoch, d.First = epoch, first
	for len(rest) > 0 {
		var p []byte
		var flags uint8
		if p, flags, rest, err = NextRecord(rest); err != nil {
			return d, err
		}
		d.Payloads += fmt.Sprintf("%d:%s;", flags, p)
	}
	return d, nil
}

// joinedOf makes of a Joined a value that == compares.
func joinedOf(j *Joined) string { return fmt.Sprintf("%+v", *j) }

// fragOf makes of a Frag a value that == compares.
func fragOf(f *Frag) string { return fmt.Sprintf("%+v", *f) }

func notice(t Type, stream uint32) sample {
	n := Notice{Code: CodeNoRoute, Text: "no route to 0.0.3.1"}
	return sample{
		typ: t, stream: stream, frame: AppendNotice(nil, t, stream, n), want: n,
		parse: func(b []byte) (any, error) { return ParseNotice(b) },
	}
}

func state(t Type, flags uint8) sample {
	s := sampleState
	return sample{
		typ: t, flags: flags, stream: 5, frame: AppendState(nil, t, flags, 5, &s), want: s,
		parse: func(b []byte) (any, error) { return ParseState(t, b) },
	}
}

func ping(t Type) sample {
	return sample{
		typ: t, frame: AppendPing(nil, t, 1<<63|77), want: uint64(1<<63 | 77),
		parse: func(b []byte) (any, error) { return ParsePing(b) },
	}
}

// samples returns one frame of each kind, in the order of the types.
func samples() []sample {
	named := func(name string, s sample) sample { s.name = name; return s }
	return []sample{
		{
			name: "hello", typ: TypeHello, frame: AppendHello(nil, &sampleHello), want: sampleHello,
			parse: func(b []byte) (any, error) { return ParseHello(b) },
		},
		named("refuse", notice(TypeRefuse, 0)),
		named("refuse-stream", notice(TypeRefuse, 5)),
		{
			name: "open", typ: TypeOpen, stream: 5, frame: AppendOpen(nil, 5, &sampleOpen), want: sampleOpen,
			parse: func(b []byte) (any, error) { return ParseOpen(b) },
		},
		named("resume", state(TypeResume, 0)),
		named("resume-unknown", state(TypeResume, FlagUnknown)),
		{
			name: "data", typ: TypeData, stream: 5, frame: dataFrame(),
			want: data{0x1122334455667788, 8, "0:one;0:;1:three;"}, parse: parseData,
		},
		{
			name: "frag", typ: TypeFrag, stream: 5,
			frame: append(AppendFrag(nil, 5, &sampleFrag, len(sampleFrag.Part)), sampleFrag.Part...), want: fragOf(&sampleFrag),
			parse: func(b []byte) (any, error) { f, err := ParseFrag(b); return fragOf(&f), err },
		},
		named("ack", state(TypeAck, 0)),
		{
			name: "gap", typ: TypeGap, stream: 5, frame: AppendGap(nil, 5, &sampleGap), want: sampleGap,
			parse: func(b []byte) (any, error) { return ParseGap(b) },
		},
		{
			name: "close", typ: TypeClose, stream: 5, frame: AppendClose(nil, 5, 0x1122334455667788), want: uint64(0x1122334455667788),
			parse: func(b []byte) (any, error) { return ParseClose(b) },
		},
		{
			name: "want", typ: TypeWant, stream: 5, frame: AppendWant(nil, 5, 0x1122334455667788, 1<<20), want: [2]uint64{0x1122334455667788, 1 << 20},
			parse: func(b []byte) (any, error) { epoch, n, err := ParseWant(b); return [2]uint64{epoch, uint64(n)}, err },
		},
		named("ping", ping(TypePing)),
		named("pong", ping(TypePong)),
		named("bye", notice(TypeBye, 0)),
		{
			name: "join", typ: TypeJoin, frame: AppendJoin(nil, &sampleJoin), want: sampleJoin,
			parse: func(b []byte) (any, error) { return ParseJoin(b) },
		},
		{
			name: "joined", typ: TypeJoined, frame: AppendJoined(nil, &sampleJoined), want: joinedOf(&sampleJoined),
			parse: func(b []byte) (any, error) { j, err := ParseJoined(b); return joinedOf(&j), err },
		},
	}
}

// patch returns b with the bytes at offset at replaced.
func patch(b []byte, at int, p ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], p)
	return b
}

// wantProtocol checks that an error is of the protocol and says what it has to.
func wantProtocol(t testing.TB, err error, part string) {
	t.Helper()
	if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), part) {
		t.Errorf("the error is %v, want one of the protocol that says %q", err, part)
	}
}
