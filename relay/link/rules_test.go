// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// Each rule of docs/format/relay.md that a Session is responsible for has a test
// of its name here, and no test has the name of a rule that there is not.
func TestEveryRuleHasATest(t *testing.T) {
	others := map[int]string{
		10: "which of its connections carries a lane is the daemon's choice",
	}
	tested := map[int]bool{}
	name := regexp.MustCompile(`^TestL(\d+)[A-Z]`)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && name.MatchString(fn.Name.Name) {
				n, _ := strconv.Atoi(name.FindStringSubmatch(fn.Name.Name)[1])
				tested[n] = true
			}
		}
	}
	page, err := os.ReadFile("../../docs/format/relay.md")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; strings.Contains(string(page), fmt.Sprintf("| L%d |", n)); n++ {
		if tested[n] == (others[n] != "") {
			t.Errorf("rule L%d has a test: %v, want %v", n, tested[n], !tested[n])
		}
		delete(tested, n)
	}
	for n := range tested {
		t.Errorf("a test is of rule L%d, which docs/format/relay.md does not have", n)
	}
}

func TestL1FramesOfAnotherEpochAreDropped(t *testing.T) {
	const other = epoch1 + 1
	gap := wire.Gap{Epoch: other, From: 4, To: 9, Reason: ReasonDiscarded}
	tests := []struct {
		name  string
		frame []byte
	}{
		{"DATA", dataFrame(1, other, 4, 10)},
		{"FRAG", fragFrame(1, other, 4, 50_000, 0, 20_000)},
		{"GAP", wire.AppendGap(nil, 1, &gap)},
		{"WANT", wire.AppendWant(nil, 1, other, 1<<20)},
		{"CLOSE", wire.AppendClose(nil, 1, other)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHand(t)
			h.open(1, epoch1, 1)
			h.must(dataFrame(1, epoch1, 1, 10, 10, 10))
			h.ack()
			h.must(tt.frame)
			h.now += AckAfter
			h.silent()
			if n := h.s.Stats().Stale; n != 1 {
				t.Errorf("%d frames of another epoch are counted, want 1", n)
			}
			h.must(dataFrame(1, epoch1, 4, 10)) // the stream goes on
			if s := h.ack(); s.Stored != 4 {
				t.Errorf("%+v is acknowledged, want 4 stored", s)
			}
		})
	}
}

func TestL1AcksOfAnotherEpochAreDropped(t *testing.T) {
	for _, epoch := range []uint64{epoch1 - 1, epoch1 + 1} {
		h := newHand(t)
		l := newLane(t, 1<<16, epoch1, 1)
		st := h.resume(l, &wire.State{Epoch: epoch1, Credit: 10_000, Largest: 10_000})
		l.puts(5, 100)
		h.s.Wake(st)
		h.only(wire.TypeData)
		h.must(stateFrame(wire.TypeAck, st.num, wire.State{Epoch: epoch, Stored: 5, Consumed: 5, Credit: 20_000}))
		if _, stored := st.Position(); stored != 0 || l.First() != 1 || h.s.Stats().Stale != 1 {
			t.Errorf("an ACK of epoch %d for %d: %d stored, released up to %d, stale %d", epoch, epoch1, stored, l.First(), h.s.Stats().Stale)
		}
	}
	h := newHand(t)
	st := h.s.Open(newLane(t, 1<<16, epoch1, 1), south, north, 0, OnConsumed)
	h.only(wire.TypeOpen)
	h.must(stateFrame(wire.TypeResume, st.num, wire.State{Epoch: epoch1 - 1, Credit: 1000}))
	if st.Flowing() || h.s.Stats().Stale != 1 {
		t.Error("a RESUME of another epoch lets the stream flow")
	}
}

func TestL1OpenOfAnOlderEpochIsRefused(t *testing.T) {
	h := newHand(t)
	m := newMirror(t, 1<<16, epoch1, 1, nil)
	h.host.mirrors[[2]addr.Addr{north, south}] = m
	h.must(openFrame(1, epoch1-1, 1))
	h.wantStreamRefused(1, wire.CodeOlder)
	if m.open != 0 || m.Epoch() != epoch1 || h.s.Stats().Inbound != 0 {
		t.Errorf("the lane is open %d times in epoch %d, with %d streams", m.open, m.Epoch(), h.s.Stats().Inbound)
	}
	h.must(dataFrame(1, epoch1-1, 1, 10)) // what was on its way
	h.silent()
	if m.read(10) != 0 || h.s.Stats().Stale != 1 {
		t.Error("a record of a refused stream was stored, or not counted")
	}
}

