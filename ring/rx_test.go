// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// three makes a ring with three records that take 32 bytes each.
func three(t testing.TB) (Region, *Tx, *Rx) {
	t.Helper()
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	for _, text := range []string{"one", "two", "three"} {
		send(t, tx, text)
	}
	return r, tx, rx
}

func TestTakeHonoursTheLimitOfBytes(t *testing.T) {
	for maxBytes, want := range map[uint64]int{
		0: 1, 31: 1, 32: 1, 63: 1, 64: 2, 95: 2, 96: 3, 1 << 20: 3,
		math.MaxUint64: 3, math.MaxUint64 - 8: 3, // no limit
	} {
		_, _, rx := three(t)
		recs := make([]Record, 5)
		n, err := rx.Take(recs, maxBytes)
		if n != want || err != nil {
			t.Errorf("at most %d bytes: %d records, %v, want %d", maxBytes, n, err, want)
		}
		if rest := take(t, rx, 5); n+len(rest) != 3 {
			t.Errorf("at most %d bytes: %d records, then %d", maxBytes, n, len(rest))
		}
	}
}

// R7: what Take returns is claimed already, what TakeOne returns is not.
func TestClaimedIsStoredBeforeTheUserSees(t *testing.T) {
	r, _, rx := three(t)
	var one [1]Record
	if n, err := rx.TakeOne(&one); n != 1 || err != nil || r.marks.claimed.Load() != 0 {
		t.Fatalf("TakeOne: %d, %v, claimed %d", n, err, r.marks.claimed.Load())
	}
	take(t, rx, 1)
	if got := r.marks.claimed.Load(); got != 64 {
		t.Errorf("claimed is %d after two records, want 64", got)
	}
	rx.Rewind(&one[0], true)
	take(t, rx, 1)
	if got := r.marks.claimed.Load(); got != 64 {
		t.Errorf("claimed went to %d after a rewind", got)
	}
}

func TestReleaseIsPutOffUntilAnEighthHasGathered(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	for range 8 {
		send(t, tx, "thirty-two")
	}
	recs := take(t, rx, 8)
	for i, want := range []uint64{0, 0, 0, 128, 128, 128, 128, 256} {
		stored := rx.Release(&recs[i], false)
		if got := r.marks.released.Load(); got != want || stored != (i%4 == 3) {
			t.Errorf("record %d: released is %d, want %d", i, got, want)
		}
	}
	if rx.Release(&recs[3], true) || rx.ReleaseAll() || rx.Backlog() != 0 {
		t.Error("something was left to be released")
	}
	send(t, tx, "again")
	if recs = take(t, rx, 1); !rx.Release(&recs[0], true) || r.marks.released.Load() != tx.Tail() {
		t.Error("release now has not stored")
	}
}

// R8: what lies below `claimed` at attach comes flagged, and only that.
func TestClaimedRecordsComeAgainFlagged(t *testing.T) {
	r, tx, rx := three(t)
	recs := take(t, rx, 2)
	rx.Release(&recs[0], true) // and here it dies
	send(t, tx, "four")
	rx = attachRx(t, r)
	got := take(t, rx, 5)
	if !slices.Equal(texts(got), []string{"two", "three", "four"}) || got[0].Seq != 2 {
		t.Fatalf("taken %q from %d", texts(got), got[0].Seq)
	}
	for i, want := range []bool{true, false, false} {
		if got[i].Redelivered != want {
			t.Errorf("%q has Redelivered %v", got[i].Data, got[i].Redelivered)
		}
	}
}

func TestRewoundRecordIsFlaggedIfItWasSeen(t *testing.T) {
	for _, seen := range []bool{true, false} {
		_, _, rx := three(t)
		recs := take(t, rx, 3)
		rx.Release(&recs[0], true)
		rx.Rewind(&recs[1], seen)
		if rx.Seq() != 2 || rx.Backlog() != 0 {
			t.Errorf("after the rewind the next is %d, backlog %d", rx.Seq(), rx.Backlog())
		}
		again := take(t, rx, 3)
		if len(again) != 2 || again[0].Redelivered != seen || again[1].Redelivered {
			t.Errorf("seen %v: %+v", seen, again)
		}
	}
}

// A user may do with rec.Data what it likes.
func TestRewindDoesNotDependOnTheSlice(t *testing.T) {
	_, _, rx := three(t)
	recs := take(t, rx, 3)
	recs[1].Data = nil
	rx.Rewind(&recs[1], true)
	if got := texts(take(t, rx, 3)); !slices.Equal(got, []string{"two", "three"}) {
		t.Errorf("taken again: %q", got)
	}
}

// A lease that is returned after its record was put back gives nothing away.
func TestReleaseOfARecordThatWasPutBackDoesNothing(t *testing.T) {
	r, _, rx := three(t)
	recs := take(t, rx, 3)
	rx.Rewind(&recs[0], true)
	if rx.Release(&recs[2], true) || r.marks.released.Load() != 0 || rx.Backlog() != 0 {
		t.Errorf("released is %d, backlog %d", r.marks.released.Load(), int64(rx.Backlog()))
	}
	if got := texts(take(t, rx, 3)); len(got) != 3 {
		t.Errorf("taken again: %q", got)
	}
}

