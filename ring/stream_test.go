// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// streamRecords is how many records the streams carry all together.
func streamRecords() uint64 {
	switch {
	case testing.Short():
		return 40_000
	case raceEnabled:
		return 100_000
	}
	return 1_000_000
}

// Two goroutines and nothing but the ring between them: every byte of every
// record is compared with what the seed says.
func TestStreamBetweenTwoGoroutinesKeepsEveryByte(t *testing.T) {
	seed := testutil.Seed(t)
	sizes := []int{1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16}
	for i, size := range sizes {
		t.Run(fmt.Sprintf("%dKiB", size>>10), func(t *testing.T) {
			stream(t, region(t, size, 1), seed+uint64(i), streamRecords()/uint64(len(sizes)))
		})
	}
}

// A stream may begin at any number and cross the wrap of the 24-bit tag, which
// comes every 16 MiB of positions.
func TestStreamCrossesTheWrapOfTheTag(t *testing.T) {
	r := region(t, MinSize, 1<<40)
	tx, rx := both(t, r)
	const records = 40_000
	for i := range uint64(records) {
		claim(t, tx, MaxPayload(MinSize))
		tx.Commit()
		recs := take(t, rx, 2)
		if len(recs) != 1 || recs[0].Seq != 1<<40+i {
			t.Fatalf("record %d: got %d records: %+v", i, len(recs), recs)
		}
		rx.ReleaseAll()
	}
	if tx.Tail() < 1<<24 {
		t.Fatalf("the stream ended at position %d, before the tags came round", tx.Tail())
	}
}

func stream(t *testing.T, r Region, seed, records uint64) {
	done := make(chan error, 1)
	var stop atomic.Bool // the reader has given up
	go func() { done <- streamOut(r, seed, records, &stop) }()
	in := streamIn(r, seed, records)
	stop.Store(in != nil)
	if err := errors.Join(<-done, in); err != nil {
		t.Fatal(err)
	}
	s := lookAt(t, r)
	want := State{Released: s.Tail, Claimed: s.Tail, Tail: s.Tail, HeadSeq: records + 1, NextSeq: records + 1, Closed: true}
	if s != want {
		t.Errorf("at the end the ring is %+v, want %+v", s, want)
	}
}

// streamOut writes records in batches, some of which it drops and writes anew.
func streamOut(r Region, seed, records uint64, stop *atomic.Bool) error {
	tx, err := AttachTx(r)
	if err != nil {
		return err
	}
	src := source{seed: seed, max: MaxPayload(r.Size())}
	dice := rand.New(rand.NewPCG(seed, 1))
	for tx.NextSeq() <= records && !stop.Load() {
		if dice.IntN(8) == 0 {
			if err := sendOne(tx, &src); err != nil {
				return fmt.Errorf("record %d: %w", tx.NextSeq(), err)
			}
			continue
		}
		batch := 1 + dice.Uint64N(8)
		if err := claimBatch(tx, &src, min(batch, records+1-tx.NextSeq())); err != nil {
			return fmt.Errorf("record %d: %w", tx.NextSeq(), err)
		}
		if dice.IntN(16) == 0 {
			tx.Abort()
			continue
		}
		tx.Commit()
	}
	tx.Close()
	return nil
}

// sendOne sends the next record, if there is room.
func sendOne(tx *Tx, src *source) error {
	seq := tx.NextSeq()
	b := make([]byte, src.length(seq))
	src.fill(seq, b)
	err := tx.Send(b)
	if errors.Is(err, ErrFull) {
		runtime.Gosched()
		return nil
	}
	return err
}