func TestL2OnlyTheNextRecordIsStored(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10, 20, 30))
	h.ack()
	h.must(dataFrame(1, epoch1, 2, 20, 30, 40, 50)) // two again, two that are new
	if s := h.ack(); s.Stored != 5 {
		t.Errorf("%+v is acknowledged, want 5 stored", s)
	}
	h.must(dataFrame(1, epoch1, 1, 10)) // only an old one
	if s := h.ack(); s.Stored != 5 {
		t.Errorf("%+v is acknowledged again, want 5 stored", s)
	}
	if n := h.s.Stats().Duplicates; n != 3 {
		t.Errorf("%d duplicates are counted, want 3", n)
	}
	m := h.host.only()
	err := h.send(dataFrame(1, epoch1, 7, 10))
	h.wantRefused(err, wire.CodeProtocol, "record 7 after 5")
	h.s.Close()
	m.read(100)
	wantGot(t, m, 1, 5)
}

// A frame whose last record breaks a rule leaves nothing of the frame behind.
func TestL2NothingOfABrokenFrameIsVisible(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10))
	bad := dataFrame(1, epoch1, 2, 10, 10)
	bad[len(bad)-14] = 2 // a flag that there is not
	h.wantRefused(h.send(bad), wire.CodeProtocol, "a record of 10 bytes with flags 02")
	m := h.host.only()
	h.s.Close()
	m.read(100)
	wantGot(t, m, 1, 1)
	if m.attach().Stored() != 1 {
		t.Errorf("%d records are stored, want 1", m.Stored())
	}
}

func TestL3NothingIsSentBeforeResume(t *testing.T) {
	h := newHand(t)
	l := newLane(t, 1<<16, epoch1, 1)
	l.puts(5, 100)
	st := h.s.Open(l, south, north, 0, OnConsumed)
	h.only(wire.TypeOpen)
	h.s.Wake(st)
	h.silent()
	if st.Flowing() || !st.Stalled() || st.Ready() {
		t.Error("the stream flows before RESUME")
	}
	h.must(stateFrame(wire.TypeResume, st.num, wire.State{Epoch: epoch1, Stored: 2, Credit: 10_000, Largest: 10_000}))
	if len(h.host.woken) != 1 || !st.Ready() {
		t.Error("the host is not told that the stream goes on")
	}
	f := h.only(wire.TypeData)
	if _, first, _, _ := wire.ParseData(f[0].body); first != 3 {
		t.Errorf("the first record is %d, want 3: 2 are stored", first)
	}
	h.s.Wake(st)
	h.silent() // nothing is sent twice
	if s := h.s.Stats(); s.SentMessages != 3 || s.Resent != 0 {
		t.Errorf("%d messages sent, %d again, want 3 and 0", s.SentMessages, s.Resent)
	}
}

func TestL3ANewConnectionSendsWhatIsNotStored(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	l.puts(1, 300)
	r.settle()
	r.connect()
	r.a.host.woken = nil
	l.puts(39, 300)
	r.open(l, north, south)
	for len(r.a.host.woken) == 0 { // up to RESUME
		r.poll()
		r.write(r.a, r.b)
		_ = r.read(r.b)
		r.write(r.b, r.a)
		_ = r.read(r.a)
	}
	r.poll()
	r.write(r.a, r.b) // and lost on its way
	r.connect()
	r.open(l, north, south)
	r.settle()
	if n := r.a.Stats().Resent; n != 39 {
		t.Errorf("%d records are counted as sent again, want 39", n)
	}
	r.consume(r.b.host.only(), 100)
	wantGot(t, r.b.host.only(), 1, 40)
	if l.First() != 41 {
		t.Errorf("the origin still has record %d", l.First())
	}
}

func TestL4TheStateIsReadFromTheLane(t *testing.T) {
	h := newHand(t)
	m := newMirror(t, 1<<16, epoch1, 21, nil)
	h.host.mirrors[[2]addr.Addr{north, south}] = m
	m.attach()
	for k := range 9 {
		if err := m.Add(payload(21+uint64(k), 50)); err != nil {
			t.Fatal(err)
		}
	}
	m.Commit()
	m.Close()
	m.read(4)
	if s := h.open(1, epoch1, 21); s.Stored != 29 || s.Consumed != 24 {
		t.Errorf("RESUME says %+v, want 29 stored and 24 consumed", s)
	}
	m.read(2)
	h.s.Touch(h.host.opened[0], h.now)
	if s := h.ack(); s.Stored != 29 || s.Consumed != 26 {
		t.Errorf("ACK says %+v, want 29 stored and 26 consumed", s)
	}
	if h.host.looks < 2 {
		t.Errorf("the host was told %d times that the lane is looked at, want twice", h.host.looks)
	}
}

