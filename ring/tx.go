// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
)

const (
	cacheLine     = 64
	linePair      = 2 * cacheLine
	prefetchAhead = linePair // of the record after the present one; farther ahead gained nothing
)

// A Tx is the producing end of a ring. One goroutine at a time may use it, and
// one Tx may exist for a ring in all processes together: the caller holds the
// lock that makes it so.
type Tx struct {
	r     Region
	tail  uint64 // position of the tail header
	head  uint64 // where the next record goes; == tail when nothing is claimed
	clear uint64 // a record that ends up to here needs neither pad nor mark nor a look at released
	limit uint64 // released + C - 16 as last seen: a batch may end here (R3)
	seen  uint64 // released as last seen (R6)
	mark  uint64 // writing as stored: nothing at or beyond it has been written (R12)
	held  uint64 // released is believed up to here
	most  uint64 // largest payload
	base  uint64 // sequence in the tail header
	seq   uint64 // sequence of the next record
	first uint64 // commit word of the batch, kept back until Commit (R5)
	bytes uint64 // of payload claimed
	end   error  // ErrMoved or ErrClosed once the tail word says so
}

// AttachTx walks from `released` to the tail and takes up where the last
// producer stopped (R9). If the ring has ended in MOVED or CLOSED, Err tells so.
func AttachTx(r Region) (*Tx, error) {
	t := &Tx{r: r, most: uint64(MaxPayload(r.Size())), held: maxPos}
	t.seen = r.marks.released.Load()
	w, err := walk(r, t.seen, nil)
	if err != nil {
		return nil, err
	}
	t.tail, t.head, t.base, t.seq, t.end = w.tail, w.tail, w.next, w.next, w.end
	t.limit = t.seen + r.Size() - HeaderSize
	// What the last producer announced holds on, unless it is no mark of this place.
	if m := r.marks.writing.Load(); m >= t.tail+HeaderSize && m <= t.seen+r.Size() {
		t.mark = m
	}
	return t, nil
}

// Limit makes records of more than n payload bytes too big, if the ring does not.
func (t *Tx) Limit(n int) { t.most = min(t.most, uint64(n)) }

// Held returns the position up to which Hold has `released` believed.
func (t *Tx) Held() uint64 { return t.held }

// Err returns ErrMoved or ErrClosed if nothing can be written any more.
func (t *Tx) Err() error { return t.end }

// NextSeq returns the sequence that the next committed record will carry.
func (t *Tx) NextSeq() uint64 { return t.base }

// Size returns the size of the ring in bytes.
func (t *Tx) Size() uint64 { return t.r.Size() }

// Tail returns the position behind the last committed record.
func (t *Tx) Tail() uint64 { return t.tail }

// Pending returns how many records are claimed and not committed, and the bytes
// of their payloads.
func (t *Tx) Pending() (records, bytes uint64) { return t.seq - t.base, t.bytes }

// Claim reserves a record of n payload bytes and returns them to be written in
// place. The bytes are the caller's until Commit or Abort. Several claims make
// one batch. Errors: ErrFull, ErrTooBig, ErrMoved, ErrClosed, ErrDamaged; none
// of them disturbs the claims before it.
func (t *Tx) Claim(n int) ([]byte, error) {
	rec := RecordSize(n)
	if t.head+rec > t.clear || uint64(n) > t.most {
		if err := t.prepare(n, rec); err != nil {
			return nil, err
		}
	}
	at := t.head
	t.put(at, commitWord(at, 0, uint64(n)))
	t.head = at + rec
	t.seq++
	t.bytes += uint64(n)
	t.fetch(at)
	return t.r.payload(at, n), nil
}

// ClaimFlagged is Claim for a record with flags: FlagRedel, FlagGap or both.
func (t *Tx) ClaimFlagged(n int, flags uint8) ([]byte, error) {
	b, err := t.Claim(n)
	if flags &= flagsUser; err != nil || flags == 0 {
		return b, err
	}
	at := t.head - RecordSize(n) // a pad may lie before it
	flagged := commitWord(at, uint64(flags), uint64(n))
	if at == t.tail {
		t.first = flagged
	} else {
		*t.r.word(at) = flagged // behind the tail: nobody can see it yet
	}
	return b, nil
}

