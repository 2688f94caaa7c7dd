// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"testing"
)

// hit is one step of an attack: the k-th place, what is done to it, what follows.
func hit(k uint16, value, step byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, k), value, step)
}

// laneSeeds hits everything in a lane segment's first page that has a meaning,
// and the first headers of its ring.
func laneSeeds() (list [][]byte) {
	for _, k := range []uint16{0, 8, 12, 16, 32, 40, 44, 48, 56, 128, 129, 136, 143, 256, 264} {
		list = append(list, append(hit(k, 0xff, 5), hit(k, 7, 128+9)...))
	}
	for at := range uint16(16) {
		list = append(list, append(hit(1<<14+at, 1<<(at%8), 4), hit(1<<14+at, 0x80, 0)...))
	}
	for flags := range byte(5) { // PAD, MOVED, REDELIVERED, GAP, CLOSED
		list = append(list, append(hit(1<<14, 195+flags, 132), hit(1<<14+8, 3, 8)...))
	}
	return list
}

func inboxSeeds() (list [][]byte) {
	for _, k := range []uint16{0, 32, 36, 128, 256, 384, 512, 519} {
		list = append(list, append(hit(k, 0xff, 0), hit(k, 160, 128+4)...))
	}
	return list
}

func tableSeeds() (list [][]byte) {
	for k := uint16(0); k < 80; k += 4 { // the state
		list = append(list, append(hit(k, 1, 0), hit(k, 0xff, 7)...), append(hit(k, 140, 128+6), hit(k+3, 0x80, 9)...))
	}
	for k := uint16(0); k < 88; k += 4 { // an address and the first lane's entry
		list = append(list, hit(80+k, 0xff, 7), append(hit(720+k, 1, 9), hit(720+k, 0xff, 10)...), append(hit(720+k, 3, 8), hit(4, 1, 2)...))
	}
	return list
}

func fuzz(f *testing.F, seeds [][]byte, run func(testing.TB, []byte)) {
	for _, data := range seeds {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 256 {
			return
		}
		run(t, data)
	})
}

// FuzzLane changes the segment of a lane while its ends, and another lane's to
// the same inbox, are in use.
func FuzzLane(f *testing.F) { fuzz(f, laneSeeds(), besiegeLane) }

// FuzzInbox changes an inbox while its reader and a sender use it.
func FuzzInbox(f *testing.F) { fuzz(f, inboxSeeds(), besiegeInbox) }

// FuzzTable changes the table that all share. Then nothing can be promised but
// that every call returns.
func FuzzTable(f *testing.F) { fuzz(f, tableSeeds(), besiegeTable) }