// What the reader has released reaches the origin although nobody has told of it.
func TestL4SweepFindsWhatNobodyToldOf(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10, 10))
	h.ack()
	h.s.Sweep(h.now)
	h.now += AckAfter
	h.silent()
	h.host.only().read(1)
	h.s.Sweep(h.now)
	if s := h.ack(); s.Consumed != 1 {
		t.Errorf("%+v is acknowledged, want 1 consumed", s)
	}
}

func TestL5TheOriginLetsGoWhatItsPolicySays(t *testing.T) {
	tests := []struct {
		release          Release
		stored, consumed uint64
		want             uint64 // the first that the origin still has
	}{
		{OnConsumed, 0, 0, 1},
		{OnConsumed, 20, 0, 1},
		{OnConsumed, 20, 20, 21},
		{OnStored, 0, 0, 1},
		{OnStored, 20, 0, 21},
		{OnStored, 20, 20, 21},
	}
	for _, tt := range tests {
		h := newHand(t)
		l := newLane(t, 1<<16, epoch1, 1)
		st := h.s.Open(l, south, north, 0, tt.release)
		h.only(wire.TypeOpen)
		h.must(stateFrame(wire.TypeResume, st.num, wire.State{Epoch: epoch1, Credit: 10_000, Largest: 10_000}))
		l.puts(20, 100)
		h.s.Wake(st)
		h.only(wire.TypeData)
		if l.First() != 1 {
			t.Fatalf("%v: what TCP has taken is let go", tt.release)
		}
		h.must(stateFrame(wire.TypeAck, st.num, wire.State{Epoch: epoch1, Stored: tt.stored, Consumed: tt.consumed}))
		if l.First() != tt.want || l.Consumed() != tt.consumed {
			t.Errorf("release %d, ACK of %d and %d: the origin has record %d and notes %d consumed, want %d", tt.release, tt.stored, tt.consumed, l.First(), l.Consumed(), tt.want)
		}
	}
}

// A lane that goes on in a larger ring does not wait for long until all of the old one is consumed: what the far side has
// stored is let go after HeldWait.
func TestL5AHandlerThatTakesLongDoesNotStopALaneThatGrows(t *testing.T) {
	h := newHand(t)
	l := newLane(t, 1<<16, epoch1, 1)
	st := h.s.Open(l, south, north, 0, OnConsumed)
	h.only(wire.TypeOpen)
	h.must(stateFrame(wire.TypeResume, st.num, wire.State{Epoch: epoch1, Credit: 10_000, Largest: 10_000}))
	for range 4 {
		l.puts(5, 100)
		h.s.Wake(st)
		h.only(wire.TypeData)
	}
	if at := h.s.Hold(st, h.now); at != 0 {
		t.Errorf("a lane that does not grow is waited for at %d", at)
	}
	l.held = true
	if at := h.s.Hold(st, h.now); at != h.now+HeldWait {
		t.Errorf("Tick is to be called at %d, want %d", at, h.now+HeldWait)
	}
	if at := h.s.Hold(st, h.now); at != 0 {
		t.Errorf("it is noted twice: %d", at)
	}
	h.must(stateFrame(wire.TypeAck, st.num, wire.State{Epoch: epoch1, Stored: 15, Consumed: 5, Credit: 10_000, Largest: 10_000}))
	for _, step := range []struct {
		after int64
		first uint64
	}{{HeldWait - 1, 6}, {1, 16}, {HeldWait, 16}} {
		h.now += step.after
		next, err := h.s.Tick(h.now)
		if err != nil || l.First() != step.first || l.Consumed() != 5 {
			t.Errorf("after %d ns the origin has record %d, want %d, and notes %d consumed: %v", step.after, l.First(), step.first, l.Consumed(), err)
		}
		if next > h.now+HeldWait {
			t.Errorf("Tick is next called after %d ns", next-h.now)
		}
	}
	h.must(stateFrame(wire.TypeAck, st.num, wire.State{Epoch: epoch1, Stored: 20, Consumed: 5, Credit: 10_000, Largest: 10_000}))
	h.now += HeldWait
	if _, err := h.s.Tick(h.now); err != nil || l.First() != 21 || st.held || len(h.s.held) != 0 {
		t.Errorf("the origin has record %d; it is held: %v, %d of them: %v", l.First(), st.held, len(h.s.held), err)
	}
	l.held = false
	l.puts(1, 100)
	h.s.Wake(st)
	h.only(wire.TypeData)
}

