// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestLookCountsWhatWaits(t *testing.T) {
	r, tx, rx := three(t)
	recs := take(t, rx, 2)
	rx.Release(&recs[0], true)
	want := State{Released: 32, Claimed: 64, Tail: 96, HeadSeq: 2, NextSeq: 4, Records: 2, Bytes: 8}
	if got := lookAt(t, r); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
	tx.Move()
	want.Moved = true
	if got := lookAt(t, r); got != want {
		t.Errorf("state %+v, want %+v", got, want)
	}
}

// What a user puts into its payload is never taken for a header, by anyone.
func TestPayloadThatLooksLikeHeadersIsNeverParsed(t *testing.T) {
	rng := testutil.Rand(t)
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		b := claim(t, tx, rng.IntN(MaxPayload(MinSize)/3))
		forge(r, tx.head-RecordSize(len(b))+HeaderSize, tx.NextSeq(), b, rng)
		tx.Commit()
		for ok := true; ok; {
			rec, missed, more, err := w.Next(nil)
			if err != nil || missed != 0 || more && rec.Seq != w.Seq()-1 {
				t.Fatalf("watcher: %+v, %d missed, %v", rec, missed, err)
			}
			ok = more
		}
		if recs := take(t, rx, 4); len(recs) == 4 || tx.Used() > MinSize/3 {
			rx.ReleaseAll()
		}
		if s := lookAt(t, r); s.NextSeq != tx.NextSeq() || s.Tail != tx.Tail() {
			t.Fatalf("state %+v, the producer is at %d with %d", s, tx.Tail(), tx.NextSeq())
		}
	}
}

// forge fills a payload at pos with headers that would fit there in a next lap.
func forge(r Region, pos, seq uint64, b []byte, rng *rand.Rand) {
	lap := r.Size() * rng.Uint64N(3)
	for i := 0; i+16 <= len(b); i += 16 {
		putHeader(b[i:], commitWord(pos+uint64(i)+lap, 0, rng.Uint64N(64)), seq+rng.Uint64N(9))
	}
}

func TestWatcherSeesEverythingAndWritesNothing(t *testing.T) {
	r, tx, rx := three(t)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	marks := [2]uint64{r.marks.released.Load(), r.marks.claimed.Load()}
	for i, want := range []string{"one", "two", "three"} {
		rec, missed, ok, err := w.Next(nil)
		if !ok || err != nil || missed != 0 || string(rec.Data) != want || rec.Seq != uint64(i+1) {
			t.Fatalf("%q: %+v, %d, %v, %v", want, rec, missed, ok, err)
		}
	}
	if _, _, ok, err := w.Next(nil); ok || err != nil {
		t.Errorf("at the tail: %v, %v", ok, err)
	}
	if marks != [2]uint64{r.marks.released.Load(), r.marks.claimed.Load()} {
		t.Error("the watcher has changed the marks")
	}
	if len(take(t, rx, 3)) != 3 {
		t.Error("the watcher has taken something")
	}
	tx.Close()
	if _, _, _, err := w.Next(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("at the end: %v", err)
	}
}

func TestWatcherFromTheTailSeesWhatComes(t *testing.T) {
	r, tx, rx := three(t)
	w, err := NewWatcher(r, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := w.Next(nil); ok || err != nil || w.Seq() != 4 {
		t.Errorf("at the tail: %v, %v, sequence %d", ok, err, w.Seq())
	}
	take(t, rx, 3)
	rx.ReleaseAll()
	send(t, tx, "four")
	if rec, missed, ok, err := w.Next(nil); !ok || err != nil || missed != 0 || string(rec.Data) != "four" {
		t.Errorf("%+v, %d, %v, %v", rec, missed, ok, err)
	}
}

// A receiver that is quicker than the watcher takes nothing from it, until the
// producer needs the room.
func TestWatcherSeesWhatWasReleasedAndNotYetOverwritten(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	for lap := range 20 {
		for range 10 {
			send(t, tx, "here and gone")
			take(t, rx, 1)
			rx.ReleaseAll()
		}
		for i := range 10 {
			rec, missed, ok, err := w.Next(nil)
			if !ok || err != nil || missed != 0 || rec.Seq != uint64(lap*10+i+1) || string(rec.Data) != "here and gone" {
				t.Fatalf("record %d: %+v, %d missed, %v, %v", lap*10+i+1, rec, missed, ok, err)
			}
		}
	}
}

// A watcher that sleeps is told how many records it has missed, whatever number
// the ring begins with.
func TestWatcherCountsWhatItMissed(t *testing.T) {
	for _, first := range []uint64{0, 1, 1 << 50} {
		r := region(t, MinSize, first)
		tx, rx := both(t, r)
		w, err := NewWatcher(r, false)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			send(t, tx, "to be missed")
			take(t, rx, 1)
			rx.ReleaseAll()
		}
		send(t, tx, "seen")
		rec, missed, ok, err := w.Next(nil)
		if !ok || err != nil || missed != 100 || rec.Seq != first+100 || string(rec.Data) != "seen" {
			t.Errorf("from %d: %+v, %d missed, %v, %v", first, rec, missed, ok, err)
		}
	}
}

func TestWatcherGrowsTheMemoryItIsGiven(t *testing.T) {
	r, _, _ := three(t)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	first, _, _, _ := w.Next(buf)
	second, _, _, _ := w.Next(buf)
	third, _, _, _ := w.Next(buf)
	if &first.Data[0] != &buf[0] || &second.Data[0] != &buf[0] || &third.Data[0] == &buf[0] || string(third.Data) != "three" {
		t.Errorf("%q %q %q", first.Data, second.Data, third.Data)
	}
}

func TestWatcherRefusesDamage(t *testing.T) {
	r, _, _ := three(t)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	*r.seq(32)++
	if _, _, ok, err := w.Next(nil); !ok || err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	if _, _, ok, err := w.Next(nil); ok || !errors.Is(err, ErrDamaged) {
		t.Errorf("sequence out of turn: %v", err)
	}
	*r.seq(32)--
	*r.word(32) |= 1 << 62
	if _, _, ok, err := w.Next(nil); ok || !errors.Is(err, ErrDamaged) {
		t.Errorf("impossible word: %v", err)
	}
}
