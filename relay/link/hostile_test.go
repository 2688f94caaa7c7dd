// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
)

// farSide has stream 1 with three records, stream 2 closed, and stream 3 in the
// middle of a large record.
func farSide(t testing.TB) *hand {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.open(2, epoch1, 1)
	h.open(3, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10, 10, 10), wire.AppendClose(nil, 2, epoch1), fragFrame(3, epoch1, 1, 30_000, 0, 20_000))
	h.ack()
	return h
}

// origin has sent five records of stream 1, three of which are stored, has shut
// stream 2, and waits for RESUME of stream 3.
func origin(t testing.TB) (*hand, *fakeLane) {
	h := newHand(t)
	l := newLane(t, 1<<16, epoch1, 1)
	st := h.resume(l, &wire.State{Epoch: epoch1, Credit: 10_000, Largest: 10_000})
	l.puts(5, 100)
	h.s.Wake(st)
	h.only(wire.TypeData)
	h.must(stateFrame(wire.TypeAck, 1, wire.State{Epoch: epoch1, Stored: 3, Credit: 10_000, Largest: 10_000}))
	h.s.Shut(h.s.Open(newLane(t, 1<<16, epoch1, 1), south+1, north, 0, OnConsumed))
	h.s.Open(newLane(t, 1<<16, epoch1, 1), south+2, north, 0, OnConsumed)
	h.drain()
	return h, l
}

// What no origin may send ends the session, and changes nothing in the lanes.
func TestHostileOrigin(t *testing.T) {
	gap := func(from, to uint64) []byte {
		return wire.AppendGap(nil, 1, &wire.Gap{Epoch: epoch1, From: from, To: to, Reason: ReasonDiscarded})
	}
	again := openFrame(9, epoch1, 1)
	copy(again[wire.HeaderSize:], openFrame(1, epoch1, 1)[wire.HeaderSize:])
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"a second HELLO", helloOf("north"), "a second HELLO"},
		{"JOIN behind HELLO", wire.AppendJoin(nil, &wire.Join{Host: "north"}), "JOIN frame behind HELLO"},
		{"JOINED that nobody has asked for", wire.AppendJoined(nil, &wire.Joined{Cluster: "c", Members: make([]wire.Member, 1)}), "JOINED frame behind HELLO"},
		{"no relay", []byte("GET / HTTP/1.1\r\n\r\n"), "this is no relay"},
		{"a jump in the sequence", dataFrame(1, epoch1, 5, 10), "record 5 after 3"},
		{"a jump to the last number", dataFrame(1, epoch1, math.MaxUint64, 10), "after 3"},
		{"beyond the credit", dataFrame(1, epoch1, 4, 16_000, 16_000, 16_000, 16_000), "beyond the credit"},
		{"sequence 0", dataFrame(1, epoch1, 0, 10), "DATA with sequence 0"},
		{"DATA of a stream that was never opened", dataFrame(4, epoch1, 1, 10), "stream 4, which was never opened"},
		{"FRAG of one", fragFrame(4, epoch1, 1, 30_000, 0, 10_000), "stream 4, which was never opened"},
		{"GAP of one", wire.AppendGap(nil, 4, &wire.Gap{Epoch: epoch1, From: 1, To: 2}), "stream 4, which was never opened"},
		{"WANT of one", wire.AppendWant(nil, 4, epoch1, 10), "stream 4, which was never opened"},
		{"CLOSE of one", wire.AppendClose(nil, 4, epoch1), "stream 4, which was never opened"},
		{"OPEN of a number that was used", openFrame(2, epoch1, 1), "OPEN of stream 2 after 3"},
		{"OPEN of an open number", openFrame(3, epoch1, 1), "OPEN of stream 3 after 3"},
		{"OPEN of an open lane", again, "is open as stream 1, and again as 9"},
		{"FRAG that begins in the middle", fragFrame(1, epoch1, 4, 30_000, 10, 10_000), "begins at byte 10"},
		{"FRAG of a record that is stored", fragFrame(1, epoch1, 3, 30_000, 0, 10_000), "record 3 again"},
		{"FRAG of a record that is not next", fragFrame(1, epoch1, 5, 30_000, 0, 10_000), "record 5 after 3"},
		{"FRAG beyond the credit", fragFrame(1, epoch1, 4, 1<<20, 0, 10_000), "beyond the credit"},
		{"FRAG larger than HELLO said", fragFrame(1, epoch1, 4, maxRecord+1, 0, 10), "the most is 16777216"},
		{"FRAG of 4 GiB", wire.AppendFrag(nil, 1, &wire.Frag{Epoch: epoch1, Seq: 4, Length: math.MaxUint32}, 0), "FRAG frame of 28 bytes"},
		{"FRAG that overlaps", fragFrame(3, epoch1, 1, 30_000, 19_999, 30_000), "where byte 20000 of 1 was to come"},
		{"FRAG that leaves bytes out", fragFrame(3, epoch1, 1, 30_000, 20_001, 30_000), "where byte 20000 of 1 was to come"},
		{"FRAG from the beginning", fragFrame(3, epoch1, 1, 30_000, 0, 30_000), "where byte 20000 of 1 was to come"},
		{"FRAG of another length", fragFrame(3, epoch1, 1, 50_000, 20_000, 50_000), "where byte 20000 of 1 was to come"},
		{"FRAG of another record", fragFrame(3, epoch1, 2, 30_000, 20_000, 30_000), "where byte 20000 of 1 was to come"},
		{"DATA within a large record", dataFrame(3, epoch1, 1, 10), "DATA within record 1"},
		{"GAP within a large record", wire.AppendGap(nil, 3, &wire.Gap{Epoch: epoch1, From: 1, To: 5}), "GAP from 1 to 5 after 0"},
		{"GAP of what is stored", gap(3, 5), "GAP from 3 to 5 after 3"},
		{"GAP that leaves something out", gap(5, 6), "GAP from 5 to 6 after 3"},
		{"GAP backwards", gap(4, 2), "GAP from 4 to 2"},
		{"GAP without an end", gap(4, 0), "GAP from 4 to 0 after 3"},
		{"ACK of a stream that was never opened", stateFrame(wire.TypeAck, 1, wire.State{Epoch: epoch1}), "stream 1, which was never opened"},
		{"RESUME of one", stateFrame(wire.TypeResume, 1, wire.State{Epoch: epoch1}), "stream 1, which was never opened"},
		{"REFUSE of one", wire.AppendNotice(nil, wire.TypeRefuse, 1, wire.Notice{Code: wire.CodeBudget}), "stream 1, which was never opened"},
		{"a frame cut short", append(wire.End(wire.AppendRecord(wire.AppendData(nil, 1, epoch1, 4, 0), 10, 0), 0, 3), "abc"...), "a record of 10 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := farSide(t)
			h.wantRefused(h.send(tt.frame), wire.CodeProtocol, tt.want)
			h.s.Close()
			if len(h.host.closed) != 3 {
				t.Errorf("%d lanes are closed, want 3", len(h.host.closed))
			}
			for _, num := range []uint32{1, 3} {
				m := h.host.mirrors[[2]addr.Addr{north + addr.Addr(num) - 1, south}]
				want := map[uint32]uint64{1: 3, 3: 0}[num]
				if got := m.attach().Stored(); got != want || len(m.gens) > 1 {
					t.Errorf("stream %d has %d records stored in %d generations, want %d", num, got, len(m.gens), want)
				}
				m.Close()
				m.read(10)
				wantGot(t, m, 1, want)
			}
		})
	}
}