func TestL7CreditFollowsTheRing(t *testing.T) {
	h := newHand(t)
	h.host.most = 1 << 16 // it does not grow
	const size = uint64(1 << 16)
	s := h.open(1, epoch1, 1)
	if want := size - size/4 - ring.HeaderSize; s.Credit != want || s.Largest != uint32(size/4) {
		t.Fatalf("RESUME says %+v, want a credit of %d and records of %d", s, want, size/4)
	}
	h.must(dataFrame(1, epoch1, 1, 9984)) // 10,000 with its header
	if got := h.ack(); got.Credit != s.Credit {
		t.Errorf("credit went from %d to %d though nothing was consumed", s.Credit, got.Credit)
	}
	m := h.host.only()
	m.read(1)
	h.s.Touch(h.host.opened[0], h.now)
	if got := h.ack(); got.Credit != s.Credit+10_000 {
		t.Errorf("credit went from %d to %d, want 10,000 more", s.Credit, got.Credit)
	}
}

func TestL7CreditNeverShrinks(t *testing.T) {
	h := newHand(t)
	credit := h.open(1, epoch1, 1).Credit
	h.host.only().given = true // nothing but a small ring is left
	h.s.Touch(h.host.opened[0], h.now)
	if s := h.ack(); s.Credit != credit {
		t.Errorf("credit went from %d to %d", credit, s.Credit)
	}
}

func TestL7MoreThanTheCreditEndsTheConnection(t *testing.T) {
	h := newHand(t)
	h.host.most = 1 << 16
	credit := h.open(1, epoch1, 1).Credit
	seq, sent := uint64(1), uint64(0)
	for ; sent+8000 <= credit; seq++ {
		h.must(dataFrame(1, epoch1, seq, 7984))
		sent += 8000
	}
	h.must(dataFrame(1, epoch1, seq, int(credit-sent)-ring.HeaderSize)) // the last bytes of it
	h.wantRefused(h.send(dataFrame(1, epoch1, seq+1, 0)), wire.CodeProtocol, "is beyond the credit")
	h.s.Close()
	m := h.host.only()
	m.read(100)
	wantGot(t, m, 1, seq)
}

// Whatever sizes come, what is within the credit and no larger than the largest
// record has room: no lane holds up the reader of a connection.
func TestL7WhatIsWithinCreditHasRoom(t *testing.T) {
	rng := testutil.Rand(t)
	for range 20 {
		h := newHand(t)
		h.host.size = 1 << (12 + rng.IntN(5))
		h.host.most = h.host.size << (2 * rng.IntN(2))
		s := h.open(1, epoch1, 1)
		in, m := h.host.opened[0], h.host.only()
		seq, used := uint64(1), uint64(0)
		for range 400 {
			n := rng.IntN(min(int(s.Largest)-ring.HeaderSize, wire.MaxPayload))
			if rng.IntN(2) == 0 {
				n = rng.IntN(64)
			}
			if size := ring.RecordSize(n); used+size <= s.Credit {
				h.must(dataFrame(1, epoch1, seq, n))
				used += size
				seq++
			} else {
				m.read(rng.IntN(20))
			}
			h.s.Touch(in, h.now)
			s = h.ack()
		}
		m.read(int(seq))
		wantGot(t, m, 1, seq-1)
	}
}

func TestL8TheLaneGrowsBeforeALargeRecord(t *testing.T) {
	r := newRig(t, nil)
	r.b.host.size, r.b.host.most = 1<<14, 1<<14
	l := newLane(t, 1<<23, epoch1, 1)
	r.open(l, north, south)
	r.settle()
	m := r.b.host.only()
	for _, n := range []int{13_000, 100_000, 1_000_000, 3_000_000} {
		l.puts(1, n)
		r.settle()
		if size := m.last().tx.Size(); ring.RecordSize(n) > size/4 {
			t.Errorf("a record of %d bytes went into a ring of %d", n, size)
		}
		r.consume(m, 10)
	}
	wantGot(t, m, 1, 4)
	if m.grows != 4 {
		t.Errorf("the lane grew %d times, want 4", m.grows)
	}
}

// A lane whose memory was given back grows to what is wanted.
func TestL8ALaneWithoutMemoryGrows(t *testing.T) {
	r := newRig(t, nil)
	r.b.host.size = 1 << 14
	l := newLane(t, 1<<20, epoch1, 1)
	r.open(l, north, south)
	r.settle()
	m := r.b.host.only()
	m.given = true
	l.puts(1, 200_000)
	r.settle()
	r.consume(m, 10)
	wantGot(t, m, 1, 1)
}

func TestL8WantOfMoreThanTheLargestIsRefused(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.open(2, epoch1, 1)
	h.must(wire.AppendWant(nil, 1, epoch1, maxRecord+1))
	h.wantStreamRefused(1, wire.CodeTooBig)
	if len(h.host.closed) != 1 || h.host.closed[0].Src != north {
		t.Error("the refused stream is not let go")
	}
	h.must(wire.AppendWant(nil, 2, epoch1, maxRecord)) // exactly
	if s := h.state(h.only(wire.TypeAck)[0]); uint64(s.Largest) < ring.RecordSize(maxRecord) {
		t.Errorf("%+v is the answer to WANT", s)
	}
}

