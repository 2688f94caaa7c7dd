// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math"
	"math/bits"
)

const (
	digit  = 6 // bits of a tick that make the slot of a level
	width  = 1 << digit
	levels = 8 // 48 bits: the largest time.Duration has 2^43.1 ms

	takenList = levels * width // index of the list of what was taken from a slot

	// moveAtOnce is how many timers are distributed under one lock: some 20 us.
	moveAtOnce = 256

	// lookAtMost is up to how many timers a slot of a higher level may have for
	// their first deadline to be looked for. One with more is distributed when
	// its time begins, though nothing may be due then.
	lookAtMost = 8

	never = math.MaxInt64
)

// slots is the wheel without lock, clock and goroutine.
//
// Each pending timer is in the slot that slotOf returns for the current tick, or
// in the list of what was taken. That list is empty, or holds what is left of the
// slot in which cur lies at the given level: to fire at level 0, otherwise to be
// distributed.
type slots struct {
	cur   int64 // tick up to which all is done; only grows
	n     int   // timers pending
	level uint  // of what was taken
	inUse uint8 // bit l: used[l] is not 0
	used  [levels]uint64
	heads [levels*width + 1]Timer
	moved uint64 // timers distributed so far
}

func (s *slots) init() {
	for i := range s.heads {
		s.heads[i].makeEmpty()
		s.heads[i].when = int64(i)
	}
}

// levelOf returns the highest digit in which when differs from the current tick.
func (s *slots) levelOf(when int64) uint {
	return (uint(bits.Len64(uint64(when^s.cur)|(width-1))) - 1) / digit
}

// add makes t pending, for t.when or for the current tick if that is later.
func (s *slots) add(t *Timer) {
	t.when = max(t.when, s.cur)
	s.n++
	taken := &s.heads[takenList]
	if !taken.empty() && s.levelOf(t.when) < s.level {
		taken.pushBack(t) // behind those of the same tick that still are in there
		return
	}
	s.place(t)
}

// place puts t into its slot.
func (s *slots) place(t *Timer) {
	l := s.levelOf(t.when)
	i := uint(t.when>>(l*digit)) % width
	s.heads[l*width+i].pushBack(t)
	s.used[l] |= 1 << i
	s.inUse |= 1 << l
}

// remove makes t, which is pending, not pending.
func (s *slots) remove(t *Timer) {
	s.n--
	last, head := t.prev == t.next, t.prev
	t.unlink()
	if last {
		s.emptied(uint(head.when))
	}
}

// emptied notes that nothing is left in a list.
func (s *slots) emptied(list uint) {
	if list == takenList {
		return
	}
	l := list / width
	if s.used[l] &^= 1 << (list % width); s.used[l] == 0 {
		s.inUse &^= 1 << l
	}
}

// first returns the list of the slot in use that comes first, and the tick at
// which its time begins. There must be one.
func (s *slots) first() (list uint, begin int64) {
	l := uint(bits.TrailingZeros8(s.inUse))
	i := uint(bits.TrailingZeros64(s.used[l]))
	begin = s.cur>>((l+1)*digit)<<digit | int64(i)
	return l*width + i, begin << (l * digit)
}

// next does a bounded part of what is to be done up to the tick now. It returns a
// timer that is due and no longer pending, or nil. With more it is to be called
// again: it may be that timers were only moved.
func (s *slots) next(now int64) (t *Timer, more bool) {
	taken := &s.heads[takenList]
	if taken.empty() && !s.take(now) {
		return nil, false
	}
	if s.level > 0 {
		s.distribute()
		return nil, true
	}
	t = taken.next
	s.remove(t)
	return t, true
}

// take comes to the first slot in use, if its time begins by the tick now, and
// takes what is in it.
func (s *slots) take(now int64) bool {
	if s.inUse == 0 {
		s.cur = max(s.cur, now)
		return false
	}
	list, begin := s.first()
	if begin > now {
		s.cur = max(s.cur, now) // stays before begin: no timer's level changes
		return false
	}
	s.cur, s.level = begin, list/width
	s.heads[takenList].takeAll(&s.heads[list])
	s.emptied(list)
	return true
}

// distribute moves some of what was taken to lower levels.
func (s *slots) distribute() {
	taken := &s.heads[takenList]
	for i := 0; i < moveAtOnce && !taken.empty(); i++ {
		t := taken.next
		t.unlink()
		s.place(t)
		s.moved++
	}
}

// skip brings an idle wheel up to the tick now, so that new timers are not
// counted from a tick long past.
func (s *slots) skip(now int64) {
	if s.n == 0 {
		s.cur = max(s.cur, now)
	}
}

// earliest returns the tick up to which nothing needs to be done: the first
// deadline or, as long as that is in a large slot, when that is to be distributed.
func (s *slots) earliest() int64 {
	if s.inUse == 0 {
		return never
	}
	list, begin := s.first()
	if list < width {
		return begin
	}
	head, when := &s.heads[list], int64(never)
	for t, i := head.next, 0; t != head; t, i = t.next, i+1 {
		if i == lookAtMost {
			return begin
		}
		when = min(when, t.when)
	}
	return when
}
