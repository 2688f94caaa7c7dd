// SPDX-License-Identifier: Apache-2.0

package ring

import "testing"

// Records with flags are taken with them, first in a batch or not, and what was taken
// and put back comes again, flagged.
func TestFlaggedRecordsAndRestart(t *testing.T) {
	data, m := make([]byte, 1<<10), make([]byte, MarksSize)
	r, err := NewRegion(m, data)
	if err != nil {
		t.Fatal(err)
	}
	r.Format(1)
	tx, err := AttachTx(r)
	if err != nil {
		t.Fatal(err)
	}
	for i, flags := range []uint8{FlagGap, 0, FlagRedel, 0xff &^ (FlagGap | FlagRedel)} {
		b, err := tx.ClaimFlagged(8, flags)
		if err != nil {
			t.Fatal(err)
		}
		b[0] = byte(i)
		if i == 1 {
			tx.Commit()
		}
	}
	tx.Commit()
	rx, err := AttachRx(r)
	if err != nil {
		t.Fatal(err)
	}
	recs := make([]Record, 8)
	n, err := rx.Take(recs, 1<<10)
	if n != 4 || err != nil {
		t.Fatalf("took %d, %v", n, err)
	}
	for i, want := range []uint8{FlagGap, 0, FlagRedel, 0} {
		if rec := recs[i]; rec.Flags != want || rec.Data[0] != byte(i) || rec.Redelivered != (want == FlagRedel) {
			t.Errorf("record %d: %+v, want flags %d", i, rec, want)
		}
	}
	if seq, err := rx.Shown(); seq != 4 || err != nil {
		t.Errorf("shown up to %d, %v", seq, err)
	}
	if !rx.ReleaseTo(recs[0].End()) || rx.ReleaseTo(recs[0].End()) {
		t.Error("a record is released once")
	}
	rx.Restart()
	if seq, err := Released(r); seq != 2 || err != nil {
		t.Errorf("released up to %d, %v", seq, err)
	}
	if n, err = rx.Take(recs, 1<<10); n != 3 || err != nil || recs[0].Seq != 2 || !recs[0].Redelivered || !recs[2].Redelivered {
		t.Errorf("took %d again, %v: %+v", n, err, recs[:n])
	}
}