func TestL8WantThatTheBudgetForbidsIsRefused(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.host.only().budget = 1 << 16
	h.must(wire.AppendWant(nil, 1, epoch1, 1<<20))
	h.wantStreamRefused(1, wire.CodeBudget)
	if m := h.host.only(); m.open != 0 || m.aborts != 1 {
		t.Errorf("the lane is open %d times and was cleared %d times", m.open, m.aborts)
	}
}

// A record that is larger than the far side takes blocks nothing: it is put aside,
// and the far side is told.
func TestL8UndeliverableRecordsArePassed(t *testing.T) {
	r := newRig(t, func(_, b *Config) { b.Hello.MaxRecord = 1000 })
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	for _, n := range []int{1000, 1001, 10, 5000, 5000, 20} {
		l.puts(1, n)
	}
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if got := fmt.Sprint(r.a.host.rejects); got != "[2 4 5]" {
		t.Errorf("records %s are put aside, want 2, 4 and 5", got)
	}
	var seqs []uint64
	for _, g := range m.got {
		seqs = append(seqs, g.seq)
	}
	if got := fmt.Sprint(seqs); got != "[1 3 6]" {
		t.Errorf("records %s arrive, want 1, 3 and 6", got)
	}
	if len(m.gaps) != 3 || m.gaps[1] != (wire.Gap{Epoch: epoch1, From: 4, To: 4, Reason: ReasonTooBig, Text: m.gaps[1].Text}) {
		t.Errorf("the far process is told of %+v", m.gaps)
	}
	if l.First() != 7 {
		t.Errorf("the origin still has record %d", l.First())
	}
	if a, b := r.a.Stats(), r.b.Stats(); a.GapsSent != 3 || b.GapsReceived != 3 || a.InFlight != 0 {
		t.Errorf("the origin counts %+v, the far side %+v", a, b)
	}
}

// While a record cannot be put aside it is not lost: its stream ends, and the host
// decides when it is tried again.
func TestL8UndeliverableIsTriedAgain(t *testing.T) {
	r := newRig(t, func(_, b *Config) { b.Hello.MaxRecord = 1000 })
	l := newLane(t, 1<<16, epoch1, 1)
	st := r.open(l, north, south)
	r.a.host.undeliverable = errors.New("the disk is full")
	l.puts(1, 10)
	l.puts(1, 2000)
	l.puts(1, 20)
	r.settle()
	if len(r.a.host.refused) != 1 || r.a.host.refused[0].st != st || r.a.host.refused[0].n.Code != wire.CodeTooBig || st.Flowing() {
		t.Fatalf("the host is told %+v", r.a.host.refused)
	}
	r.a.host.undeliverable = nil
	r.open(l, north, south)
	r.settle()
	r.consume(r.b.host.only(), 100)
	if m := r.b.host.only(); len(m.got) != 2 || len(m.gaps) != 1 || l.First() != 4 {
		t.Errorf("%d messages and %d gaps arrive, the origin still has record %d", len(m.got), len(m.gaps), l.First())
	}
}

func TestL11ANewEpochBeginsANewLife(t *testing.T) {
	r := newRig(t, nil)
	first := newLane(t, 1<<16, epoch1, 1)
	r.open(first, north, south)
	first.puts(10, 100)
	r.settle()
	m := r.b.host.only()
	r.consume(m, 4)

	second := newLane(t, 1<<16, epoch1+7, 1) // the origin's host has lost its memory
	r.connect()
	r.open(second, north, south)
	second.puts(5, 100)
	r.settle()
	if second.First() != 1 || second.Consumed() != 0 {
		t.Errorf("the origin has record %d and notes %d consumed, while the far process is in the life before", second.First(), second.Consumed())
	}
	m.read(6) // the rest of the first life
	m.follow()
	r.touch()
	r.settle()
	if second.First() != 1 || second.Consumed() != 0 {
		t.Errorf("the origin has record %d and notes %d consumed, before the GAP was taken", second.First(), second.Consumed())
	}
	r.consume(m, 100)
	if len(m.gaps) != 1 || m.gaps[0].Epoch != epoch1 || m.gaps[0].From != 11 || m.gaps[0].To != 0 || m.gaps[0].Reason != ReasonNewLife {
		t.Errorf("the far process is told of %+v, want one gap from 11 of the first life", m.gaps)
	}
	if len(m.got) != 15 || m.got[10].epoch != epoch1+7 || m.got[10].seq != 1 || m.got[14].seq != 5 {
		t.Errorf("%d messages arrive", len(m.got))
	}
	if second.First() != 6 || second.Consumed() != 5 {
		t.Errorf("the origin has record %d and notes %d consumed, want 6 and 5", second.First(), second.Consumed())
	}
}

