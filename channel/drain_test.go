// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"slices"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

// firstSrc is the first of many sources.
const firstSrc addr.Addr = 100

// manySenders opens lanes from n sources to addrB.
func manySenders(t testing.TB, table *Table, n int) []*Sender {
	t.Helper()
	list := make([]*Sender, n)
	for i := range list {
		list[i] = newSender(t, table, firstSrc+addr.Addr(i), addrB)
	}
	return list
}

// batches takes n batches in place and releases them; it returns from whom each
// came and how many messages it had.
func (e end) batches(n int) (from []addr.Addr, sizes []int) {
	recs := make([]ring.Record, BatchSize)
	for range n {
		r, n := e.drain.Next(recs, false)
		if n == 0 {
			break
		}
		r.Count(recs[:n])
		r.Release(&recs[n-1], true)
		from, sizes = append(from, r.Src()), append(sizes, n)
	}
	return from, sizes
}

func TestPriorityIsBatchesPerTurn(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, 3)
	priorities := []uint8{0, 2, 5}
	for i, s := range senders {
		check(t, table.SetPriority(s.Pair(), priorities[i]))
		for k := range 40 * BatchSize {
			check(t, s.Send(payload(k, 20)))
		}
	}
	from, sizes := to.batches(40)
	var want []addr.Addr
	for len(want) < 40 {
		for i, p := range priorities {
			for range 1 + p {
				want = append(want, firstSrc+addr.Addr(i))
			}
		}
	}
	if !slices.Equal(from, want[:40]) {
		t.Errorf("batches from %d\nwant         %d", from, want[:40])
	}
	for i, n := range sizes {
		// At the end of a generation a batch is shorter.
		if n > BatchSize || n == 0 {
			t.Errorf("batch %d has %d messages", i, n)
		}
	}
	if err := table.SetPriority(Pair{addrC, addrD}, 1); err == nil {
		t.Error("the priority of a lane that there is not was set")
	}
}

// TestHighestPriorityStarvesNobody: what is behind a lane that is never empty
// comes within a turn of it.
func TestHighestPriorityStarvesNobody(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true, Limits: Limits{GrowBytes: 4096}})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, 2)
	check(t, table.SetPriority(senders[0].Pair(), 255))
	check(t, senders[0].Send(payload(0, 20)))
	check(t, senders[1].Send(payload(0, 20)))
	for k := 1; ; k++ {
		check(t, senders[0].Send(payload(k, 20))) // one more for each that is taken
		from, _ := to.batches(1)
		if from[0] == senders[1].Pair().Src {
			break
		}
		if k > 256 {
			t.Fatal("256 batches of one lane, none of the other")
		}
	}
}

func TestPriorityWithCopyingTakes(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, 2)
	for i, s := range senders {
		for range 20 {
			check(t, s.Send(payload(i, 20)))
		}
	}
	for k := range 40 {
		b := to.next()
		if i, whole := number(b); !whole || i != k%2 {
			t.Fatalf("message %d is of lane %d", k, i)
		}
	}
}

// bitOf reports whether a lane's bit in the ready set is set.
func bitOf(s *Sender) bool {
	return s.to.page.ready[s.slot/64].Load()>>(s.slot%64)&1 != 0
}

func TestFewLanesStayHotForAThousandTurns(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, hotLanes)
	for _, s := range senders {
		check(t, s.Send(payload(0, 20)))
	}
	for range hotLanes {
		if to.next() == nil {
			t.Fatal("a message is missing")
		}
	}
	for range hotTurns {
		if to.next() != nil {
			t.Fatal("a message out of nothing")
		}
	}
	for i, s := range senders {
		if !bitOf(s) {
			t.Fatalf("lane %d has cooled too early", i)
		}
	}
	for range 2 { // the last lanes had their turns a little later
		to.next()
	}
	for i, s := range senders {
		if bitOf(s) {
			t.Errorf("lane %d is still polled", i)
		}
	}
	if len(to.drain.active) != 0 || to.drain.Look() {
		t.Errorf("%d lanes are active, something is ready: %v", len(to.drain.active), to.drain.Look())
	}
	for i, s := range senders {
		check(t, s.Send(payload(1, 20)))
		if !bitOf(s) {
			t.Errorf("lane %d: its sender has not announced", i)
		}
	}
	if n := len(to.all()); n != hotLanes {
		t.Errorf("%d messages, want %d", n, hotLanes)
	}
	wantClean(t, table)
}