// Leases may be returned in any order; nothing is skipped and nothing comes that
// was released.
func TestRewindOfARecordThatIsNotTakenDoesNothing(t *testing.T) {
	r, _, rx := three(t)
	recs := take(t, rx, 3)
	rx.Release(&recs[0], true)
	rx.Rewind(&recs[1], false)
	rx.Rewind(&recs[2], true) // put back already
	if rx.Seq() != 2 || rx.Backlog() != 0 {
		t.Errorf("the next is %d, backlog %d", rx.Seq(), rx.Backlog())
	}
	rx.Rewind(&recs[0], true) // released already
	if rx.Seq() != 2 || r.marks.released.Load() != 32 {
		t.Errorf("the next is %d, released %d", rx.Seq(), r.marks.released.Load())
	}
	if got := take(t, rx, 3); !slices.Equal(texts(got), []string{"two", "three"}) || !got[1].Redelivered {
		t.Errorf("taken again: %q", texts(got))
	}
}

// A producer may say that it sends something again.
func TestFlagsOfTheProducerAreHandedOn(t *testing.T) {
	r, _, rx := three(t)
	*r.word(0) |= FlagGap << flagShift
	*r.word(32) |= FlagRedel << flagShift
	recs := take(t, rx, 3)
	if recs[0].Flags != FlagGap || recs[0].Redelivered || recs[1].Flags != FlagRedel || !recs[1].Redelivered || recs[2].Flags != 0 {
		t.Errorf("%+v", recs)
	}
}

func TestDamageBehindGoodRecordsIsReportedNext(t *testing.T) {
	r, _, rx := three(t)
	*r.word(64) ^= 1 << 45
	recs := make([]Record, 3)
	if n, err := rx.Take(recs, 1024); n != 2 || err != nil {
		t.Fatalf("before the damage: %d, %v", n, err)
	}
	for range 3 {
		if n, err := rx.Take(recs, 1024); n != 0 || !errors.Is(err, ErrDamaged) {
			t.Fatalf("at the damage: %d, %v", n, err)
		}
	}
	if r.marks.claimed.Load() != 64 {
		t.Errorf("claimed is %d", r.marks.claimed.Load())
	}
}

// Every reader demands that sequences are consecutive (R13).
func TestSequenceOutOfTurnIsDamage(t *testing.T) {
	for _, value := range []uint64{0, 1, 3, 1 << 40, math.MaxUint64} {
		r, _, rx := three(t)
		*r.seq(32) = value
		recs := make([]Record, 3)
		if n, _ := rx.Take(recs, 1024); n != 1 {
			t.Errorf("sequence %d: taken %d", value, n)
		}
		if _, err := rx.Take(recs, 1024); !errors.Is(err, ErrDamaged) {
			t.Errorf("sequence %d: take: %v", value, err)
		}
		if _, err := AttachTx(r); !errors.Is(err, ErrDamaged) {
			t.Errorf("sequence %d: attach: %v", value, err)
		}
	}
}

// A pad is published together with the record behind it: alone it is damage. It
// must not make a consumer that waits turn round for ever.
func TestPadWithoutARecordIsDamage(t *testing.T) {
	for name, word := range map[string]uint64{"nothing": 0, "moved": commitWord(MinSize, flagMoved, 0), "closed": commitWord(MinSize, flagClosed, 0)} {
		r := region(t, MinSize, 1)
		tx, rx := both(t, r)
		fillTo(t, tx, rx, MinSize-64)
		send(t, tx, "a text that is longer than the 48 bytes that are left here")
		*r.word(0) = word
		if n, err := rx.Take(make([]Record, 1), 0); n != 0 || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s behind a pad: take: %d, %v", name, n, err)
		}
		if _, err := AttachTx(r); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s behind a pad: attach: %v", name, err)
		}
		if _, err := Look(r); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s behind a pad: look: %v", name, err)
		}
	}
}

// Marks that no ring can have are refused by all who begin with them (R13).
func TestAttachRefusesImpossibleMarks(t *testing.T) {
	for _, m := range []struct{ released, claimed uint64 }{
		{8, 8}, {1, 0}, {1<<64 - 16, 0}, {1 << 63, 0}, {1<<64 - 1024, 1<<64 - 1024},
	} {
		r, _, _ := three(t)
		r.marks.released.Store(m.released)
		r.marks.claimed.Store(m.claimed)
		_, txErr := AttachTx(r)
		_, rxErr := AttachRx(r)
		_, lookErr := Look(r)
		_, watchErr := NewWatcher(r, false)
		for _, err := range []error{txErr, rxErr, lookErr, watchErr} {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("marks %+v: %v; %v; %v; %v", m, txErr, rxErr, lookErr, watchErr)
				break
			}
		}
	}
	r, _, _ := three(t)
	r.marks.claimed.Store(MinSize + 16)
	if _, err := AttachRx(r); !errors.Is(err, ErrDamaged) {
		t.Errorf("claimed beyond the ring: %v", err)
	}
	if _, err := Look(r); !errors.Is(err, ErrDamaged) {
		t.Errorf("claimed beyond the tail: look: %v", err)
	}
}
