// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"bytes"
	"errors"
	"fmt"
)

// A book says what was sent and what may and must be delivered. It is exact: it
// learns of each store at the step before or behind it.
type book struct {
	sent      [][]byte // payloads by sequence - 1, as written last
	attempted uint64   // last sequence that a commit was begun for
	committed uint64   // last sequence that is committed
	reach     uint64   // last sequence that `claimed` has covered
	mayFlag   uint64   // sequences up to here come flagged, the others do not (R8)
	next      uint64   // first sequence that no user has seen
	releasing uint64   // sequence up to which a release is under way
	released  uint64   // last sequence that was released
	copying   uint64   // taken by a receiver that copies; shown once it is released
}

// note learns from a step.
func (b *book) note(site string) {
	switch site {
	case "ring.tx.committed":
		b.committed = b.attempted
	case "ring.rx.done":
		b.released = max(b.released, b.releasing)
		if b.copying != 0 {
			b.next = max(b.next, b.copying+1)
			b.copying = 0
		}
	}
}

// write keeps what the producer has put into record seq.
func (b *book) write(seq uint64, payload []byte) {
	for uint64(len(b.sent)) < seq {
		b.sent = append(b.sent, nil)
	}
	b.sent[seq-1] = append(b.sent[seq-1][:0], payload...)
}

// same compares a record with what was sent.
func (b *book) same(rec *Record) error {
	if rec.Seq == 0 || rec.Seq > b.committed {
		return fmt.Errorf("record %d is seen, committed is %d", rec.Seq, b.committed)
	}
	if want := b.sent[rec.Seq-1]; !bytes.Equal(rec.Data, want) {
		return fmt.Errorf("record %d is torn: %d bytes %.40x, want %d bytes %.40x", rec.Seq, len(rec.Data), rec.Data, len(want), want)
	}
	return nil
}

// judge decides whether the consumer may be given rec now.
func (b *book) judge(rec *Record) error {
	if rec.Redelivered != (rec.Seq <= b.mayFlag) {
		return fmt.Errorf("record %d has Redelivered %v; up to %d may have been seen", rec.Seq, rec.Redelivered, b.mayFlag)
	}
	switch {
	case rec.Seq <= b.released:
		return fmt.Errorf("record %d comes again, it was released (up to %d)", rec.Seq, b.released)
	case rec.Seq > b.next:
		return fmt.Errorf("record %d comes, %d was never seen", rec.Seq, b.next)
	case rec.Seq < b.next && !rec.Redelivered:
		return fmt.Errorf("record %d comes again unflagged", rec.Seq)
	}
	return b.same(rec)
}

// show is the moment when the user sees rec.
func (b *book) show(rec *Record) { b.next = max(b.next, rec.Seq+1) }

// checkMarks demands that the marks only grow (R6).
func (w *world) checkMarks() {
	for _, f := range w.files {
		rel, claimed := f.r.marks.released.Load(), f.r.marks.claimed.Load()
		if rel < f.rel || claimed < f.claimed {
			w.fail("marks went from released %d, claimed %d to %d, %d", f.rel, f.claimed, rel, claimed)
		}
		f.rel, f.claimed = rel, claimed
	}
}

// checkChain walks all generations from outside: at every moment what was
// committed and not released is there, whole and in order, and nothing else.
func (w *world) checkChain() {
	if w.err != nil {
		return
	}
	w.quietly(func() {
		if err := w.walkChain(); err != nil {
			w.fail("the chain is broken: %w", err)
		}
	})
}

func (w *world) walkChain() error {
	next := w.book.released + 1
	if w.idle {
		next = w.lastSeq + 1
	}
	for f := w.first(); !w.idle; f = w.files[f.gen+1] {
		if f == nil {
			return errors.New("a segment is gone")
		}
		s, err := Look(f.r)
		if err != nil {
			return err
		}
		if s.HeadSeq != next {
			return fmt.Errorf("generation %d begins with %d, want %d", f.gen, s.HeadSeq, next)
		}
		if err := w.walkRecords(f, s); err != nil {
			return err
		}
		next = s.NextSeq
		if !s.Moved && (!s.Closed || w.files[f.gen+1] == nil) {
			break
		}
	}
	if next != w.book.committed+1 {
		return fmt.Errorf("it ends before %d, committed is %d", next, w.book.committed)
	}
	return nil
}

// walkRecords compares what waits in a segment with what was sent.
func (w *world) walkRecords(f *file, s State) error {
	got, err := walk(f.r, s.Released, func(pos, seq uint64, h header) error {
		if h.flags == flagPad {
			return nil
		}
		return w.book.same(&Record{Seq: seq, Data: f.r.payload(pos, int(h.n))})
	})
	if err == nil && got.records != s.NextSeq-s.HeadSeq {
		err = fmt.Errorf("generation %d: %d records from %d to %d", f.gen, got.records, s.HeadSeq, s.NextSeq)
	}
	return err
}