func TestManyLanesCoolAtOnce(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, hotLanes+4)
	for _, s := range senders {
		check(t, s.Send(payload(0, 20)))
	}
	if n := len(to.all()); n != len(senders) {
		t.Fatalf("%d messages, want %d", n, len(senders))
	}
	hot := 0
	for _, s := range senders {
		if bitOf(s) {
			hot++
		}
	}
	if hot != hotLanes || len(to.drain.active) != hotLanes {
		t.Errorf("%d bits are set and %d lanes are active, want %d", hot, len(to.drain.active), hotLanes)
	}
	for round := range 3 {
		for i, s := range senders {
			check(t, s.Send(payload(i, 20)))
		}
		if n := len(to.all()); n != len(senders) {
			t.Errorf("round %d: %d messages, want %d", round, n, len(senders))
		}
	}
}

func TestThousandLanesInOneInbox(t *testing.T) {
	const lanes, each = 1000, 3
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, lanes)
	for k := range each {
		for i, s := range senders {
			check(t, s.Send(payload(i*each+k, 20)))
		}
	}
	next := make([]int, lanes)
	got := to.all()
	for _, b := range got {
		k, whole := number(b)
		if !whole || k%each != next[k/each] {
			t.Fatalf("message %d of lane %d, want %d", k%each, k/each, next[k/each])
		}
		next[k/each]++
	}
	if len(got) != lanes*each {
		t.Errorf("%d messages, want %d", len(got), lanes*each)
	}
	if n := len(to.drain.active); n > hotLanes {
		t.Errorf("%d lanes are polled, want at most %d", n, hotLanes)
	}
	wantClean(t, table)
}

// TestSweepFindsWhatWasNotAnnounced does what a sender does that dies between
// its commit and its bit.
func TestSweepFindsWhatWasNotAnnounced(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	const lanes = 2*sweepLanes + 10
	senders := manySenders(t, table, lanes)
	for _, i := range []int{0, 5, sweepLanes + 3, lanes - 1} {
		s := senders[i]
		check(t, s.Send(payload(i, 20)))
		to.drain.clear(s.slot)
		if to.next() != nil {
			t.Fatalf("lane %d: found without its bit", i)
		}
		// It never opens more than so many lanes at once, so it may take a few.
		sweeps, most := 1, lanes/sweepLanes+2
		for !to.drain.Sweep() {
			if sweeps++; sweeps > most {
				t.Fatalf("lane %d: not found in %d sweeps", i, most)
			}
		}
		if !bitOf(s) {
			t.Errorf("lane %d: the sweep has not set its bit", i)
		}
		wantNumbers(t, to.all(), i, i+1)
		if to.drain.Sweep() {
			t.Errorf("lane %d: found again", i)
		}
		to.drain.Close() // the next one has opened nothing
		to.drain = must(to.Drain())(t)
	}
	wantClean(t, table)
}

func TestFromTakesOneLaneOnly(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	senders := manySenders(t, table, 3)
	for i, s := range senders {
		for k := range 4 {
			check(t, s.Send(payload(10*i+k, 20)))
		}
	}
	middle := senders[1].Pair().Src
	if to.drain.ReadyFrom(addrD) || !to.drain.ReadyFrom(middle) {
		t.Error("ReadyFrom is wrong")
	}
	if r, n, err := to.drain.From(addrD, make([]ring.Record, 1), true); r != nil || n != 0 || err != nil {
		t.Errorf("from an address without a lane: %v, %d, %v", r, n, err)
	}
	recs := make([]ring.Record, BatchSize)
	r, n, err := to.drain.From(middle, recs, false)
	check(t, err)
	if n != 4 || r.Src() != middle {
		t.Fatalf("%d messages from %v, want 4 from %v", n, r.Src(), middle)
	}
	for k := range n {
		if got, _ := number(recs[k].Data); got != 10+k {
			t.Errorf("message %d is number %d", k, got)
		}
	}
	r.Release(&recs[n-1], true)
	if to.drain.ReadyFrom(middle) {
		t.Error("ReadyFrom of a lane that is empty")
	}
	if _, n, err := to.drain.From(middle, recs, false); n != 0 || err != nil {
		t.Errorf("%d more, %v", n, err)
	}
	if n := len(to.all()); n != 8 {
		t.Errorf("%d messages of the others, want 8", n)
	}
}

