// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"maps"
	"slices"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// A ledger knows of the records that come again after a hot restart what has become of them before, by
// address and sequence. It is exact where a lane's own marks are not: those know the first record that is not released,
// and that those behind it were taken.
type ledger map[addr.Addr]map[uint64]mark

// A mark is what has become of a record.
type mark uint8

// The marks.
const (
	unbegun mark = iota // nobody has handled it
	handled             // it is done with
	begun               // an earlier process may have handled it, before it was killed
)

// look returns whether a record that comes again is done with, and else whether a service is to know that it may have been
// handled.
func (l ledger) look(m *skybus.Message) (done, again bool) {
	if !m.Redelivered {
		return false, false
	}
	k, known := l[m.Src][m.Seq]
	return k == handled, !known || k == begun
}

// next returns the ledger after another process, or another try: left is what that had taken. What it had not come to
// is as it was. goesOn: what is neither done with nor kept is with a handler, which goes on.
func (l ledger) next(left []skybus.Left, goesOn bool) ledger {
	n, first := ledger{}, map[addr.Addr]uint64{}
	for i := range left {
		marks := map[uint64]mark{}
		first[left[i].Src] = slices.MinFunc(left[i].Messages, func(a, b skybus.LeftMessage) int { return cmp.Compare(a.Seq, b.Seq) }).Seq
		for _, m := range left[i].Messages {
			k := unbegun
			before, known := l[left[i].Src][m.Seq]
			switch {
			case m.Done, goesOn && !m.Kept:
				k = handled
			case known:
				k = before
			case m.Redelivered:
				k = begun
			}
			marks[m.Seq] = k
		}
		n[left[i].Src] = marks
	}
	for src, old := range l {
		if n[src] == nil {
			n[src] = map[uint64]mark{}
		}
		for seq, k := range old {
			if seq < first[src] { // it is released
				continue
			}
			if _, newer := n[src][seq]; !newer {
				n[src][seq] = k
			}
		}
	}
	return n
}

// A handedLane is a lane's part of a ledger as plain data: runs of sequences that follow each other.
type handedLane struct {
	Src  addr.Addr
	Runs []handedRun
}

type handedRun struct {
	First uint64
	Marks []byte
}

// lanes returns the ledger as plain data, in order.
func (l ledger) lanes() (list []handedLane) {
	for _, src := range slices.Sorted(maps.Keys(l)) {
		lane := handedLane{Src: src}
		for _, seq := range slices.Sorted(maps.Keys(l[src])) {
			last := len(lane.Runs) - 1
			if last < 0 || lane.Runs[last].First+uint64(len(lane.Runs[last].Marks)) != seq {
				lane.Runs = append(lane.Runs, handedRun{First: seq})
				last++
			}
			lane.Runs[last].Marks = append(lane.Runs[last].Marks, byte(l[src][seq]))
		}
		list = append(list, lane)
	}
	return list
}

// ledgerOf is the way back. A mark that is unknown counts as begun.
func ledgerOf(list []handedLane) ledger {
	l := ledger{}
	for _, lane := range list {
		marks := map[uint64]mark{}
		for _, run := range lane.Runs {
			for i, k := range run.Marks {
				marks[run.First+uint64(i)] = min(mark(k), begun)
			}
		}
		l[lane.Src] = marks
	}
	return l
}
