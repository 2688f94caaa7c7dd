// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestEmptyRingKnowsItsSequence(t *testing.T) {
	r := region(t, MinSize, 42)
	tx, rx := both(t, r)
	if tx.NextSeq() != 42 || rx.Seq() != 42 {
		t.Errorf("a new ring: the producer has %d, the consumer %d, want 42", tx.NextSeq(), rx.Seq())
	}
	for range 100 {
		send(t, tx, "some text, more than a header")
		take(t, rx, 1)
		rx.ReleaseAll()
	}
	tx, rx = both(t, r)
	if tx.NextSeq() != 142 || rx.Seq() != 142 || !tx.Empty() || tx.Used() != 0 {
		t.Errorf("an empty ring: the producer has %d, the consumer %d, want 142", tx.NextSeq(), rx.Seq())
	}
}

func TestRecordThatDoesNotFitBeforeTheEndGoesToTheStart(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	fillTo(t, tx, rx, MinSize-64)
	seq := tx.NextSeq()
	send(t, tx, string(bytes.Repeat([]byte("x"), 100)))
	if w := *r.word(MinSize - 64); w != commitWord(MinSize-64, flagPad, 0) || *r.seq(MinSize - 64) != seq {
		t.Errorf("before the end stand %#x and %d, want a pad with %d", w, *r.seq(MinSize - 64), seq)
	}
	if w := *r.word(0); w != commitWord(MinSize, 0, 100) || *r.seq(0) != seq {
		t.Errorf("at the start stand %#x and %d, want a record with %d", w, *r.seq(0), seq)
	}
	recs := take(t, rx, 3)
	if len(recs) != 1 || recs[0].Seq != seq || len(recs[0].Data) != 100 {
		t.Errorf("taken: %+v", recs)
	}
}

func TestFullRingKeepsItsTailHeader(t *testing.T) {
	r := region(t, MinSize, 1)
	tx := attachTx(t, r)
	for {
		if _, err := tx.Claim(0); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		tx.Commit()
	}
	if s := lookAt(t, r); s.Tail != MinSize-HeaderSize || s.Records != MinSize/HeaderSize-1 || s.NextSeq != s.Records+1 {
		t.Errorf("a ring full of empty records: %+v", s)
	}
	if tx.Used() != MinSize-HeaderSize || tx.Empty() {
		t.Errorf("used %d of %d", tx.Used(), MinSize)
	}
}

func TestLargestRecordFitsAnEmptyRingAtEveryOffset(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	for off := uint64(0); off < MinSize; off += HeaderSize {
		fillTo(t, tx, rx, (tx.Tail()+MinSize)&^(MinSize-1)+off)
		claim(t, tx, MaxPayload(MinSize))
		tx.Commit()
		if recs := take(t, rx, 2); len(recs) != 1 || len(recs[0].Data) != MaxPayload(MinSize) {
			t.Fatalf("offset %d: taken %d records", off, len(recs))
		}
		rx.ReleaseAll()
	}
}