// Add is Claim and a copy of p into what was claimed.
func (t *Tx) Add(p []byte) error {
	n := len(p)
	rec := RecordSize(n)
	if t.head+rec > t.clear || uint64(n) > t.most {
		if err := t.prepare(n, rec); err != nil {
			return err
		}
	}
	at := t.head
	copy(t.r.payload(at, n), p)
	t.put(at, commitWord(at, 0, uint64(n)))
	t.head = at + rec
	t.seq++
	t.bytes += uint64(n)
	t.fetch(at)
	return nil
}

// Send commits one record, a copy of p, and what was claimed before. It is Claim
// and Commit in one. Errors as of Claim; then nothing is committed.
func (t *Tx) Send(p []byte) error {
	n := len(p)
	rec := RecordSize(n)
	if t.head+rec > t.clear || uint64(n) > t.most || t.seq != t.base {
		b, err := t.Claim(n)
		if err == nil {
			copy(b, p)
			t.Commit()
		}
		return err
	}
	at := t.head
	t.fetchAll()
	copy(t.r.payload(at, n), p)
	t.head = at + rec
	t.seq++
	t.publish(commitWord(at, 0, uint64(n)))
	return nil
}

// fetch asks for the lines that come next, when head has come from another pair
// of them: the consumer had them last, and a commit would wait for them.
func (t *Tx) fetch(from uint64) {
	if from^t.head >= linePair {
		t.fetchPair()
	}
}

func (t *Tx) fetchPair() {
	if ahead := (t.head + prefetchAhead) &^ (linePair - 1); ahead+linePair <= t.limit {
		prefetchW(t.r.word(ahead))
	}
}

// fetchAll asks for the lines that are about to be written, too: a consumer that
// polls has the first of them.
func (t *Tx) fetchAll() {
	ahead := (t.head + prefetchAhead) &^ (linePair - 1)
	if ahead+linePair > t.limit {
		ahead = t.head
	}
	prefetchW2(t.r.word(t.head), t.r.word(ahead))
}

// put writes the header at pos: an inner one at once, the batch's first word
// only at Commit. The sequence of the tail header stands there already.
func (t *Tx) put(pos, word uint64) {
	if pos == t.tail {
		t.first = word
		return
	}
	if invariant.Enabled {
		invariant.Step("ring.tx.inner")
	}
	*t.r.seq(pos) = t.seq
	if invariant.Enabled {
		invariant.Step("ring.tx.innerword")
	}
	*t.r.word(pos) = word
}

// prepare makes room for a record of n payload bytes, rec with its header, at
// head: it looks at `released`, announces, and pads as need be.
func (t *Tx) prepare(n int, rec uint64) error {
	if uint64(n) > t.most || t.end != nil {
		return t.refuse()
	}
	size := t.r.Size()
	at := t.head
	pad := uint64(0)
	if off := at & (size - 1); off+rec > size {
		pad = size - off
	}
	end := at + pad + rec
	if end > t.limit { // R3
		if err := t.refresh(end); err != nil {
			return err
		}
	}
	if end+HeaderSize > t.mark {
		t.announce(end)
	}
	if pad != 0 { // R4
		t.put(at, commitWord(at, flagPad, 0))
		t.head += pad
	}
	t.clear = min(t.limit, t.mark-HeaderSize, t.head|(size-1)+1)
	return nil
}

// announce raises `writing` before anything up to end, or the tail header behind
// it, is written: watchers judge by it whether what they copied was still whole
// (R12). Steps of C/8 keep it off the path of a single message.
func (t *Tx) announce(end uint64) {
	if invariant.Enabled {
		invariant.Step("ring.tx.writing")
	}
	t.mark = min(end+HeaderSize+t.r.Size()/8, t.limit+HeaderSize)
	t.r.marks.writing.Store(t.mark)
	t.r.marks.writing.Load() // plain stores stay behind an acquiring load, on arm64 too
}

