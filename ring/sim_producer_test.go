// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"encoding/binary"
	"errors"
)

// A producer does what channel.Sender does around the ring.
type producer struct {
	w  *world
	a  *actor
	tx *Tx
	at *file // nil when given back
	g  uint32
}

func (p *producer) live() {
	p.attach()
	for {
		if p.w.rng.IntN(p.w.mood.giveBack) == 0 {
			p.giveBack()
		}
		switch n := p.w.rng.IntN(12); {
		case n == 0:
			p.claimSome()
			p.tx.Abort()
		default:
			p.send()
		}
		p.a.step("sim.turn")
	}
}

// attach finds the tail and compares it with the book.
func (p *producer) attach() {
	for !p.follow() {
		p.a.step("sim.again")
	}
	b := &p.w.book
	if next := p.tx.NextSeq(); next != b.committed+1 || next > b.attempted+1 {
		p.w.giveUp("the producer finds sequence %d; committed %d, attempted %d", next, b.committed, b.attempted)
	}
	if p.tx.Err() == nil {
		p.remove(p.g + 1)
	} else {
		p.tx, p.at = Ended(p.tx.NextSeq()), nil
	}
}

// follow goes along MOVED from the lowest generation (R10). False: the consumer
// has deleted what was to come next, because it has passed that too.
func (p *producer) follow() bool {
	f := p.open()
	for !p.w.idle && f != nil {
		tx, err := AttachTx(f.r)
		if err != nil {
			p.w.giveUp("attach the producer to generation %d: %w", f.gen, err)
		}
		p.tx, p.at, p.g = tx, f, f.gen
		if tx.Err() == nil {
			return true
		}
		p.a.step("sim.follow")
		next := p.w.files[f.gen+1]
		p.a.step("sim.follow")
		if next == nil && errors.Is(tx.Err(), ErrClosed) && p.w.files[f.gen] == f {
			return true // the consumer, which deletes in order, has not deleted the next one
		}
		f = next
	}
	if p.w.idle {
		p.tx, p.at = Ended(p.w.lastSeq+1), nil
	}
	return p.w.idle
}

// open finds the lowest generation. The consumer may be deleting it.
func (p *producer) open() *file {
	for {
		gen := p.w.gen
		p.a.step("sim.open")
		f := p.w.files[gen]
		if f == nil {
			p.a.step("sim.open")
			f = p.w.files[gen+1]
		}
		if f != nil || p.w.idle {
			return f
		}
		if gen == p.w.gen {
			p.w.giveUp("no segment of generation %d or the next", gen)
		}
	}
}

func (p *producer) remove(gen uint32) {
	if p.w.files[gen] != nil {
		p.a.step("sim.stray")
		delete(p.w.files, gen)
	}
}

// send commits a batch of one to four records, or one in one call.
func (p *producer) send() {
	if p.w.rng.IntN(3) == 0 && p.sendOne(p.length()) || p.claimSome() == 0 {
		return
	}
	first := p.tx.NextSeq()
	p.w.book.attempted = first + p.tx.seq - p.tx.base - 1
	seqs := p.layout()
	p.tx.Commit()
	for pos, seq := range seqs {
		p.at.seqs[pos] = seq
	}
}

// sendOne sends a record of n bytes, if it fits as things are.
func (p *producer) sendOne(n int) bool {
	b, at, ok := p.prepare(n)
	if !ok {
		return false
	}
	seq := p.tx.seq
	p.w.book.attempted = seq
	if err := p.tx.Send(b); err != nil {
		p.w.giveUp("Room(%d) said yes, and Send says %w", n, err)
	}
	p.at.seqs[at] = seq
	return true
}

// addOne adds a record of n bytes to the batch, if it fits as things are.
func (p *producer) addOne(n int) bool {
	b, _, ok := p.prepare(n)
	if ok {
		if err := p.tx.Add(b); err != nil {
			p.w.giveUp("Room(%d) said yes, and Add says %w", n, err)
		}
	}
	return ok
}

// prepare makes the payload of the next record, which will begin at at, if there
// is room.
func (p *producer) prepare(n int) (b []byte, at uint64, ok bool) {
	if room, err := p.tx.Room(n); err != nil || !room {
		return nil, 0, false
	}
	at = p.tx.head
	if rest := p.tx.Size() - at%p.tx.Size(); rest < RecordSize(n) {
		at += rest
	}
	b = make([]byte, n)
	p.fillAt(b, at+HeaderSize, p.tx.seq)
	return b, at, true
}

// layout maps the positions of the batch's records to their numbers, as far as
// its headers can be read.
func (p *producer) layout() map[uint64]uint64 {
	seqs := map[uint64]uint64{}
	seq := p.tx.NextSeq()
	for pos := p.tx.tail; pos < p.tx.head; {
		word := *p.at.r.word(pos)
		if pos == p.tx.tail {
			word = p.tx.first
		}
		h, err := parse(word, pos, pos, p.at.r.Size())
		if err != nil || h.adv == 0 {
			break // the readers will say what that is
		}
		if h.flags != flagPad {
			seqs[pos] = seq
			seq++
		}
		pos += h.adv
	}
	return seqs
}