func TestBatchIsInvisibleUntilItsCommit(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	fillTo(t, tx, rx, MinSize-48) // so that a pad begins the batch
	for _, text := range []string{"first, longer than what is left", "second", "", "fourth"} {
		copy(claim(t, tx, len(text)), text)
		if rx.Ready() || len(take(t, rx, 4)) != 0 || lookAt(t, r).Records != 0 {
			t.Fatalf("%q is seen before its commit", text)
		}
	}
	tx.Commit()
	want := []string{"first, longer than what is left", "second", "", "fourth"}
	if got := texts(take(t, rx, 9)); !slices.Equal(got, want) {
		t.Errorf("taken %q, want %q", got, want)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	for round := range 200 {
		before := tx.NextSeq()
		for range round % 5 {
			copy(claim(t, tx, 90), "to be dropped")
		}
		tx.Abort()
		if tx.NextSeq() != before {
			t.Fatalf("round %d: the next sequence is %d, was %d", round, tx.NextSeq(), before)
		}
		tx.Commit() // nothing
		send(t, tx, "kept")
		if got := texts(take(t, rx, 5)); !slices.Equal(got, []string{"kept"}) {
			t.Fatalf("round %d: taken %q", round, got)
		}
		rx.ReleaseAll()
	}
}

func TestRefusedClaimDoesNotDisturbThoseBefore(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	fillTo(t, tx, rx, MinSize-256)
	copy(claim(t, tx, 5), "first")
	if _, err := tx.Claim(MaxPayload(MinSize) + 1); !errors.Is(err, ErrTooBig) {
		t.Errorf("too big: %v", err)
	}
	claim(t, tx, MaxPayload(MinSize))
	if _, err := tx.Claim(MaxPayload(MinSize)); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	tx.Commit()
	if recs := take(t, rx, 9); len(recs) != 2 || string(recs[0].Data) != "first" {
		t.Errorf("taken %d records", len(recs))
	}
}

// Whatever a size is, Room says of it what Claim does with it.
func TestRoomAgreesWithClaim(t *testing.T) {
	rng := testutil.Rand(t)
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	for range 20_000 {
		n := rng.IntN(MaxPayload(MinSize)+10) - 5
		room, roomErr := tx.Room(n)
		_, err := tx.Claim(n)
		if room != (err == nil) || (roomErr != nil) != (err != nil && !errors.Is(err, ErrFull)) {
			t.Fatalf("%d bytes: Room says %v, %v and Claim says %v", n, room, roomErr, err)
		}
		switch rng.IntN(4) {
		case 0:
			tx.Abort()
		case 1:
			tx.Commit()
			take(t, rx, 1+rng.IntN(9))
			rx.ReleaseAll()
		}
	}
}

func TestEndNeedsNoRoomAndDropsWhatIsClaimed(t *testing.T) {
	for _, end := range []error{ErrMoved, ErrClosed} {
		r := region(t, MinSize, 1)
		tx, rx := both(t, r)
		claim(t, tx, MaxPayload(MinSize))
		claim(t, tx, MaxPayload(MinSize)-16)
		tx.Commit() // full to the last byte
		if room, err := tx.Room(0); room || err != nil {
			t.Fatalf("the ring is not full: %v", err)
		}
		if end == ErrMoved { //nolint:errorlint // from the list above
			tx.Move()
		} else {
			tx.Close()
		}
		tx.Move() // too late
		if _, err := tx.Claim(0); !errors.Is(err, end) || !errors.Is(tx.Err(), end) || tx.NextSeq() != 3 {
			t.Errorf("claim at the end: %v, want %v", err, end)
		}
		if recs := take(t, rx, 3); len(recs) != 2 {
			t.Errorf("taken %d records", len(recs))
		}
		if n, err := rx.Take(make([]Record, 1), 0); n != 0 || !errors.Is(err, end) || !rx.Ready() {
			t.Errorf("take at the end: %v, want %v", err, end)
		}
		if tx := attachTx(t, r); !errors.Is(tx.Err(), end) || tx.NextSeq() != 3 {
			t.Errorf("attach at the end: %v, next %d", tx.Err(), tx.NextSeq())
		}
	}
}

func TestEndedTxAnswersEverything(t *testing.T) {
	tx := Ended(9)
	if _, err := tx.Claim(1); !errors.Is(err, ErrClosed) || !errors.Is(tx.Err(), ErrClosed) {
		t.Errorf("claim: %v", err)
	}
	if room, err := tx.Room(1); room || !errors.Is(err, ErrClosed) {
		t.Errorf("room: %v, %v", room, err)
	}
	tx.Commit()
	tx.Abort()
	tx.Close()
	if tx.NextSeq() != 9 || tx.Used() != 0 || !tx.Empty() || tx.Size() != 0 || tx.Tail() != 0 {
		t.Errorf("next %d, used %d, size %d", tx.NextSeq(), tx.Used(), tx.Size())
	}
}

// The producer believes `released` only if it lies between what it was and the
// tail (R13).
func TestReleasedThatCannotBeIsDamage(t *testing.T) {
	for name, value := range map[string]uint64{"went back": 496, "beyond the tail": 1024, "not aligned": 520, "huge": 1<<64 - 16} {
		r := region(t, MinSize, 1)
		tx, rx := both(t, r)
		fillTo(t, tx, rx, 512)
		tx = attachTx(t, r) // has seen 512
		claim(t, tx, MaxPayload(MinSize)-16)
		tx.Commit() // the tail is at 1008
		r.marks.released.Store(value)
		if _, err := tx.Claim(MaxPayload(MinSize)); !errors.Is(err, ErrDamaged) {
			t.Errorf("released %s: claim: %v", name, err)
		}
		if room, err := tx.Room(MaxPayload(MinSize)); room || !errors.Is(err, ErrDamaged) {
			t.Errorf("released %s: room: %v, %v", name, room, err)
		}
	}
}

// Attaching writes nothing (R9), and finds the tail that a dead producer left.
func TestAttachFindsTheTailAndWritesNothing(t *testing.T) {
	data := make([]byte, MinSize)
	r, err := NewRegion(make([]byte, MarksSize), data)
	if err != nil {
		t.Fatal(err)
	}
	r.Format(7)
	tx, rx := both(t, r)
	fillTo(t, tx, rx, MinSize-64)
	for _, text := range []string{"committed, with a pad before it, for it is long enough", "committed too"} {
		send(t, tx, text)
	}
	claim(t, tx, 30)
	claim(t, tx, 30) // and here it dies
	before := bytes.Clone(data)
	for range 3 {
		tx2, rx2 := both(t, r)
		if tx2.NextSeq() != tx.NextSeq() || tx2.Tail() != tx.Tail() || rx2.Seq() != rx.Seq() {
			t.Errorf("found sequence %d at %d, want %d at %d", tx2.NextSeq(), tx2.Tail(), tx.NextSeq(), tx.Tail())
		}
	}
	if !bytes.Equal(before, data) {
		t.Error("attaching has changed the ring")
	}
	send(t, attachTx(t, r), "goes on")
	if recs := take(t, rx, 9); len(recs) != 3 || string(recs[2].Data) != "goes on" {
		t.Errorf("taken %q", texts(recs))
	}
}
