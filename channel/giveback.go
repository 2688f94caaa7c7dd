// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"io/fs"
	"time"
)

// GiveBack returns the memory of an on-demand lane that was empty and unused for
// the domain's IdleAfter, and reports whether it did. The lane's end is CLOSED
// in its tail word (R11); the consumer retires it, keeping the sequence, and
// the next Send makes the next generation. A durable lane stays (D7).
func (s *Sender) GiveBack(now time.Time) bool {
	after := s.t.IdleAfter()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.tx.Err() != nil || after == 0 || s.configured() || s.disk != nil || s.Pending() > 0 {
		return false
	}
	if s.tx.Tail() != s.idle || !s.tx.Empty() {
		s.idle, s.since = s.tx.Tail(), now
		return false
	}
	if now.Sub(s.since) < after {
		return false
	}
	if bound, err := s.t.locks.Bound(uint32(s.to.addr)); err != nil || !bound {
		return false // nobody is there to retire it
	}
	s.tx.Close()
	step("channel.closed")
	s.to.page.announce(s.slot, &s.rung)
	s.detach()
	return true
}

// reopen makes the generation that follows a lane's end, for a new message. l is
// how a mirrored lane goes on that does so in another way than it ended.
func (s *Sender) reopen(l *life) error {
	var next segment
	err := s.t.change(func() error {
		gen, seq := s.e.gen.Load(), s.e.lastSeq.Load()+1
		idle := s.e.state.Load() == laneIdle
		if !idle { // the consumer has yet to come to CLOSED: it will follow
			gen, seq = s.at.gen+1, s.tx.NextSeq()
		}
		if idle || !s.t.exists(s.e, gen) { // else made by an attempt that could not open it
			if l == nil {
				same := s.e.life(seq)
				l = &same
			}
			if err := s.makeAgain(gen, *l); err != nil {
				return err
			}
		}
		var err error
		if next, err = s.t.openSegment(s.e, gen); err == nil && idle {
			step("channel.reopen")
			s.e.state.Store(laneLive)
		}
		return err
	})
	if err != nil {
		return budget(err)
	}
	return s.enter(next)
}

// makeAgain makes generation gen of a lane that has ended. Under the change lock.
func (s *Sender) makeAgain(gen uint32, l life) error {
	size := uint64(firstRing)
	if s.configured() {
		size = s.configuredSize()
	}
	if err := s.t.afford(s.pair, size, false); err != nil {
		return err
	}
	s.t.removeSegment(s.e, gen)
	seg, err := s.t.createGeneration(s.e, gen, size, l)
	if err == nil {
		seg.Close()
	}
	return err
}

// retire ends a lane whose CLOSED the consumer has come to. Under the change
// lock the producer cannot be making the next generation: if that is there
// already, the lane goes on in it.
func (r *Receiver) retire() (retired bool, err error) {
	err = r.t.change(func() error {
		if r.t.exists(r.e, r.at.gen+1) {
			return nil
		}
		retired = true
		step("channel.retire")
		r.e.lastSeq.Store(r.rx.Seq() - 1)
		step("channel.idle")
		r.e.state.Store(laneIdle)
		step("channel.next")
		r.e.gen.Store(r.at.gen + 1)
		step("channel.retired")
		r.t.dropLane(r.e, r.at.ring.Size())
		if err := r.t.removeGeneration(r.e, r.at.gen); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return retired, err
}
