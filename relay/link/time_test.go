// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/relay/wire"
)

func TestL6AnAckWaitsForCompany(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int
		alone bool // before a millisecond is over
	}{
		{"one", []int{10}, false},
		{"a bit less than an eighth of the ring", sizesOf(511, 0), false},
		{"an eighth", sizesOf(512, 0), true},
		{"an eighth, in large ones", sizesOf(2, 4080), true},
		{"a bit less, in large ones", []int{4080, 4064}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHand(t)
			h.open(1, epoch1, 1)
			h.must(dataFrame(1, epoch1, 1, tt.sizes...))
			if tt.alone {
				h.only(wire.TypeAck)
				h.now += AckAfter
				h.silent()
				return
			}
			h.now += AckAfter - 1
			h.silent()
			if next, err := h.s.Tick(h.now); err != nil || next != h.now+1 {
				t.Errorf("Tick wants to be called in %d ns, %v; want 1", next-h.now, err)
			}
			h.now++
			if s := h.state(h.only(wire.TypeAck)[0]); s.Stored != uint64(len(tt.sizes)) {
				t.Errorf("%+v is acknowledged", s)
			}
			h.now += AckAfter
			h.silent()
		})
	}
}

func sizesOf(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

// What is written anyway takes the ACKs along, of every stream that owes one.
func TestL6AnAckRidesWithWhatIsWritten(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.open(2, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10), dataFrame(2, epoch1, 1, 10, 10), dataFrame(1, epoch1, 2, 10))
	h.silent()
	h.must(wire.AppendPing(nil, wire.TypePing, 5))
	all := h.drain()
	if got := typesOf(all); got != "PONG ACK ACK" {
		t.Fatalf("the session writes %q, want the PONG with two ACKs", got)
	}
	for i, stored := range []uint64{2, 2} {
		if s := h.state(all[i+1]); s.Stored != stored {
			t.Errorf("%+v is acknowledged for stream %d", s, all[i+1].Stream)
		}
	}
	h.now += AckAfter
	h.silent()
}

// The time runs from the first record that is not acknowledged.
func TestL6TheFirstRecordStartsTheClock(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	for seq := uint64(1); seq <= 9; seq++ {
		h.must(dataFrame(1, epoch1, seq, 10))
		h.now += AckAfter / 10
		h.silent()
	}
	h.now += AckAfter / 10
	if s := h.state(h.only(wire.TypeAck)[0]); s.Stored != 9 {
		t.Errorf("%+v is acknowledged, want 9 stored", s)
	}
}

// What the far process releases is told within the same time.
func TestL6WhatWasConsumedIsTold(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10, 10))
	h.ack()
	h.host.only().read(2)
	h.s.Touch(h.host.opened[0], h.now)
	h.silent()
	if s := h.ack(); s.Consumed != 2 {
		t.Errorf("%+v is acknowledged, want 2 consumed", s)
	}
	h.s.Dismiss(h.host.opened[0])
	h.only(wire.TypeRefuse)
	h.s.Touch(h.host.opened[0], h.now) // the pump may be late
	h.now += AckAfter
	h.silent()
}

// What makes a good part of the ring free is told at once: the origin may wait for it.
func TestL6MuchRoomIsToldAtOnce(t *testing.T) {
	h := newHand(t)
	h.host.most = 1 << 16
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, sizesOf(12, 2032)...), dataFrame(1, epoch1, 13, sizesOf(11, 2032)...))
	h.drain()
	m, in := h.host.only(), h.host.opened[0]
	m.read(3)
	h.s.Touch(in, h.now)
	h.silent()
	m.read(20)
	h.s.Touch(in, h.now)
	if s := h.state(h.only(wire.TypeAck)[0]); s.Consumed != 23 {
		t.Errorf("%+v is acknowledged, want 23 consumed", s)
	}
}

func TestL16PingsAreSentAndAnswered(t *testing.T) {
	h := newHand(t)
	h.must(wire.AppendPing(nil, wire.TypePing, 12345))
	f := h.only(wire.TypePong)
	if v, err := wire.ParsePing(f[0].body); v != 12345 || err != nil {
		t.Errorf("PONG has %d, %v", v, err)
	}
	if next, err := h.s.Tick(h.now); err != nil || next != h.now+PingEvery {
		t.Errorf("Tick wants to be called in %d ns, %v", next-h.now, err)
	}
	h.now += PingEvery - 1
	if _, err := h.s.Tick(h.now); err != nil || h.s.Pending(h.now) {
		t.Errorf("%v, pending %v before a second is over", err, h.s.Pending(h.now))
	}
	h.now++
	if next, err := h.s.Tick(h.now); err != nil || next != h.now+PingEvery {
		t.Errorf("Tick wants to be called in %d ns, %v", next-h.now, err)
	}
	f = h.only(wire.TypePing)
	sent, _ := wire.ParsePing(f[0].body)
	h.now += 3 * ms
	h.must(wire.AppendPing(nil, wire.TypePong, sent))
	if rtt := h.s.Stats().RTT; rtt != 3*ms {
		t.Errorf("the time there and back is %d ns, want 3 ms", rtt)
	}
	for _, v := range []uint64{0, uint64(h.now) + 1, math.MaxUint64} { // of no PING of ours
		h.must(wire.AppendPing(nil, wire.TypePong, v))
	}
	if rtt := h.s.Stats().RTT; rtt != 3*ms {
		t.Errorf("a PONG of nothing makes the time %d ns", rtt)
	}
}