// What no far side may send ends the session, and lets nothing go.
func TestHostileFarSide(t *testing.T) {
	ack := func(num uint32, s wire.State) []byte { return stateFrame(wire.TypeAck, num, s) }
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"ACK of more than was sent", ack(1, wire.State{Epoch: epoch1, Stored: 6, Consumed: 6}), "an ACK of 6, sent was 5"},
		{"ACK of everything that there can be", ack(1, wire.State{Epoch: epoch1, Stored: math.MaxUint64, Consumed: 5}), "sent was 5"},
		{"ACK of more consumed than stored", ack(1, wire.State{Epoch: epoch1, Stored: 4, Consumed: 5}), "ACK with 5 consumed and 4 stored"},
		{"ACK of a stream that was never opened", ack(4, wire.State{Epoch: epoch1}), "stream 4, which was never opened"},
		{"a second RESUME", stateFrame(wire.TypeResume, 1, wire.State{Epoch: epoch1}), "a second RESUME"},
		{"RESUME of a stream that was never opened", stateFrame(wire.TypeResume, 4, wire.State{Epoch: epoch1}), "stream 4, which was never opened"},
		{"REFUSE of one", wire.AppendNotice(nil, wire.TypeRefuse, 4, wire.Notice{}), "stream 4, which was never opened"},
		{"REFUSE whose text is cut", wire.End(append(wire.Begin(nil, wire.TypeRefuse, 0, 1), 7, 0, 5, 'a'), 0, 0), "REFUSE frame whose fields"},
		{"DATA back", dataFrame(1, epoch1, 1, 10), "stream 1, which was never opened"},
		{"CLOSE back", wire.AppendClose(nil, 1, epoch1), "stream 1, which was never opened"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, l := origin(t)
			h.wantRefused(h.send(tt.frame), wire.CodeProtocol, tt.want)
			if l.First() != 1 || l.Consumed() != 0 {
				t.Errorf("the origin lets go up to %d and notes %d consumed", l.First(), l.Consumed())
			}
		})
	}
}