// refuse says why a claim of that size cannot be.
func (t *Tx) refuse() error {
	if t.end != nil {
		return t.end
	}
	return ErrTooBig
}

// refresh looks at `released` anew and checks it (R13).
func (t *Tx) refresh(end uint64) error {
	if invariant.Enabled {
		invariant.Step("ring.tx.released")
	}
	rel := t.r.marks.released.Load()
	if rel < t.seen || rel > t.tail || rel%align != 0 {
		return damagedf("released went from %d to %d, the tail is at %d", t.seen, rel, t.tail)
	}
	rel = min(rel, t.held)
	t.seen = rel
	t.limit = rel + t.r.Size() - HeaderSize
	if end > t.limit {
		return ErrFull
	}
	return nil
}

// Room reports whether a record of n payload bytes would fit now; it looks at
// `released` if it has to. An error means that none will ever fit.
func (t *Tx) Room(n int) (bool, error) {
	if uint64(n) > t.most || t.end != nil {
		return false, t.refuse()
	}
	size := t.r.Size()
	end := t.head + RecordSize(n)
	if off := t.head & (size - 1); off+RecordSize(n) > size {
		end += size - off
	}
	if end <= t.limit {
		return true, nil
	}
	err := t.refresh(end)
	if err == ErrFull { //nolint:errorlint // refresh returns the bare sentinel
		return false, nil
	}
	return err == nil, err
}

// Used returns the bytes between `released` and the tail.
func (t *Tx) Used() uint64 { return t.tail - min(t.r.marks.released.Load(), t.tail) }

// Empty reports whether the consumer has released everything committed.
func (t *Tx) Empty() bool { return t.r.marks.released.Load() == t.tail }

// Commit publishes all claims with one store (R5). Without a claim it does nothing.
func (t *Tx) Commit() {
	if t.seq == t.base {
		return
	}
	t.publish(t.first)
	t.bytes = 0
}

// publish makes everything from tail to head visible by storing the commit word
// of its first header.
func (t *Tx) publish(word uint64) {
	if invariant.Enabled {
		invariant.Step("ring.tx.tailzero")
	}
	*t.r.word(t.head) = 0 // plain: it happens before the commit (R14)
	if invariant.Enabled {
		invariant.Step("ring.tx.tailseq")
	}
	*t.r.seq(t.head) = t.seq
	if invariant.Enabled {
		invariant.Step("ring.tx.commit")
	}
	// Pairs with the load in Rx.Take and Rx.Ready ("commit").
	atomic.StoreUint64(t.r.word(t.tail), word)
	t.tail, t.base = t.head, t.seq
	if invariant.Enabled {
		invariant.Step("ring.tx.committed")
	}
}

// Abort gives all claims back; their bytes were never visible.
func (t *Tx) Abort() {
	t.head = t.tail
	t.seq, t.bytes = t.base, 0
	t.clear = 0 // it may have been of the lap after a pad that is given up
}

// Move ends the ring in MOVED: the next generation is in place (R10). It needs no room.
func (t *Tx) Move() { t.finish(flagMoved, ErrMoved) }

// Close ends the ring in CLOSED (R11). It needs no room.
func (t *Tx) Close() { t.finish(flagClosed, ErrClosed) }

func (t *Tx) finish(flag uint64, end error) {
	t.Abort()
	if t.end != nil {
		return
	}
	if invariant.Enabled {
		invariant.Step("ring.tx.finish")
	}
	atomic.StoreUint64(t.r.word(t.tail), commitWord(t.tail, flag, 0))
	t.end, t.clear = end, 0
}

// Ended returns a Tx without memory, for a ring that has been given back: its
// next sequence is seq and every claim gets ErrClosed.
func Ended(seq uint64) *Tx {
	return &Tx{r: Region{marks: new(marks)}, base: seq, seq: seq, end: ErrClosed}
}
