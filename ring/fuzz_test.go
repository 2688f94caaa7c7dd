// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzHostile lets anybody write the memory of a ring, before it is attached to
// and between any two operations: no panic, no hang, no access outside, and no
// error that callers do not know.
func FuzzHostile(f *testing.F) {
	for _, seed := range ringSeeds() {
		f.Add(seed.marks, seed.data, usualOps)
		f.Add(seed.marks, seed.data, append([]byte{0, 0, 1, 0, 2, 1, 6, 77, 11, 9, 6, 190, 7, 50, 9, 0, 6, 3, 4, 0}, usualOps...))
	}
	f.Fuzz(func(t *testing.T, marks, data, ops []byte) {
		if len(data) > 1<<16 || len(ops) > 1<<12 {
			t.Skip("too long to be quick")
		}
		newHostile(t, marks, data).play(ops)
	})
}

type ringSeed struct{ marks, data []byte }

// ringSeeds are rings in several states, good and damaged, without the zero
// bytes at their ends.
func ringSeeds() (seeds []ringSeed) {
	states := []func(tx *Tx, rx *Rx){
		func(*Tx, *Rx) {},
		func(tx *Tx, _ *Rx) { mustSend(tx, 5, 0, 40) },
		func(tx *Tx, rx *Rx) { mustSend(tx, 5, 0, 40); _, _ = rx.Take(make([]Record, 2), 1024) },
		func(tx *Tx, rx *Rx) { mustSend(tx, 300, 300); turn(rx); mustSend(tx, 400, 1) }, // with a pad
		func(tx *Tx, _ *Rx) { mustSend(tx, 496, 480) },                                  // full
		func(tx *Tx, _ *Rx) { mustSend(tx, 7); tx.Move() },
		func(tx *Tx, rx *Rx) { mustSend(tx, 7); turn(rx); tx.Close() },
	}
	for i, state := range states {
		marks, data := make([]byte, MarksSize), make([]byte, MinSize)
		r, err := NewRegion(marks, data)
		if err != nil {
			panic(err)
		}
		r.Format(uint64(i))
		tx, _ := AttachTx(r)
		rx, _ := AttachRx(r)
		state(tx, rx)
		seeds = append(seeds, ringSeed{marks, bytes.TrimRight(data, "\x00")})
		bad := bytes.Clone(data)
		bad[uint64(16*i)+tx.Tail()%512] ^= byte(1 + i)
		binary.LittleEndian.PutUint64(bad[tx.Tail()%MinSize:], commitWord(tx.Tail(), flagPad, 0))
		seeds = append(seeds, ringSeed{bytes.Clone(marks), bytes.TrimRight(bad, "\x00")})
	}
	return seeds
}

func mustSend(tx *Tx, sizes ...int) {
	for _, n := range sizes {
		b, err := tx.Claim(n)
		if err != nil {
			panic(err)
		}
		for i := range b {
			b[i] = 'x'
		}
		tx.Commit()
	}
}

func turn(rx *Rx) {
	_, _ = rx.Take(make([]Record, 9), MinSize)
	rx.ReleaseAll()
}
