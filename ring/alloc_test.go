// SPDX-License-Identifier: Apache-2.0

package ring

import "testing"

// A message costs no allocation on either side.
func TestMessagesCostNoAllocation(t *testing.T) {
	tx, rx := both(t, region(t, 1<<16, 1))
	recs := make([]Record, 4)
	var one [1]Record
	cases := map[string]func(){
		"claim, commit, take, release": func() {
			b, err := tx.Claim(100)
			if err != nil {
				t.Fatal(err)
			}
			b[0]++
			tx.Commit()
			if n, err := rx.Take(recs, 1<<16); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			rx.Release(&recs[0], true)
		},
		"claim, abort": func() {
			_, _ = tx.Claim(1000)
			tx.Abort()
		},
		"a batch, taken one by one": func() {
			for range 3 {
				_, _ = tx.Claim(1)
			}
			tx.Commit()
			for range 3 {
				if n, err := rx.TakeOne(&one); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				rx.Release(&one[0], true)
			}
		},
		"taking nothing": func() {
			if rx.Ready() {
				t.Fatal("ready")
			}
			_, _ = rx.Take(recs, 1<<16)
			rx.ReleaseAll()
		},
		"room": func() { _, _ = tx.Room(1000) },
	}
	for name, f := range cases {
		if n := testing.AllocsPerRun(2000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A full ring is no rare event.
func TestFullRingCostsNoAllocation(t *testing.T) {
	tx := attachTx(t, region(t, MinSize, 1))
	claim(t, tx, MaxPayload(MinSize))
	tx.Commit()
	if n := testing.AllocsPerRun(1000, func() { _, _ = tx.Claim(MaxPayload(MinSize)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A watcher copies into the memory it is given.
func TestWatcherCostsNoAllocation(t *testing.T) {
	r := region(t, 1<<16, 1)
	tx, rx := both(t, r)
	w, err := NewWatcher(r, false)
	if err != nil {
		t.Fatal(err)
	}
	recs, buf := make([]Record, 4), make([]byte, 100)
	n := testing.AllocsPerRun(2000, func() {
		_, _ = tx.Claim(100)
		tx.Commit()
		if _, _, ok, err := w.Next(buf); !ok || err != nil {
			t.Fatal(err)
		}
		_, _ = rx.Take(recs, 1<<16)
		rx.ReleaseAll()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
