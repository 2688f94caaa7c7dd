// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// lockless is a model without the change lock.
type lockless struct{}

func (lockless) blocked(*actor) bool   { return false }
func (lockless) passed(*actor, string) {}

// A snapshot is memory that can be put back.
type snapshot struct{ mem, copy []byte }

func snapshotOf(list ...[]byte) (s []snapshot) {
	for _, mem := range list {
		s = append(s, snapshot{mem, slices.Clone(mem)})
	}
	return s
}

func putBack(list []snapshot) {
	for _, s := range list {
		copy(s.mem, s.copy)
	}
}

// A sleeper is one side's use of its own bell.
type sleeper struct {
	bell    *shm.Doorbell
	count   uint32
	counted bool // count will be used
	episode uint32
	hasty   bool // wrong: it does not look once more before it waits
}

// sleep waits as the library does: announce, look, wait, take back.
func (s *sleeper) sleep(a *actor, announce, awake func(uint32), look func() bool) {
	a.checkpoint()
	s.count, s.counted = s.bell.Count(), true
	s.episode++
	announce(s.episode)
	a.checkpoint()
	if s.hasty || !look() {
		a.checkpoint()
		s.bell.Wait(s.count, time.Second)
	}
	s.counted = false
	a.checkpoint()
	awake(s.episode)
}

// state writes what counts of the bell: episodes do not come again, so which
// number they have is all the same.
func (s *sleeper) state(h *maphash.Hash, announced uint32) {
	maphash.WriteComparable(h, [4]bool{
		announced == 0, announced == s.episode, s.counted, s.counted && s.bell.Count() == s.count,
	})
}

// A bellReader reads an inbox, and sleeps when there is nothing.
type bellReader struct {
	sleeper
	drain  *Drain
	cools  bool  // an empty lane may be dropped from the polling at any turn
	batch  int   // records taken at once
	before int   // messages that were taken before the model begins
	got    []int // messages by slot
	wrong  string
	late   bool // its wait has timed out
}

func (r *bellReader) reset(bell *shm.Doorbell, lanes int) {
	r.sleeper = sleeper{bell: bell, hasty: r.hasty}
	r.got, r.late, r.wrong = make([]int, lanes), false, ""
}

func (r *bellReader) run(a *actor) {
	for !r.late {
		r.receive(a)
		r.sleep(a, r.bell.Sleep, r.bell.Awake, r.drain.Look)
	}
	r.drain.Sweep()
	r.receive(a)
}

func (r *bellReader) receive(a *actor) {
	recs := make([]ring.Record, r.batch)
	for {
		a.checkpoint()
		if r.cools && len(r.drain.active) > 0 && !r.late && a.choose(2) == 1 {
			for _, l := range r.drain.active {
				l.empty = hotTurns
			}
		}
		l, n := r.drain.Next(recs, false)
		if n == 0 {
			return
		}
		for i := range recs[:n] {
			r.got[l.slot]++
			if want := r.before + r.got[l.slot]; recs[i].Seq != uint64(want) || recs[i].Redelivered {
				r.wrong = fmt.Sprintf("sequence %d came, flagged %v, where %d was expected", recs[i].Seq, recs[i].Redelivered, want)
			}
		}
		l.Release(&recs[n-1], true)
	}
}

// timeout ends the reader's wait and lets it do what it does then.
func (r *bellReader) timeout(a *actor) {
	r.late, a.parked, a.answer = true, nil, 0
	for !a.over {
		a.advance()
	}
}

func (r *bellReader) state(h *maphash.Hash) {
	d := r.drain
	maphash.WriteComparable(h, [2]uint64{d.known[0], uint64(d.next)})
	maphash.WriteComparable(h, d.seen)
	for _, n := range r.got {
		maphash.WriteComparable(h, n)
	}
	for _, l := range d.active {
		maphash.WriteComparable(h, l.slot)
		maphash.WriteComparable(h, l.empty >= hotTurns)
	}
	for _, l := range d.lanes {
		if l != nil && l.rx != nil {
			maphash.WriteComparable(h, [3]uint64{l.rx.Seq(), l.rx.Backlog(), uint64(l.at.gen)})
		}
		maphash.WriteComparable(h, l == nil)
	}
}