func TestL12CloseLetsTheLaneGo(t *testing.T) {
	h := newHand(t)
	h.open(1, epoch1, 1)
	h.must(dataFrame(1, epoch1, 1, 10, 10))
	h.must(wire.AppendClose(nil, 1, epoch1))
	m := h.host.only()
	if len(h.host.closed) != 1 || m.open != 0 || h.s.Stats().Inbound != 0 {
		t.Errorf("%d lanes are closed, the lane is open %d times, %d streams are left", len(h.host.closed), m.open, h.s.Stats().Inbound)
	}
	h.now += AckAfter
	h.silent() // nothing is owed any more
	h.must(dataFrame(1, epoch1, 3, 10))
	if h.s.Stats().Stale != 1 {
		t.Error("a frame of a closed stream is not counted")
	}
	m.read(10)
	wantGot(t, m, 1, 2)
}

func TestL12ShutKeepsWhatIsNotConfirmed(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	st := r.open(l, north, south)
	l.puts(6, 100)
	r.settle()
	r.consume(r.b.host.only(), 2)
	r.a.Shut(st)
	r.a.Shut(st)
	r.settle()
	if l.First() != 1 || l.Consumed() != 2 || r.a.Stats().Streams != 0 || r.b.Stats().Inbound != 0 || r.a.Stats().InFlight != 0 {
		t.Errorf("the origin has record %d; %+v", l.First(), r.a.Stats())
	}
	r.open(l, north, south)
	r.settle()
	r.b.host.opened = r.b.host.opened[1:]
	r.consume(r.b.host.only(), 100)
	wantGot(t, r.b.host.only(), 1, 6)
}

func TestL13WhatTheFarHostLostComesAgainFlagged(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.openAs(l, north, south, 0, OnConsumed)
	l.puts(4, 100)
	r.settle()
	r.consume(r.b.host.only(), 4)
	l.puts(6, 100)
	r.settle()

	clear(r.b.host.mirrors) // the far host is a new one
	r.connect()
	l.puts(3, 100) // never sent before
	r.open(l, north, south)
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if len(m.got) != 9 || len(m.gaps) != 0 {
		t.Fatalf("%d messages and %d gaps arrive, want 5 to 13", len(m.got), len(m.gaps))
	}
	for i, g := range m.got {
		flag := uint8(0)
		if i < 6 {
			flag = ring.FlagRedel
		}
		if g.seq != uint64(5+i) || g.flags != flag {
			t.Errorf("message %d has number %d and flags %d, want %d and %d", i, g.seq, g.flags, 5+i, flag)
		}
	}
	if l.First() != 14 {
		t.Errorf("the origin still has record %d", l.First())
	}
}

// A large record comes again flagged, too.
func TestL13PartsOfALargeRecordAreFlagged(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<20, epoch1, 1)
	r.open(l, north, south)
	l.puts(1, 100_000)
	r.settle()
	clear(r.b.host.mirrors)
	r.connect()
	r.open(l, north, south)
	r.settle()
	r.consume(r.b.host.only(), 10)
	if m := r.b.host.only(); len(m.got) != 1 || m.got[0].flags != ring.FlagRedel || len(m.got[0].data) != 100_000 {
		t.Errorf("%d messages arrive", len(m.got))
	}
}

func TestL13WhatTheOriginHadLetGoIsAGap(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.openAs(l, north, south, 0, OnStored)
	l.puts(10, 100)
	r.settle()
	r.consume(r.b.host.only(), 4) // the other six are in the far host's memory alone

	clear(r.b.host.mirrors)
	r.connect()
	r.openAs(l, north, south, 0, OnStored)
	l.puts(2, 100)
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if len(m.gaps) != 1 || m.gaps[0].From != 5 || m.gaps[0].To != 10 || m.gaps[0].Reason != ReasonFarLost {
		t.Errorf("the far process is told of %+v, want a gap from 5 to 10", m.gaps)
	}
	wantGot(t, m, 11, 12)
	if len(r.b.host.lost) != 1 {
		t.Errorf("the far host is told of %+v", r.b.host.lost)
	}
}

func TestL14WhatIsDiscardedIsAGapThatBothSidesPass(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	l.puts(3, 100)
	r.settle()
	l.puts(5, 100)
	l.dropTo = 6 // before the relay has taken 4 to 6
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if len(m.gaps) != 1 || m.gaps[0].From != 4 || m.gaps[0].To != 6 || m.gaps[0].Reason != ReasonDiscarded {
		t.Errorf("the far process is told of %+v, want a gap from 4 to 6", m.gaps)
	}
	if len(m.got) != 5 || m.got[3].seq != 7 || l.First() != 9 {
		t.Errorf("%d messages arrive, and the origin still has record %d", len(m.got), l.First())
	}
	if len(r.a.host.lost) != 1 || len(r.b.host.lost) != 1 {
		t.Errorf("the hosts are told of %+v and %+v, want one gap each", r.a.host.lost, r.b.host.lost)
	}
}