// A far side that says it has what the origin never had would have the next
// records passed over in silence.
func TestResumeOfMoreThanThereIs(t *testing.T) {
	for _, stored := range []uint64{4, 1000, math.MaxUint64} {
		t.Run(fmt.Sprint(stored), func(t *testing.T) {
			h := newHand(t)
			l := newLane(t, 1<<16, epoch1, 1)
			l.puts(3, 100)
			other := newLane(t, 1<<16, epoch1, 1)
			next := h.s.Open(other, south+1, north, 0, OnConsumed)
			h.only(wire.TypeOpen)
			h.resume(l, &wire.State{Epoch: epoch1, Stored: stored, Credit: 10_000, Largest: 10_000})
			h.must(stateFrame(wire.TypeResume, next.num, wire.State{Epoch: epoch1, Credit: 10_000, Largest: 10_000}))
			other.puts(3, 100)
			all := h.drain()
			if err := h.s.Err(); !errors.Is(err, wire.ErrProtocol) || len(all) != 1 || all[0].Type != wire.TypeRefuse {
				t.Errorf("of 3 records %d are said to be stored: %v, the session writes %q", stored, err, typesOf(all))
			}
			if l.First() != 1 {
				t.Errorf("the origin lets go up to %d", l.First())
			}
		})
	}
	h := newHand(t) // exactly what there is
	l := newLane(t, 1<<16, epoch1, 1)
	l.puts(3, 100)
	h.resume(l, &wire.State{Epoch: epoch1, Stored: 3, Consumed: 3, Credit: 10_000, Largest: 10_000})
	h.silent()
	if l.First() != 4 || h.s.Err() != nil {
		t.Errorf("the origin has record %d, %v", l.First(), h.s.Err())
	}
}

// An origin that says that everything there can be was consumed has lost nothing.
func TestOpenWithEverythingConsumed(t *testing.T) {
	h := newHand(t)
	h.must(wire.AppendOpen(nil, 1, &wire.Open{
		Src: uint32(north), Dst: uint32(south), Epoch: epoch1, First: 5, Next: 5, Consumed: math.MaxUint64, Size: 1 << 16,
	}))
	if s := h.state(h.only(wire.TypeResume)[0]); s.Stored != 4 || s.Consumed != 4 || len(h.host.lost) != 0 {
		t.Errorf("RESUME says %+v, lost is %+v", s, h.host.lost)
	}
}

// Frames of streams that are closed, or that the other side has not heard of yet
// being refused, are on their way when that happens: they are dropped.
func TestFramesOfClosedStreamsAreDropped(t *testing.T) {
	h := farSide(t)
	late := [][]byte{
		dataFrame(2, epoch1, 1, 10), fragFrame(2, epoch1, 1, 30_000, 100, 200), wire.AppendWant(nil, 2, epoch1, 10),
		wire.AppendGap(nil, 2, &wire.Gap{Epoch: epoch1, From: 9, To: 10}), wire.AppendClose(nil, 2, epoch1),
	}
	h.must(late...)
	h.silent()
	if n := h.s.Stats().Stale; n != uint64(len(late)) {
		t.Errorf("%d frames are counted, want %d", n, len(late))
	}
	o, _ := origin(t)
	o.must(
		stateFrame(wire.TypeResume, 2, wire.State{Epoch: epoch1}), stateFrame(wire.TypeAck, 2, wire.State{Epoch: epoch1, Stored: 99}),
		wire.AppendNotice(nil, wire.TypeRefuse, 2, wire.Notice{Code: wire.CodeBudget}),
		stateFrame(wire.TypeAck, 3, wire.State{Epoch: epoch1, Stored: 99}), // before RESUME
	)
	o.silent()
	if n := o.s.Stats().Stale; n != 3 || len(o.host.refused) != 0 {
		t.Errorf("%d frames are counted, want 3; refused is %+v", n, o.host.refused)
	}
}

// Nothing but HELLO, or an end, comes first.
func TestWhatComesBeforeHello(t *testing.T) {
	frames := map[string][]byte{
		"PING before HELLO":   wire.AppendPing(nil, wire.TypePing, 1),
		"OPEN before HELLO":   openFrame(1, epoch1, 1),
		"DATA before HELLO":   dataFrame(1, epoch1, 1, 10),
		"ACK before HELLO":    stateFrame(wire.TypeAck, 1, wire.State{Epoch: epoch1}),
		"REFUSE before HELLO": wire.AppendNotice(nil, wire.TypeRefuse, 1, wire.Notice{Code: wire.CodeBudget}),
	}
	for _, name := range []string{"PING before HELLO", "OPEN before HELLO", "DATA before HELLO", "ACK before HELLO", "REFUSE before HELLO"} {
		h := newHandBeforeHello(t, config("south", "north"))
		h.s.Open(newLane(t, 1<<16, epoch1, 1), south, north, 0, OnConsumed)
		h.only(wire.TypeHello)
		frame, want := frames[name], bytes.Replace([]byte(name), []byte(" before"), []byte(" frame before"), 1)
		h.wantRefused(h.send(frame), wire.CodeProtocol, string(want))
		if len(h.host.mirrors) != 0 || len(h.host.refused) != 0 {
			t.Errorf("%s: %d lanes are made, %+v refused", name, len(h.host.mirrors), h.host.refused)
		}
	}
}

