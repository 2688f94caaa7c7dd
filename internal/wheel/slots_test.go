// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func newSlots() *slots {
	s := &slots{}
	s.init()
	return s
}

func (s *slots) addAt(when int64) *Timer {
	t := &Timer{when: when}
	s.add(t)
	return t
}

// run does all that is to be done up to the tick now, and returns what was due
// and how many steps it took.
func (s *slots) run(now int64) (due []*Timer, steps int) {
	for {
		t, more := s.next(now)
		if steps++; !more {
			return due, steps
		}
		if t != nil {
			due = append(due, t)
		}
	}
}

func TestLevelIsTheHighestDigitThatDiffers(t *testing.T) {
	for _, c := range []struct {
		cur, when int64
		level     uint
	}{
		{0, 0, 0}, {0, 63, 0}, {0, 64, 1}, {63, 64, 1}, {64, 127, 0}, {100, 4095, 1}, {100, 4096, 2},
		{4095, 4096, 2}, {1<<18 - 1, 1 << 18, 3}, {1 << 30, 1<<30 + 5, 0}, {0, 1 << 42, 7}, {0, 1<<44 - 1, 7},
	} {
		s := newSlots()
		s.cur = c.cur
		if got := s.levelOf(c.when); got != c.level {
			t.Errorf("level of %d at tick %d: %d, want %d", c.when, c.cur, got, c.level)
		}
		s.addAt(c.when)
		s.check(t)
		if _, begin := s.first(); begin > c.when || begin < c.cur {
			t.Errorf("the slot of %d at tick %d begins at %d", c.when, c.cur, begin)
		}
	}
}

// The clock is read before the lock is taken: meanwhile the wheel may have gone on.
func TestDeadlineThatHasPassedIsDueAtOnce(t *testing.T) {
	s := newSlots()
	s.addAt(1000)
	s.run(700)
	late := s.addAt(3)
	s.check(t)
	if due, _ := s.run(700); len(due) != 1 || due[0] != late {
		t.Errorf("%d timers were due, want the one of tick 3", len(due))
	}
}

func TestNewTimersAreCountedFromNow(t *testing.T) {
	s := newSlots()
	s.run(1 << 30)
	s.skip(1<<30 + 1<<20)
	s.addAt(1<<30 + 1<<20 + 1)
	s.skip(1 << 31) // not while one is pending
	s.check(t)
	s.addAt(1 << 35)
	s.run(1<<30 + 1<<25)
	s.addAt(1<<30 + 1<<25 + 1)
	if s.run(1 << 31); s.moved != 0 || s.cur != 1<<31 || s.n != 1 {
		t.Errorf("%d timers were moved that are for the next tick; tick %d, %d pending", s.moved, s.cur, s.n)
	}
}

func TestGapOfYearsCostsWhatIsDue(t *testing.T) {
	s := newSlots()
	const year = 365 * 24 * 3600 * 1000
	whens := []int64{1, 70, 5000, 400_000, 20_000_000, year, 90 * year, 200 * year}
	for _, when := range whens {
		s.addAt(when)
	}
	due, steps := s.run(100 * year)
	s.check(t)
	if len(due) != len(whens)-1 {
		t.Fatalf("%d timers were due, want %d", len(due), len(whens)-1)
	}
	for i, got := range due {
		if got.when != whens[i] {
			t.Errorf("timer %d fires at tick %d, want %d", i, got.when, whens[i])
		}
	}
	if most := len(whens)*levels + 1; steps > most {
		t.Errorf("it took %d steps, want at most %d", steps, most)
	}
}

func TestLargeSlotIsDistributedInParts(t *testing.T) {
	s := newSlots()
	const n = 3*moveAtOnce + 1
	for range n {
		s.addAt(100)
	}
	for moved := uint64(0); moved < n; {
		timer, more := s.next(100)
		if timer != nil || !more {
			t.Fatalf("after %d of %d: a timer %v, more %v", moved, n, timer != nil, more)
		}
		if s.moved > moved+moveAtOnce || s.moved == moved {
			t.Fatalf("one step moved %d timers, want 1 to %d", s.moved-moved, moveAtOnce)
		}
		moved = s.moved
		s.check(t)
	}
	if due, _ := s.run(100); len(due) != n {
		t.Errorf("%d timers were due, want %d", len(due), n)
	}
}

func TestTimerOfTheSameTickStartedWhileASlotIsDistributed(t *testing.T) {
	s := newSlots()
	var want []*Timer
	for range 2 * moveAtOnce {
		want = append(want, s.addAt(100))
	}
	s.next(100)
	want = append(want, s.addAt(100))
	s.check(t)
	s.remove(want[1])              // distributed
	s.remove(want[moveAtOnce+100]) // not yet
	want = append(append(want[:1:1], want[2:moveAtOnce+100]...), want[moveAtOnce+101:]...)
	s.check(t)
	due, _ := s.run(100)
	if len(due) != len(want) {
		t.Fatalf("%d timers were due, want %d", len(due), len(want))
	}
	for i := range want {
		if due[i] != want[i] {
			t.Fatalf("timer %d fires out of turn", i)
		}
	}
}

func TestEarliestIsExactForFewTimers(t *testing.T) {
	for _, c := range []struct {
		n    int
		want int64
	}{{0, never}, {1, 5000}, {lookAtMost, 5000}, {lookAtMost + 1, 4096}} {
		s := newSlots()
		for i := range c.n {
			s.addAt(5000 + int64(c.n-1-i))
		}
		if got := s.earliest(); got != c.want {
			t.Errorf("with %d timers: %d, want %d", c.n, got, c.want)
		}
	}
}

// A timer is moved at most once for each level, whatever the wheel goes through.
func TestTimersAreMovedAFewTimes(t *testing.T) {
	rng := testutil.Rand(t)
	s := newSlots()
	const n = 20_000
	var now int64
	for range n {
		s.addAt(now + rng.Int64N(1<<rng.IntN(40)))
		if rng.IntN(4) == 0 {
			now += rng.Int64N(1 << rng.IntN(20))
			s.run(now)
		}
	}
	s.check(t)
	s.run(1 << 41)
	if s.check(t); s.n != 0 {
		t.Errorf("%d timers are left", s.n)
	}
	if s.moved > n*(levels-1) {
		t.Errorf("%d timers were moved %d times", n, s.moved)
	}
}