// A lane that has come from another host may have a GAP in it: the next host is
// told of that, and what it stood for is missing there, too.
func TestL14AGapInTheLaneIsPassedOn(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	l.puts(2, 100)
	for _, p := range [][]byte{wire.GapRecord(&wire.Gap{Epoch: 9, From: 77, Reason: ReasonNewLife, Text: "began anew"}), []byte("no gap")} {
		b, err := l.tx.ClaimFlagged(len(p), ring.FlagGap)
		if err != nil {
			t.Fatal(err)
		}
		copy(b, p)
		l.tx.Commit()
		l.puts(1, 100)
	}
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if len(m.gaps) != 2 || m.gaps[0] != (wire.Gap{Epoch: epoch1, From: 3, To: 3, Reason: ReasonNewLife, Text: "began anew"}) || m.gaps[1].From != 5 || m.gaps[1].To != 5 {
		t.Errorf("the far process is told of %+v", m.gaps)
	}
	if len(m.got) != 4 || m.got[2].seq != 4 || m.got[3].seq != 6 || l.First() != 7 {
		t.Errorf("%d messages arrive, and the origin still has record %d", len(m.got), l.First())
	}
}

// The GAP with which a life began has number 0: it is of no record of this life.
func TestL14AGapWithNumberZeroIsPassed(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 0)
	b, err := l.tx.ClaimFlagged(30, ring.FlagGap)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, wire.GapRecord(&wire.Gap{Epoch: 9, From: 77, Reason: ReasonNewLife, Text: "xyz"}))
	l.tx.Commit()
	l.puts(3, 100)
	r.open(l, north, south)
	r.settle()
	m := r.b.host.only()
	r.consume(m, 100)
	if len(m.got) != 3 || m.got[0].seq != 1 || m.got[2].seq != 3 || len(m.gaps) != 0 || l.First() != 4 {
		t.Errorf("%d messages arrive with the gaps %+v, the origin still has record %d", len(m.got), m.gaps, l.First())
	}
}

// What was discarded while there was no connection is a GAP right after RESUME;
// what another host has consumed meanwhile is not lost.
func TestL14WhatWentWhileThereWasNoConnection(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		r := newRig(t, nil)
		l := newLane(t, 1<<16, epoch1, 1)
		r.open(l, north, south)
		l.puts(3, 100)
		r.settle()
		r.consume(r.b.host.only(), 3)
		r.connect()
		l.puts(4, 100)
		if _, err := l.Take(make([]ring.Record, 4), 1<<16); err != nil {
			t.Fatal(err)
		}
		l.Release(7)
		if elsewhere {
			l.Confirm(7)
		}
		l.puts(1, 100)
		r.open(l, north, south)
		r.settle()
		m := r.b.host.only()
		r.consume(m, 100)
		if len(m.got) != 4 || m.got[3].seq != 8 || l.First() != 9 {
			t.Errorf("%d messages arrive, and the origin still has record %d", len(m.got), l.First())
		}
		want := 1
		if elsewhere {
			want = 0
		}
		if len(m.gaps) != want || len(r.a.host.lost) != want || len(r.b.host.lost) != want {
			t.Errorf("consumed elsewhere %v: the far process is told of %+v", elsewhere, m.gaps)
		}
	}
}

func TestL15StreamsThatTheHostDoesNotAdmitAreRefused(t *testing.T) {
	h := newHand(t)
	h.host.admit = func(src, dst addr.Addr) *wire.Notice {
		if src == north && dst == south {
			return &wire.Notice{Code: wire.CodeNotYours, Text: "source 0.0.1.1 is not of host north"}
		}
		return nil
	}
	h.must(openFrame(1, epoch1, 1), dataFrame(1, epoch1, 1, 10))
	h.wantStreamRefused(1, wire.CodeNotYours)
	if len(h.host.mirrors) != 0 || len(h.host.opened) != 0 {
		t.Error("a lane was made for a stream that is not admitted")
	}
	h.open(2, epoch1, 1) // others are served
	h.must(dataFrame(2, epoch1, 1, 10))
	if s := h.ack(); s.Stored != 1 {
		t.Errorf("%+v is acknowledged", s)
	}
}

