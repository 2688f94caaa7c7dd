// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// guardSize is how many bytes lie on each side of a hostile ring's memory.
const guardSize = 64

// A hostile is a ring whose memory anyone may have written, and the ends that
// are used on it all the same.
type hostile struct {
	t       *testing.T
	memory  []byte // guard, data, guard, marks, guard
	size    int
	r       Region
	tx      *Tx
	rx      *Rx
	watcher *Watcher
	recs    [4]Record
	taken   int
	moving  bool // words change within operations too
}

// newHostile makes a ring with these bytes. The region has the next size that
// holds data.
func newHostile(t *testing.T, marks, data []byte) *hostile {
	h := &hostile{t: t, size: MinSize}
	for h.size < len(data) {
		h.size *= 2
	}
	h.memory = bytes.Repeat([]byte{0xa5}, h.size+MarksSize+3*guardSize)
	clear(h.data())
	clear(h.marks())
	copy(h.data(), data)
	copy(h.marks(), marks)
	var err error
	if h.r, err = NewRegion(h.marks(), h.data()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hostile) data() []byte { return h.memory[guardSize:][:h.size] }

func (h *hostile) marks() []byte { return h.memory[2*guardSize+h.size:][:MarksSize] }

// guarded demands that nothing outside was touched.
func (h *hostile) guarded() {
	for _, at := range []int{0, guardSize + h.size, 2*guardSize + h.size + MarksSize} {
		for i, b := range h.memory[at : at+guardSize] {
			if b != 0xa5 {
				h.t.Fatalf("byte %d outside the ring was written", at+i)
			}
		}
	}
}

// check demands that err is one of those that callers know.
func (h *hostile) check(what string, err error) {
	h.t.Helper()
	if err == nil {
		return
	}
	for _, known := range []error{ErrDamaged, ErrFull, ErrTooBig, ErrMoved, ErrClosed, ErrBusy} {
		if errors.Is(err, known) {
			return
		}
	}
	h.t.Fatalf("%s: an unknown error: %v", what, err)
}

// do runs one operation; arg chooses its size.
func (h *hostile) do(op, arg byte) {
	n := int(arg) * h.size / 400
	switch op % 16 {
	case 0:
		tx, err := AttachTx(h.r)
		h.check("AttachTx", err)
		if err == nil {
			h.tx = tx
		}
	case 1:
		rx, err := AttachRx(h.r)
		h.check("AttachRx", err)
		if err == nil {
			h.rx, h.taken = rx, 0
		}
	case 2:
		w, err := NewWatcher(h.r, arg%2 == 0)
		h.check("NewWatcher", err)
		if err == nil {
			h.watcher = w
		}
	case 3:
		_, err := Look(h.r)
		h.check("Look", err)
	case 4, 5:
		h.watch()
	case 6:
		h.flip(uint32(arg) * 0x01000193)
	case 7, 8, 9, 10:
		h.produce(op%16, n)
	default:
		h.consume(op%16, int(arg), uint64(n))
	}
}

func (h *hostile) watch() {
	if h.watcher == nil {
		return
	}
	rec, _, ok, err := h.watcher.Next(nil)
	h.check("Watcher.Next", err)
	if ok && len(rec.Data) > MaxPayload(uint64(h.size)) {
		h.t.Fatalf("the watcher returns %d bytes", len(rec.Data))
	}
}

func (h *hostile) produce(op byte, n int) {
	if h.tx == nil {
		return
	}
	switch op {
	case 7:
		h.check("Send", h.tx.Send(make([]byte, n)))
	case 8:
		b, err := h.tx.Claim(n)
		h.check("Claim", err)
		for i := range b {
			b[i] = byte(i)
		}
		_, err = h.tx.Room(n)
		h.check("Room", err)
	case 9:
		h.tx.Commit()
	case 10:
		switch n % 8 {
		case 0:
			h.tx.Move()
		case 1:
			h.tx.Close()
		default:
			h.tx.Abort()
		}
	}
	_, _, _ = h.tx.Used(), h.tx.Empty(), h.tx.NextSeq()
}

func (h *hostile) consume(op byte, arg int, maxBytes uint64) {
	if h.rx == nil {
		return
	}
	switch op {
	case 11, 12:
		ready := h.rx.Ready()
		n, err := h.rx.Take(h.recs[:1+arg%len(h.recs)], maxBytes)
		h.check("Take", err)
		if ready && n == 0 && err == nil && !h.moving {
			h.t.Fatal("the ring is ready and nothing is there: a consumer would turn round for ever")
		}
		h.taken = n
	case 13:
		n, err := h.rx.TakeOne((*[1]Record)(h.recs[:]))
		h.check("TakeOne", err)
		h.taken = n
	case 14:
		if h.taken > 0 {
			h.rx.Release(&h.recs[arg%h.taken], arg%3 == 0)
		} else {
			h.rx.ReleaseAll()
		}
	case 15:
		if h.taken > 0 {
			h.rx.Rewind(&h.recs[arg%h.taken], arg%2 == 0)
			h.taken = 0
		}
	}
	for i := range h.recs[:h.taken] {
		_ = bytes.Count(h.recs[i].Data, []byte{1}) // every byte can be read
	}
}

// flip changes a bit of the marks or of a header, or any word.
func (h *hostile) flip(dice uint32) {
	mem := h.data()
	if dice%4 == 0 {
		mem = h.marks()
	}
	at := int(dice>>8) % (len(mem) / 8) * 8
	word := binary.LittleEndian.Uint64(mem[at:])
	switch dice >> 2 % 4 {
	case 0:
		word ^= 1 << (dice >> 16 % 64)
	case 1:
		word += uint64(dice>>20) * 16
	case 2:
		word = 0
	case 3: // a good header of this lap, or of another one
		pos := h.r.marks.released.Load()&^uint64(h.size-1) + uint64(at)
		word = commitWord(pos, uint64(dice>>12%32), uint64(dice>>24))
	}
	binary.LittleEndian.PutUint64(mem[at:], word)
}

// play runs a program of operations, two bytes each.
func (h *hostile) play(ops []byte) {
	hang := time.AfterFunc(5*time.Minute, func() { panic("an operation on a hostile ring does not come back") })
	defer hang.Stop()
	for ; len(ops) >= 2; ops = ops[2:] {
		h.do(ops[0], ops[1])
	}
	h.guarded()
}

// usualOps attaches everything and goes through a few turns.
var usualOps = []byte{
	0, 0, 1, 0, 2, 1, 3, 0, 7, 10, 7, 30, 9, 0, 4, 0, 11, 255, 14, 3, 12, 200, 7, 99, 9, 0, 5, 0, 13, 0, 14, 0,
	3, 0, 8, 199, 9, 0, 12, 255, 15, 1, 11, 255, 14, 3, 2, 0, 4, 0, 0, 0, 1, 0, 11, 255, 10, 0, 11, 255, 3, 0,
}

// A word that is changed anywhere between the operations makes errors and
// nothing worse.
func TestRingThatIsChangedAtRandomNeverHangsNorPanics(t *testing.T) {
	rng := testutil.Rand(t)
	rounds := 4000
	if testing.Short() || raceEnabled {
		rounds = 400
	}
	for range rounds {
		h := newHostile(t, nil, nil)
		h.r.Format(rng.Uint64N(3))
		h.play(usualOps)
		h.play(randomOps(rng, 150))
	}
}

// Bytes of chance are no ring.
func TestNoiseIsNeverARing(t *testing.T) {
	rng := testutil.Rand(t)
	for range 500 {
		marks, data := make([]byte, MarksSize), make([]byte, MinSize)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(marks, rng.Uint64())
			binary.LittleEndian.PutUint64(marks[8:], rng.Uint64())
		}
		h := newHostile(t, marks, data)
		if _, err := AttachTx(h.r); !errors.Is(err, ErrDamaged) {
			t.Fatalf("attached to noise: %v", err)
		}
		h.play(usualOps)
	}
}

// randomOps is a program in which a good part of the operations are flips.
func randomOps(rng *rand.Rand, n int) []byte {
	ops := make([]byte, 2*n)
	for i := range ops {
		ops[i] = byte(rng.Uint32())
	}
	return ops
}
