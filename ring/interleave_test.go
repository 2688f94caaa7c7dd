// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"errors"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
)

// at has f called whenever the site is come to, but for what f itself does.
func at(t *testing.T, site string, f func()) {
	t.Helper()
	inside := false
	invariant.SetHook(func(s string) {
		if s != site || inside {
			return
		}
		inside = true
		f()
		inside = false
	})
	t.Cleanup(func() { invariant.SetHook(nil) })
}

// A ring that turns round whole laps while each copy is made: the watcher gives
// up for now, and never hands out what it could not check (R12).
func TestWatcherThatIsAlwaysOvertakenReturnsNothing(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	send(t, tx, "the first")
	laps := 0
	at(t, "ring.watch.copied", func() {
		laps++
		fillTo(t, tx, rx, tx.Tail()+MinSize)
		send(t, tx, "one more")
	})
	if rec, missed, ok, err := w.Next(nil); ok || err != nil || missed != 0 {
		t.Errorf("after %d laps: %+v, %d missed, %v, %v", laps, rec, missed, ok, err)
	}
	invariant.SetHook(nil)
	rec, missed, ok, err := w.Next(nil)
	if !ok || err != nil || string(rec.Data) != "one more" || missed != rec.Seq-1 || rec.Seq != tx.NextSeq()-1 {
		t.Errorf("when it is quiet: %+v, %d missed, %v, %v", rec, missed, ok, err)
	}
}

// The ring is full when the watcher comes; then there is room, and a record that
// takes it.
func TestWatcherBelievesARecordThatNeededNewRoom(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	fillWithTwo(t, tx)
	w, err := NewWatcher(r, true)
	if err != nil {
		t.Fatal(err)
	}
	newRoom(t, "ring.watch.word", tx, rx)
	if rec, _, ok, err := w.Next(nil); !ok || err != nil || rec.Seq != 3 {
		t.Errorf("%+v, %v, %v", rec, ok, err)
	}
}

func TestLookBelievesARecordThatNeededNewRoom(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	fillWithTwo(t, tx)
	newRoom(t, "ring.walk", tx, rx)
	if s, err := Look(r); err != nil || s.NextSeq < 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// fillWithTwo leaves no room for another record of a quarter of the ring.
func fillWithTwo(t *testing.T, tx *Tx) {
	for range 2 {
		claim(t, tx, MinSize*3/8)
		tx.Commit()
	}
}

// newRoom has the first record released and a third committed when the site is
// come to for the first time.
func newRoom(t *testing.T, site string, tx *Tx, rx *Rx) {
	done := false
	at(t, site, func() {
		if done {
			return
		}
		done = true
		take(t, rx, 1)
		rx.ReleaseAll()
		claim(t, tx, MinSize/4)
		tx.Commit()
	})
}

// Look counts no header that was overwritten while it was read, and does not
// call a ring damaged because it is busy.
func TestLookAtARingThatNeverRestsIsBusy(t *testing.T) {
	for _, site := range []string{"ring.look", "ring.walk"} {
		r := region(t, MinSize, 1)
		tx, rx := both(t, r)
		send(t, tx, "the first")
		at(t, site, func() {
			fillTo(t, tx, rx, tx.Tail()+MinSize)
			send(t, tx, "one more")
		})
		if s, err := Look(r); !errors.Is(err, ErrBusy) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v", site, s, err)
		}
		invariant.SetHook(nil)
		if s := lookAt(t, r); s.NextSeq != tx.NextSeq() || s.Records != 1 {
			t.Errorf("%s, when it is quiet: %+v", site, s)
		}
	}
}

// The consumer may claim what was committed after Look had come to the tail.
func TestLookBesideAQuickConsumer(t *testing.T) {
	r := region(t, MinSize, 1)
	tx, rx := both(t, r)
	at(t, "ring.walk", func() {
		send(t, tx, "new")
		take(t, rx, 9)
		if tx.Used() > MinSize/2 {
			rx.ReleaseAll()
		}
	})
	for range 5 {
		if s, err := Look(r); err != nil && !errors.Is(err, ErrBusy) || s.Claimed > s.Tail {
			t.Fatalf("%+v, %v", s, err)
		}
	}
}