func TestL16ASilentConnectionIsDead(t *testing.T) {
	h := newHand(t)
	for range 20 { // any frame is a sign of life, however long it goes on
		h.now += DeadAfter - 1
		if _, err := h.s.Tick(h.now); err != nil {
			t.Fatal(err)
		}
		h.drain()
		h.must(wire.AppendPing(nil, wire.TypePong, 0))
	}
	part := dataFrame(1, epoch1, 1, 100)
	h.now += DeadAfter / 2
	if n, err := h.s.Input(part[:50], h.now); n != 0 || err != nil { // half a frame is none
		t.Fatal(n, err)
	}
	h.now += DeadAfter / 2
	next, err := h.s.Tick(h.now)
	if !errors.Is(err, ErrOver) || !strings.Contains(err.Error(), "nothing was heard for 3000 ms") {
		t.Errorf("Tick after 3 s of silence: %d, %v", next, err)
	}
	if h.s.Up() || !errors.Is(h.s.Err(), ErrOver) {
		t.Errorf("the session is up: %v", h.s.Err())
	}
	if _, again := h.s.Tick(h.now + 1); !errors.Is(again, err) {
		t.Errorf("Tick then says %v", again)
	}
}

func TestL16ThePeerHasToSayHello(t *testing.T) {
	for _, limit := range []int64{200 * ms, 10_000 * ms} {
		cfg := config("south", "")
		cfg.Handshake = limit
		h := newHandBeforeHello(t, cfg)
		h.only(wire.TypeHello)
		next, err := h.s.Tick(h.now + limit/2)
		if err != nil || next != h.now+limit {
			t.Errorf("Tick wants to be called after %d ms, %v; want %d", (next-h.now)/ms, err, limit/ms)
		}
		h.now += limit - 1
		if _, err := h.s.Tick(h.now); err != nil {
			t.Error(err)
		}
		h.now++
		if _, err := h.s.Tick(h.now); !errors.Is(err, ErrOver) || !strings.Contains(err.Error(), "no HELLO within") {
			t.Errorf("Tick after the time for HELLO: %v", err)
		}
	}
	cfg := config("south", "")
	cfg.Handshake = 0
	h := newHandBeforeHello(t, cfg)
	if next, err := h.s.Tick(h.now + 1e15); err != nil || next != math.MaxInt64 {
		t.Errorf("Tick without a limit: %d, %v", next, err)
	}
}

// Two sessions that have nothing to say to each other stay up.
func TestL16IdleSessionsStayUp(t *testing.T) {
	r := newRig(t, nil)
	for range 100 {
		r.mustRun()
		r.now += PingEvery / 2
	}
	if r.a.Stats().RTT != 0 && r.a.Stats().RTT > int64(PingEvery) {
		t.Errorf("the time there and back is %d", r.a.Stats().RTT)
	}
}

func TestEndIsOrderly(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	l.puts(3, 100)
	r.settle()
	r.a.End(wire.Notice{Code: wire.CodeStopping, Text: "host north"})
	r.run()
	if err := r.b.Err(); !errors.Is(err, ErrOver) || !strings.Contains(err.Error(), "the daemon stops: host north") {
		t.Errorf("the far side ends with %v", err)
	}
	r.a.Close()
	r.b.Close()
	r.b.Close()
	if len(r.b.host.closed) != 1 || r.b.host.only().open != 0 {
		t.Errorf("%d lanes are closed", len(r.b.host.closed))
	}
	if n := r.a.Stats(); n.Streams != 0 || n.InFlight != 0 {
		t.Errorf("%+v is left", n)
	}
}

// A session that is closed without an end calls nobody afterwards.
func TestCloseCallsNobody(t *testing.T) {
	r := newRig(t, func(a, _ *Config) { a.InFlight = 1000 })
	for k := range 5 {
		l := newLane(t, 1<<16, epoch1, 1)
		l.puts(40, 100)
		r.open(l, north+7, south+1+addrOf(k))
	}
	r.mustRun()
	r.poll()
	r.write(r.a, r.b)
	r.a.host.woken = nil
	r.a.Close()
	if n := len(r.a.host.woken); n != 0 {
		t.Errorf("%d streams are woken in Close", n)
	}
}