// claimBatch claims and fills up to n records. When the ring is full it leaves
// it at what it has.
func claimBatch(tx *Tx, src *source, n uint64) error {
	first := tx.NextSeq()
	for seq := first; seq < first+n; {
		size := src.length(seq)
		room, err := tx.Room(size)
		if err != nil {
			return err
		}
		var b []byte
		if seq%3 == 0 {
			b = make([]byte, size)
			src.fill(seq, b)
			err = tx.Add(b)
		} else if b, err = tx.Claim(size); err == nil {
			src.fill(seq, b)
		}
		switch {
		case err == nil:
			seq++
		case !errors.Is(err, ErrFull):
			return err
		case room:
			return fmt.Errorf("Room said yes to %d bytes, Claim or Add says %w", size, err)
		default: // what there is goes out
			if seq == first {
				runtime.Gosched()
			}
			return nil
		}
	}
	return nil
}

// A reader checks records in turn.
type reader struct {
	rx   *Rx
	src  source
	dice *rand.Rand
	next uint64
	seen uint64 // the user has seen records up to here although they were put back
	recs [16]Record
}

func streamIn(r Region, seed, records uint64) error {
	rx, err := AttachRx(r)
	if err != nil {
		return err
	}
	in := &reader{rx: rx, src: source{seed: seed, max: MaxPayload(r.Size())}, dice: rand.New(rand.NewPCG(seed, 2)), next: 1}
	for {
		turn := in.batch
		if in.dice.IntN(4) == 0 {
			turn = in.one
		}
		n, err := turn()
		switch {
		case errors.Is(err, ErrClosed) && in.next == records+1:
			rx.ReleaseAll()
			return nil
		case err != nil:
			return fmt.Errorf("after record %d: %w", in.next-1, err)
		case n == 0:
			rx.ReleaseAll()
			runtime.Gosched()
		}
	}
}

// one copies a record and releases it before it looks at the copy.
func (in *reader) one() (int, error) {
	rec := (*[1]Record)(in.recs[:])
	n, err := in.rx.TakeOne(rec)
	if n == 0 {
		return 0, err
	}
	if in.dice.IntN(8) == 0 { // a peek
		in.rx.Rewind(&rec[0], false)
		return 1, nil
	}
	c := rec[0]
	c.Data = append([]byte(nil), c.Data...)
	in.rx.Release(&rec[0], true)
	return 1, in.see(&c)
}

// batch handles some records in place; now and then a handler fails, or stops
// before the next one.
func (in *reader) batch() (int, error) {
	ready := in.rx.Ready()
	maxBytes := in.dice.Uint64N(in.rx.r.Size())
	recs := in.recs[:1+in.dice.IntN(len(in.recs))]
	n, err := in.rx.Take(recs, maxBytes)
	if err != nil || n == 0 {
		if ready && err == nil {
			err = errors.New("the ring was ready, and nothing could be taken")
		}
		return 0, err
	}
	if size := recs[n-1].end - in.rx.start(&recs[0]); n > 1 && size > maxBytes {
		return n, fmt.Errorf("a batch of %d bytes, asked for at most %d", size, maxBytes)
	}
	for i := range recs[:n] {
		if in.dice.IntN(32) == 0 {
			return n, in.putBack(recs, i, in.dice.IntN(2) == 0)
		}
		if err := in.see(&recs[i]); err != nil {
			return n, err
		}
		in.rx.Release(&recs[i], false)
	}
	if in.dice.IntN(2) == 0 {
		in.rx.Release(&recs[n-1], true)
	}
	return n, nil
}

// putBack returns recs[i] and what follows, after the user has seen recs[i] or not.
func (in *reader) putBack(recs []Record, i int, seen bool) (err error) {
	if seen {
		err = in.see(&recs[i])
		in.next, in.seen = recs[i].Seq, recs[i].Seq
	}
	in.rx.Rewind(&recs[i], seen)
	if i > 0 {
		in.rx.Release(&recs[i-1], true)
	}
	return err
}

// see is the user.
func (in *reader) see(rec *Record) error {
	if rec.Seq != in.next {
		return fmt.Errorf("record %d where %d was expected", rec.Seq, in.next)
	}
	if again := rec.Seq <= in.seen; rec.Redelivered != again {
		return fmt.Errorf("record %d has Redelivered %v", rec.Seq, rec.Redelivered)
	}
	in.next++
	return in.src.check(rec.Seq, rec.Data)
}