// claimSome claims and fills records, and returns how many.
func (p *producer) claimSome() (n int) {
	want := 1
	if p.w.rng.IntN(2) == 0 {
		want += p.w.rng.IntN(4)
	}
	for n < want {
		if p.w.rng.IntN(4) == 0 && p.addOne(p.length()) {
			n++
			continue
		}
		b, ok := p.claim(p.length())
		if !ok {
			break
		}
		p.fill(b)
		n++
	}
	return n
}

// length chooses a payload size: mostly small, up to one that wants growth.
func (p *producer) length() int {
	most := MaxPayload(max(p.tx.Size(), MinSize))
	switch n := p.w.rng.IntN(40); {
	case n == 0:
		return p.w.rng.IntN(MaxPayload(p.w.maxSize) + 1)
	case n == 1:
		return most
	case n < 20:
		return p.w.rng.IntN(40)
	}
	return p.w.rng.IntN(most + 1)
}

// claim is Sender.claim: it grows or reopens the lane if it has to. False: the
// batch must do with what it has.
func (p *producer) claim(n int) ([]byte, bool) {
	for {
		room, roomErr := false, error(nil)
		if p.w.rng.IntN(4) == 0 {
			room, roomErr = p.tx.Room(n)
		}
		b, err := p.tx.Claim(n)
		if roomErr != nil && !errors.Is(err, roomErr) || room && err != nil {
			p.w.giveUp("Room(%d) said %v, %v, and Claim says %w", n, room, roomErr, err)
		}
		pending := p.tx.seq > p.tx.base
		switch {
		case err == nil:
			return b, true
		case errors.Is(err, ErrClosed):
			p.reopen()
		case errors.Is(err, ErrTooBig) && !pending:
			p.grow(SizeFor(n, 2*p.tx.Size()))
		case errors.Is(err, ErrFull) && !pending && p.w.rng.IntN(p.w.mood.grow) == 0:
			p.grow(min(p.tx.Size()<<p.w.rng.IntN(2), p.w.maxSize))
		case errors.Is(err, ErrFull) || errors.Is(err, ErrTooBig):
			p.w.full++
			p.a.step("sim.full")
			return nil, false
		default:
			p.w.giveUp("claim: %w", err)
		}
	}
}

// fill writes what is worst for a reader that is not careful: headers that fit
// these places in this lap, one before or one after it.
func (p *producer) fill(b []byte) {
	p.fillAt(b, p.tx.head-RecordSize(len(b))+HeaderSize, p.tx.seq-1)
}

func (p *producer) fillAt(b []byte, pos, seq uint64) {
	lap := (p.w.rng.Uint64N(4) - 1) * p.at.r.Size() // of the headers: -1 to 2
	for i := 0; i < len(b); i += 16 {
		var h [16]byte
		at := pos + uint64(i) + lap
		binary.LittleEndian.PutUint64(h[:], p.forge(at))
		binary.LittleEndian.PutUint64(h[8:], p.number(at, seq))
		copy(b[i:], h[:])
		if i%64 == 0 {
			p.a.step("sim.payload")
		}
	}
	p.w.book.write(seq, b)
}

// forge makes a commit word that fits position at.
func (p *producer) forge(at uint64) uint64 {
	switch p.w.rng.IntN(12) {
	case 0:
		return 0
	case 1:
		return p.w.rng.Uint64()
	case 2:
		return commitWord(at, flagMoved, 0)
	case 3:
		return commitWord(at, flagClosed, 0)
	case 4:
		return commitWord(at, flagPad, 0)
	}
	return commitWord(at, 0, p.w.rng.Uint64N(64))
}

// number is the sequence that a record at that place had, or may get.
func (p *producer) number(at, seq uint64) uint64 {
	if was, ok := p.at.seqs[at]; ok && p.w.rng.IntN(8) != 0 {
		return was
	}
	return seq + p.w.rng.Uint64N(20)
}

// grow makes the next generation and moves to it.
func (p *producer) grow(size uint64) {
	var next *file
	p.a.change(func() { next = p.create(p.g+1, size, p.tx.NextSeq()) })
	p.tx.Move()
	p.a.step("sim.moved")
	p.w.grown++
	p.enter(next)
}

// create gives a segment its name once it is complete (R10). Under the change lock.
func (p *producer) create(gen uint32, size, seq uint64) *file {
	p.remove(gen)
	f := p.w.newFile(gen, size, seq)
	p.a.step("sim.rename")
	p.w.files[gen] = f
	p.a.step("sim.renamed")
	return f
}

func (p *producer) enter(f *file) {
	tx, err := AttachTx(f.r)
	if err != nil {
		p.w.giveUp("enter generation %d: %w", f.gen, err)
	}
	p.tx, p.at, p.g = tx, f, f.gen
}

// giveBack ends an empty ring in CLOSED (R11).
func (p *producer) giveBack() {
	if p.tx.Err() != nil || !p.tx.Empty() {
		return
	}
	p.tx.Close()
	p.a.step("sim.closed")
	p.w.closed++
	p.tx, p.at = Ended(p.tx.NextSeq()), nil
}

// reopen makes the generation that follows CLOSED.
func (p *producer) reopen() {
	var next *file
	p.a.change(func() {
		gen, seq, idle := p.w.gen, p.w.lastSeq+1, p.w.idle
		if !idle { // the consumer has yet to come to CLOSED
			gen, seq = p.g+1, p.tx.NextSeq()
		}
		next = p.create(gen, MinSize, seq)
		if idle {
			p.a.step("sim.reopen")
			p.w.idle = false
		}
	})
	p.enter(next)
}