// TestFromLeavesTheRestToNext: what From has not taken, Next does.
func TestFromLeavesTheRestToNext(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	s := manySenders(t, table, 1)[0]
	for k := range 3 {
		check(t, s.Send(payload(k, 20)))
	}
	var recs [1]ring.Record
	r, n, err := to.drain.From(firstSrc, recs[:], true)
	if n != 1 || err != nil {
		t.Fatal(n, err)
	}
	r.Accept(&recs)
	wantNumbers(t, to.all(), 1, 3)
}

func TestUnturnGivesTheTurnBack(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	for i, s := range manySenders(t, table, 2) {
		check(t, s.Send(payload(i, 20)))
	}
	recs := make([]ring.Record, 1)
	for range 3 {
		r, n := to.drain.Next(recs, false)
		if n != 1 || r.Src() != firstSrc {
			t.Fatalf("%d messages from %v, want the first lane's", n, r.Src())
		}
		r.Rewind(&recs[0], false)
		to.drain.Unturn(r)
	}
	if n := len(to.all()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestClosedDrainsMessagesComeAgain(t *testing.T) {
	_, s, to := newPair(t, Config{})
	for k := range 10 {
		check(t, s.Send(payload(k, 20)))
	}
	recs := make([]ring.Record, 6)
	r, n := to.drain.Next(recs, false)
	if n != 6 {
		t.Fatalf("%d messages, want 6", n)
	}
	r.Release(&recs[3], true)
	to.drain.Close()
	to.drain = must(to.Drain())(t)
	var again []bool
	var list [][]byte
	for {
		r, n := to.drain.Next(recs[:1], false)
		if n == 0 {
			break
		}
		list, again = append(list, slices.Clone(recs[0].Data)), append(again, recs[0].Redelivered)
		r.Release(&recs[0], true)
	}
	wantNumbers(t, list, 4, 10)
	if want := []bool{true, true, false, false, false, false}; !slices.Equal(again, want) {
		t.Errorf("redelivered %v, want %v", again, want)
	}
}

// A wide inbox is opened in portions, and nothing of it is left behind: none is
// ready only when nothing is there.
func TestWideInboxIsOpenedInPortions(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	const lanes = 200
	senders := manySenders(t, table, lanes)
	senders[0].Close()
	for _, s := range senders[1:] {
		check(t, s.Send(payload(0, 0)))
	}
	opened := func() (n int) {
		for _, r := range to.drain.lanes {
			if r != nil {
				n++
			}
		}
		return n
	}
	from, _ := to.batches(1)
	if n := opened(); len(from) != 1 || n > openedAtOnce {
		t.Fatalf("%d lanes are open after the first batch of %v, want at most %d", n, from, openedAtOnce)
	}
	again, _ := to.batches(2 * lanes)
	from = append(from, again...)
	slices.Sort(from)
	if len(slices.Compact(from)) != lanes-1 {
		t.Errorf("messages came from %d lanes, want %d", len(from), lanes-1)
	}
	check(t, senders[lanes-1].Send(payload(1, 0)))
	if from, _ := to.batches(2); len(from) != 1 {
		t.Errorf("the last message came from %v", from)
	}
}

// Who looks before each message does not prefer a lane.
func TestLookKeepsTheTurns(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	to := bindReader(t, table, addrB)
	const each = 5
	for _, s := range manySenders(t, table, 3) {
		for k := range each {
			check(t, s.Send(payload(k, 0)))
		}
	}
	recs := make([]ring.Record, 1)
	for k := range 3 * each {
		if !to.drain.Look() {
			t.Fatalf("nothing is ready after %d messages", k)
		}
		r, n := to.drain.Next(recs, false)
		if n != 1 || r.Src() != firstSrc+addr.Addr(k%3) {
			t.Fatalf("message %d: %d from %v", k, n, r.Src())
		}
		r.Release(&recs[0], true)
	}
}