// A stream that flows ends when the routes give it to somebody else.
func TestL15AStreamIsDismissed(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	st := r.open(l, north, south)
	l.puts(3, 100)
	r.settle()
	r.b.Dismiss(r.b.host.opened[0])
	r.b.Dismiss(r.b.host.opened[0])
	l.puts(1, 100)
	r.settle()
	if n := r.a.host.refused; len(n) != 1 || n[0].st != st || n[0].n.Code != wire.CodeNotYours {
		t.Errorf("the origin is told %+v", n)
	}
	if st.Flowing() || l.First() != 1 || r.a.Stats().InFlight != 0 || r.b.host.only().open != 0 {
		t.Errorf("flowing %v, the origin has record %d, %+v", st.Flowing(), l.First(), r.a.Stats())
	}
}

func TestL17ANewerConnectionTakesThePlace(t *testing.T) {
	r := newRig(t, nil)
	l := newLane(t, 1<<16, epoch1, 1)
	r.open(l, north, south)
	l.puts(3, 100)
	r.settle()
	r.b.End(wire.Notice{Code: wire.CodeReplaced, Text: "connection 0 of host north"})
	r.b.End(wire.Notice{Code: wire.CodeStopping})
	r.run()
	if err := r.a.Err(); !errors.Is(err, ErrOver) || !strings.Contains(err.Error(), "replaced by a newer connection: connection 0 of host north") {
		t.Errorf("the replaced connection ends with %v", err)
	}
	if err := r.b.Err(); !errors.Is(err, ErrOver) || errors.Is(err, wire.ErrProtocol) {
		t.Errorf("the side that ended it says %v", err)
	}
}

// Two hosts whose HELLOs do not go together say so, both of them.
func TestL17HellosThatDoNotGoTogether(t *testing.T) {
	greet := func(*wire.Hello) *wire.Notice { return &wire.Notice{Code: wire.CodeBusy, Text: "enough"} }
	tests := []struct {
		name   string
		change func(h *wire.Hello)
		greet  func(h *wire.Hello) *wire.Notice
		code   wire.Code
		want   string
	}{
		{"they do", func(*wire.Hello) {}, nil, 0, ""},
		{"a version to come", func(h *wire.Hello) { h.Lowest, h.Highest = 2, 3 }, nil, wire.CodeVersion, "it speaks versions 2 to 3 of the protocol, this side 1 to 1"},
		{"a version to come that knows this one", func(h *wire.Hello) { h.Lowest, h.Highest = 1, 3 }, nil, 0, ""},
		{"expected is another", func(h *wire.Hello) { h.Expected = "east" }, nil, wire.CodeIdentity, `this is host "south", not "east"`},
		{"expected is this one", func(h *wire.Hello) { h.Expected = "south" }, nil, 0, ""},
		{"it is another", func(h *wire.Hello) { h.Host = "west" }, nil, wire.CodeIdentity, `host "north" was expected, not "west"`},
		{"another template", func(h *wire.Hello) { h.Template = "4.12.16" }, nil, wire.CodeTemplate, "addresses are written 8.8.8.8 here, 4.12.16 there"},
		{"another key", func(h *wire.Hello) { h.Key = 77 }, nil, 0, ""},
		{"the host does not like it", func(*wire.Hello) {}, greet, wire.CodeBusy, "enough"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHandBeforeHello(t, config("south", "north"))
			h.host.greet = tt.greet
			h.only(wire.TypeHello)
			hello := config("north", "").Hello
			tt.change(&hello)
			err := h.send(wire.AppendHello(nil, &hello))
			if tt.code == 0 {
				if err != nil || !h.s.Up() || *h.s.Peer() != hello {
					t.Errorf("%v, up %v with %+v", err, h.s.Up(), h.s.Peer())
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.ByPeer || refused.Host != hello.Host || refused.Notice.Code != tt.code || h.s.Up() {
				t.Errorf("the session ends with %#v", err)
			}
			h.wantRefused(err, tt.code, tt.want)
		})
	}
}

// The side that is refused learns why, from whichever side it was.
func TestARefusalReachesTheOtherSide(t *testing.T) {
	r := newRig(t, func(_, b *Config) { b.Hello.Template = "4.12.16" })
	r.run()
	var refused *RefusedError
	if err := r.a.Err(); !errors.As(err, &refused) || !strings.Contains(err.Error(), "another address template") {
		t.Errorf("the origin ends with %v", err)
	}
	h := newHandBeforeHello(t, config("south", ""))
	h.only(wire.TypeHello)
	err := h.send(wire.AppendNotice(nil, wire.TypeRefuse, 0, wire.Notice{Code: wire.CodeBusy, Text: "later"}))
	if !errors.As(err, &refused) || !refused.ByPeer || err.Error() != "refused by the other side: too many: later" {
		t.Errorf("the session ends with %v", err)
	}
	h.silent() // a refusal is not answered
}
