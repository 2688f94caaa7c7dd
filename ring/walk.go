// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
)

type walked struct {
	tail, next uint64 // position and sequence of the tail header
	records    uint64
	bytes      uint64 // payload bytes
	end        error  // ErrMoved, ErrClosed or nil
}

// walk goes over the records from released to the first zero word or the end of
// the ring. The consumer may be live: nothing it has passed is rewritten while
// no producer writes (R9). visit may be nil; it ends the walk by an error.
func walk(r Region, released uint64, visit func(pos, seq uint64, h header) error) (walked, error) {
	w := walked{tail: released}
	if err := checkReleased(released); err != nil {
		return w, err
	}
	pad := false // the last header was one
	w.next = atomic.LoadUint64(r.seq(released))
	for {
		if invariant.Enabled {
			invariant.Step("ring.walk")
		}
		word := atomic.LoadUint64(r.word(w.tail))
		if s := atomic.LoadUint64(r.seq(w.tail)); s != w.next {
			return w, damagedf("position %d: sequence %d where %d was expected", w.tail, s, w.next)
		}
		h, err := header{}, error(nil)
		if word != 0 {
			h, err = parse(word, w.tail, released, r.Size())
		}
		if err == nil && pad {
			err = afterPad(w.tail, word, h)
		}
		switch {
		case err != nil:
			return w, err
		case word == 0:
			return w, nil
		case h.adv == 0:
			w.end = endOf(h)
			return w, nil
		}
		if visit != nil {
			if err := visit(w.tail, w.next, h); err != nil {
				return w, err
			}
		}
		w.tail += h.adv
		if pad = h.flags == flagPad; !pad {
			w.next++
			w.records++
			w.bytes += h.n
		}
	}
}

// A State is what can be read of a ring at one moment.
type State struct {
	Released, Claimed, Tail uint64 // positions
	HeadSeq, NextSeq        uint64 // sequence at Released, and of the next record to be committed
	Records, Bytes          uint64 // between Released and Tail; payload bytes
	Moved, Closed           bool
}

// lookTries is how often Look and a Watcher start again when the consumer
// passes what they are looking at.
const lookTries = 1000

// Look reads the state without disturbing either side. On a live ring it walks
// again when the consumer has passed what it looked at (R12), a bounded number
// of times; then it returns ErrBusy.
func Look(r Region) (s State, err error) {
	for range lookTries {
		if s, err = look(r); err != ErrBusy { //nolint:errorlint // look returns the bare sentinel
			return s, err
		}
	}
	return s, err
}

// look walks once. A header counts only if `released` had not passed it after
// it was read.
func look(r Region) (s State, err error) {
	rel := r.marks.released.Load()
	if err := checkReleased(rel); err != nil {
		return s, err
	}
	taken := r.takenTo() // before the walk, which so goes as far at least
	head := atomic.LoadUint64(r.seq(rel))
	w, err := walk(r, rel, func(pos, _ uint64, _ header) error { return overtaken(r, pos) })
	now := r.marks.released.Load()
	switch {
	case now < rel:
		return s, damagedf("released went back from %d to %d", rel, now)
	case now > w.tail, err != nil && now > rel:
		return s, ErrBusy // with new room even a good record may end where it could not before
	case err == nil && taken > w.tail:
		err = damagedf("claimed is %d, the tail at %d", taken, w.tail)
	}
	s = State{Released: rel, Claimed: taken, Tail: w.tail, HeadSeq: head, NextSeq: w.next, Records: w.records, Bytes: w.bytes}
	s.Moved, s.Closed = w.end == ErrMoved, w.end == ErrClosed //nolint:errorlint // the bare sentinels
	return s, err
}

func overtaken(r Region, pos uint64) error {
	if invariant.Enabled {
		invariant.Step("ring.look")
	}
	if r.marks.released.Load() > pos {
		return ErrBusy
	}
	return nil
}
