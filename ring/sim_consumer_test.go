// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import "errors"

// A consumer does what channel.Receiver does around the ring, and what a user
// does with the records.
type consumer struct {
	w    *world
	a    *actor
	rx   *Rx
	at   *file
	recs [6]Record
}

func (c *consumer) live() {
	for {
		c.turn()
		c.a.step("sim.turn")
	}
}

// turn takes once. It reports whether it found anything.
func (c *consumer) turn() bool {
	if c.rx == nil && !c.attach() {
		return false
	}
	switch c.w.rng.IntN(6) {
	case 0:
		return c.copyOne()
	case 1:
		if !c.rx.Ready() {
			c.releaseAll()
			return false
		}
	}
	return c.batch()
}

// drain takes until nothing is left.
func (c *consumer) drain() {
	for idle := 0; idle < 3; {
		idle++
		if c.turn() {
			idle = 0
		}
	}
}

// attach opens the lowest generation, unless the lane is given back.
func (c *consumer) attach() bool {
	gen := c.w.gen
	c.a.step("sim.open")
	if c.w.idle {
		return false
	}
	f := c.w.files[gen]
	if f == nil {
		f = c.w.files[gen+1]
	}
	if f == nil {
		if gen == c.w.gen {
			c.w.giveUp("the consumer finds no segment of generation %d or the next", gen)
		}
		return false
	}
	c.a.step("sim.lowest")
	c.w.gen = f.gen // the next crash must not leave the entry two generations behind
	b := &c.w.book
	b.copying, b.mayFlag = 0, b.reach
	c.enter(f)
	if next := c.rx.Seq(); next != b.released+1 {
		c.w.giveUp("the consumer begins with %d, released up to %d", next, b.released)
	}
	return true
}

func (c *consumer) enter(f *file) {
	rx, err := AttachRx(f.r)
	if err != nil {
		c.w.giveUp("attach the consumer to generation %d: %w", f.gen, err)
	}
	c.rx, c.at = rx, f
}

// take is Rx.Take or Rx.TakeOne with what follows from its errors.
func (c *consumer) take(f func() (int, error)) int {
	n, err := f()
	switch {
	case err == nil:
		return n
	case errors.Is(err, ErrMoved):
		c.follow()
	case errors.Is(err, ErrClosed):
		c.end()
	default:
		c.w.giveUp("take: %w", err)
	}
	return -1
}

// copyOne is a receive: the record is released before the user sees the copy.
// Sometimes it only peeks.
func (c *consumer) copyOne() bool {
	rec := (*[1]Record)(c.recs[:])
	n := c.take(func() (int, error) { return c.rx.TakeOne(rec) })
	if n <= 0 {
		return n < 0
	}
	c.judge(&rec[0])
	c.a.step("sim.copy")
	if c.w.rng.IntN(4) == 0 {
		c.rx.Rewind(&rec[0], false)
		return true
	}
	c.w.book.copying = rec[0].Seq
	c.same(&rec[0])
	c.release(&rec[0], true)
	return true
}

// batch takes some records and has them handled in place.
func (c *consumer) batch() bool {
	recs, maxBytes := c.recs[:1+c.w.rng.IntN(len(c.recs))], c.w.rng.Uint64N(2*c.at.r.Size())
	n := c.take(func() (int, error) { return c.rx.Take(recs, maxBytes) })
	if n <= 0 {
		if n == 0 {
			c.releaseAll()
		}
		return n < 0
	}
	recs = recs[:n]
	c.w.book.reach = max(c.w.book.reach, recs[n-1].Seq)
	for i := range recs {
		if c.w.rng.IntN(20) == 0 {
			c.putBack(recs, i, c.w.rng.IntN(2) == 0)
			return true
		}
		c.handle(&recs[i])
		c.release(&recs[i], false)
	}
	if c.w.rng.IntN(4) != 0 {
		c.release(&recs[n-1], true)
	}
	return true
}

// putBack ends a batch at recs[i], which the user has seen or not.
func (c *consumer) putBack(recs []Record, i int, seen bool) {
	if seen {
		c.handle(&recs[i])
		c.w.book.mayFlag = max(c.w.book.mayFlag, recs[i].Seq)
	}
	c.rx.Rewind(&recs[i], seen)
	if i > 0 {
		c.release(&recs[i-1], true)
	}
}

// handle is the user with a lease on the bytes: they stay as they are.
func (c *consumer) handle(rec *Record) {
	c.judge(rec)
	c.w.book.show(rec)
	c.a.step("sim.handle")
	c.same(rec)
}

func (c *consumer) judge(rec *Record) {
	if err := c.w.book.judge(rec); err != nil {
		c.w.giveUp("%w", err)
	}
}

func (c *consumer) same(rec *Record) {
	if err := c.w.book.same(rec); err != nil {
		c.w.giveUp("%w", err)
	}
}

func (c *consumer) release(rec *Record, now bool) {
	c.w.book.releasing = rec.Seq
	c.rx.Release(rec, now)
}

func (c *consumer) releaseAll() {
	c.w.book.releasing = c.rx.Seq() - 1
	c.rx.ReleaseAll()
}

// follow goes on in the next generation and unlinks the one it has passed (R10).
func (c *consumer) follow() {
	c.releaseAll()
	next := c.w.files[c.at.gen+1]
	if next == nil {
		c.w.giveUp("the consumer follows MOVED, and nothing is there")
	}
	old, seq := c.at, c.rx.Seq()
	c.enter(next)
	if c.rx.Seq() != seq {
		c.w.giveUp("generation %d begins with %d, after %d", next.gen, c.rx.Seq(), seq-1)
	}
	c.a.step("sim.unlink")
	delete(c.w.files, old.gen)
	c.a.step("sim.unlinked")
	c.w.gen = next.gen
}

// end comes to CLOSED: the lane goes on if the next generation is there, or retires.
func (c *consumer) end() {
	c.releaseAll()
	retired := false
	c.a.change(func() { retired = c.retire() })
	if !retired {
		c.follow()
		return
	}
	c.rx, c.at = nil, nil
}

func (c *consumer) retire() bool {
	if c.w.files[c.at.gen+1] != nil {
		return false
	}
	c.a.step("sim.retire")
	c.w.lastSeq = c.rx.Seq() - 1
	c.a.step("sim.idle")
	c.w.idle = true
	c.a.step("sim.generation")
	c.w.gen = c.at.gen + 1
	c.a.step("sim.unlink")
	delete(c.w.files, c.at.gen)
	return true
}
