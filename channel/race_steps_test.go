// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/shm"
)

// at runs do when the n-th step named site is reached, and lets everything go on
// after that. It is taken back at the end of the test.
func at(t *testing.T, site string, n int, do func()) (reached func() bool) {
	t.Cleanup(func() { invariant.SetHook(nil) })
	invariant.SetHook(func(s string) {
		if s == site && n > 0 {
			if n--; n == 0 {
				do()
			}
		}
	})
	return func() bool { return n <= 0 }
}

// noMappings refuses every further mapping until the test calls what it returns.
func noMappings(t *testing.T) (again func()) {
	before := shm.MaxMappings
	shm.MaxMappings = 0
	again = func() { shm.MaxMappings = before }
	t.Cleanup(again)
	return again
}

// A producer that attaches looks from generation to generation; meanwhile the
// consumer may pass several of them and unlink them.
func TestAttachWhileTheConsumerPasses(t *testing.T) {
	table, s, to := newPair(t, Config{})
	sizes := []int{20, 3000, 9000, 40} // three generations
	for k, n := range sizes {
		check(t, s.Send(payload(k, n)))
	}
	if s.at.gen != 3 {
		t.Fatalf("the lane is in generation %d", s.at.gen)
	}
	s.Close()
	reached := at(t, "ring.walk", 2, func() { wantNumbers(t, to.all(), 0, 4) })
	s = newSender(t, table, addrA, addrB)
	if !reached() || s.LastSeq() != 4 {
		t.Errorf("LastSeq is %d", s.LastSeq())
	}
	check(t, s.Send(payload(4, 0)))
	wantNumbers(t, to.all(), 4, 5)
	wantClean(t, table)
}

// The new generation is there but cannot be mapped: the sender goes on in the
// old one, which must not look as if it led anywhere.
func TestGrowthThatCannotBeMapped(t *testing.T) {
	table, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 0)))
	var again func()
	at(t, "shm.renamed", 1, func() { again = noMappings(t) })
	wantErr(t, s.Send(payload(1, 3000)), ErrBudget)
	again()
	check(t, s.Send(payload(1, 0)))
	wantNumbers(t, to.all(), 0, 2)
	wantClean(t, table)
	giveBack(t, s) // CLOSED, and nothing behind it
	if list := to.all(); list != nil {
		t.Errorf("%d messages out of nothing", len(list))
	}
	wantClean(t, table)
	check(t, s.Send(payload(2, 0)))
	wantNumbers(t, to.all(), 2, 3)
}

// The same when a lane that was given back is made anew.
func TestReopenThatCannotBeMapped(t *testing.T) {
	for _, retired := range []bool{false, true} {
		for _, fresh := range []bool{false, true} {
			table, s, to := newPair(t, Config{})
			for k := range 3 { // so that the generation is not the first
				check(t, s.Send(payload(k, 0)))
				to.all()
				giveBack(t, s)
				if k < 2 || retired {
					to.all()
				}
			}
			if fresh { // a sender that knows no generation
				s.Close()
				s = newSender(t, table, addrA, addrB)
			}
			var again func()
			at(t, "shm.renamed", 1, func() { again = noMappings(t) })
			wantErr(t, s.Send(payload(3, 0)), ErrBudget)
			to.all() // the reader cannot map it either
			again()
			to.all()
			check(t, s.Send(payload(3, 0)))
			to.drain.Sweep()
			wantNumbers(t, to.all(), 3, 4)
			wantClean(t, table)
		}
	}
}

// The reader finds a lane deleted for which a bit has come up; its producer
// makes it anew at that moment.
func TestLaneMadeWhileItsBitIsCleared(t *testing.T) {
	_, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 0)))
	to.all()
	giveBack(t, s)
	to.all()
	to.inbox.page.ready[0].Store(1) // as a tool does that cleans an idle lane
	at(t, "drain.clear", 1, func() { check(t, s.Send(payload(1, 0))) })
	wantNumbers(t, to.all(), 1, 2)
}

// A producer that attaches finds the lane's end; before it has looked at all of
// it, the consumer gives the lane back.
func TestAttachWhileTheConsumerRetires(t *testing.T) {
	for _, site := range []string{"lane.open", "ring.walk"} {
		table, s, to := newPair(t, Config{})
		check(t, s.Send(payload(0, 0)))
		to.all()
		giveBack(t, s)
		s.Close()
		reached := at(t, site, 1, func() { to.all() })
		s = newSender(t, table, addrA, addrB)
		if l, _ := table.Lane(laneAB); !reached() || !l.Idle || s.LastSeq() != 1 {
			t.Errorf("%s: idle %v, LastSeq %d", site, l.Idle, s.LastSeq())
		}
		check(t, s.Send(payload(1, 0)))
		wantNumbers(t, to.all(), 1, 2)
		wantClean(t, table)
	}
}
