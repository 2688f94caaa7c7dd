// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import "errors"

// An onlooker does what channel.Watch does. What it sees is whole and in order,
// and it knows how much it has missed (R12).
type onlooker struct {
	w    *world
	a    *actor
	ring *Watcher
	at   *file
	last uint64 // sequence seen last, or the one before where it began
	buf  []byte
}

func (o *onlooker) live() {
	fromTail := o.w.rng.IntN(2) == 0
	for {
		if o.ring == nil {
			o.open(fromTail)
		} else {
			o.turn()
		}
		o.a.step("sim.watch")
	}
}

// open begins with the lowest generation.
func (o *onlooker) open(fromTail bool) {
	gen := o.w.gen
	o.a.step("sim.open")
	f := o.w.files[gen]
	if f == nil {
		f = o.w.files[gen+1]
	}
	if f == nil {
		return // given back, or just being passed
	}
	o.enter(f, fromTail)
}

func (o *onlooker) enter(f *file, fromTail bool) {
	ring, err := NewWatcher(f.r, fromTail)
	if errors.Is(err, ErrBusy) {
		return
	}
	if err != nil {
		o.w.giveUp("watch generation %d: %w", f.gen, err)
	}
	if ring.Seq() <= o.last {
		o.w.giveUp("watcher: generation %d begins with %d, after %d", f.gen, ring.Seq(), o.last)
	}
	o.ring, o.at, o.last = ring, f, ring.Seq()-1
}

func (o *onlooker) turn() {
	rec, missed, ok, err := o.ring.Next(o.buf)
	switch {
	case ok:
		o.see(&rec, missed)
	case errors.Is(err, ErrMoved) || errors.Is(err, ErrClosed):
		o.last += missed
		if f := o.w.files[o.at.gen+1]; f != nil {
			o.ring = nil
			o.enter(f, false)
		} else if o.w.gen > o.at.gen+1 {
			o.ring = nil
		}
	case err != nil:
		o.w.giveUp("watcher: %w", err)
	}
}

func (o *onlooker) see(rec *Record, missed uint64) {
	if err := o.w.book.same(rec); err != nil {
		o.w.giveUp("watcher: %w", err)
	}
	if rec.Seq != o.last+1+missed {
		o.w.giveUp("watcher: record %d after %d, %d missed", rec.Seq, o.last, missed)
	}
	o.last = rec.Seq
	o.buf = rec.Data
}