// A peer that asks and does not read cannot have the answers fill the memory.
func TestAnswersThatNobodyReads(t *testing.T) {
	h := newHand(t)
	ping := bytes.Repeat(wire.AppendPing(nil, wire.TypePing, 1), 10_000)
	for range 1000 {
		if err := h.send(ping); err != nil {
			if !errors.Is(err, ErrOver) {
				t.Errorf("the session ends with %v", err)
			}
			return
		}
	}
	t.Errorf("%d bytes of answers wait", len(h.s.control))
}

// What fails at the far side is told, and ends that stream alone.
func TestWhatTheLaneRefuses(t *testing.T) {
	tests := []struct {
		name   string
		before func(h *hand)
		frames func() [][]byte
		code   wire.Code
	}{
		{"the lane cannot be opened", func(h *hand) { h.host.sinkErr = errBroken }, func() [][]byte { return nil }, wire.CodeDamaged},
		{"a record cannot be added", nil, func() [][]byte { return [][]byte{dataFrame(2, epoch1, 1, 10)} }, wire.CodeBudget},
		{"a large record cannot begin", nil, func() [][]byte { return [][]byte{fragFrame(2, epoch1, 1, 30_000, 0, 20_000)} }, wire.CodeBudget},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHand(t)
			h.open(1, epoch1, 1)
			if tt.before != nil {
				tt.before(h)
				h.must(openFrame(2, epoch1, 1))
			} else {
				h.open(2, epoch1, 1)
				h.host.opened[1].Sink().(*fakeMirror).addErr = errBudget
				h.must(tt.frames()...)
			}
			h.wantStreamRefused(2, tt.code)
			h.must(dataFrame(1, epoch1, 1, 10))
			if s := h.ack(); s.Stored != 1 || h.s.Stats().Inbound != 1 {
				t.Errorf("%+v is acknowledged of the other stream", s)
			}
		})
	}
}

// A lane that is found damaged when its state is read is refused, in RESUME's
// place as in that of an ACK.
func TestADamagedLaneIsRefused(t *testing.T) {
	h := newHand(t)
	m := newMirror(t, 1<<16, epoch1, 1, nil)
	h.host.mirrors[[2]addr.Addr{north, south}] = m
	m.endErr = errBroken
	h.must(openFrame(1, epoch1, 1))
	h.wantStreamRefused(1, wire.CodeDamaged)
	if m.open != 0 || len(h.host.opened) != 0 && len(h.host.closed) != len(h.host.opened) {
		t.Errorf("the lane is open %d times", m.open)
	}
	m.endErr = nil
	h.open(2, epoch1, 1)
	m2 := h.host.opened[len(h.host.opened)-1].Sink().(*fakeMirror)
	m2.endErr = errBroken
	h.must(dataFrame(2, epoch1, 1, 10))
	h.now += AckAfter
	h.wantStreamRefused(2, wire.CodeDamaged)
	if m2.open != 0 {
		t.Errorf("the lane is open %d times", m2.open)
	}
}

// A lane that cannot be read at the origin is shut, so that the far side lets go of
// its end, too; other streams go on.
func TestASourceThatFails(t *testing.T) {
	r := newRig(t, nil)
	bad, good := newLane(t, 1<<16, epoch1, 1), newLane(t, 1<<16, epoch1, 1)
	st := r.open(bad, north, south)
	r.open(good, north+1, south)
	bad.puts(1, 10)
	r.settle()
	bad.puts(1, 10)
	bad.takeErr = errBroken
	good.puts(1, 10)
	r.settle()
	if n := r.a.host.refused; len(n) != 1 || n[0].st != st || n[0].n.Code != wire.CodeDamaged {
		t.Errorf("the host is told %+v", n)
	}
	if r.a.Stats().Streams != 1 || r.b.Stats().Inbound != 1 {
		t.Errorf("%d streams here and %d there, want 1", r.a.Stats().Streams, r.b.Stats().Inbound)
	}
	m := r.b.host.mirrors[[2]addr.Addr{north + 1, south}]
	m.read(10)
	wantGot(t, m, 1, 1)
}
