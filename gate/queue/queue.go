// SPDX-License-Identifier: Apache-2.0

package queue

import "sync"

// MaxFill is how many pieces Fill gives at most, for one writev.
const MaxFill = 64

const (
	// small is the size of the ring that queues begin with, which comes from a pool. All
	// sizes are powers of two.
	small = 16

	// indexFrom is from how many entries on those of a key are found by a map.
	indexFrom = 32
)

// A Queue holds what waits for one client, in order. Init makes it. One goroutine at a time uses
// it.
type Queue struct {
	form  *Form
	marks *Marks

	// Entries have numbers, which go up by one and wrap; the entry of a number is at
	// number & mask. A dropped one stays as a hole until it is first.
	ring  []entry           // nil while nothing waits
	index map[uint64]uint32 // key to number, of Newest; nil while there are few
	head  uint32            // number of the first entry
	count uint32            // entries, with holes
	holes uint32
	next  uint32 // number from which to look for the oldest that can be dropped; all before it cannot

	off   int // bytes of the first entry that are written
	bytes int // that wait
	most  int

	over, stalled       bool
	overFrom, stallFrom int64

	packetsOut, bytesOut       uint64
	replaced, dropped, refused uint32
	overs                      uint32
}

// entry is a packet that waits, or a hole.
type entry struct {
	packet *Packet // nil: a hole
	key    uint64
	length int32 // of its form, in bytes
	kind   Kind
}

var rings = sync.Pool{New: func() any { return new([small]entry) }}

// Init makes q an empty queue for packets in a form; nil: as they are. marks come from
// WithDefaults, and do not change.
func (q *Queue) Init(form *Form, marks *Marks) {
	*q = Queue{form: form, marks: marks}
}

// Push queues a packet, and takes a reference to it if the verdict is Queued or Replaced. key is
// that of Newest, and means nothing for others. Only Refused comes with an error, the form's.
//
// Push looks at the hard limit. Whether the queue is above the soft mark Settle says.
func (q *Queue) Push(p *Packet, kind Kind, key uint64) (Verdict, error) {
	if kind == Droppable && q.over {
		q.dropped++
		return Dropped, nil
	}
	b, err := p.wire(q.form)
	if err != nil {
		q.refused++
		return Refused, err
	}
	e := entry{packet: p, key: key, length: int32(len(b)), kind: kind}
	old, again := q.find(&e)
	if !q.fits(&e, old) {
		if v := q.full(&e); v != Queued {
			return v, nil
		}
		old, again = q.find(&e) // it may have been dropped
	}
	p.Retain()
	if again {
		q.replace(old, e)
		return Replaced, nil
	}
	q.append(e)
	return Queued, nil
}

// fits reports whether e may wait, in the place of old or, if that is nil, behind
// the others.
func (q *Queue) fits(e, old *entry) bool {
	bytes := q.bytes + int(e.length)
	if old != nil {
		bytes -= int(old.length)
	}
	return bytes <= q.marks.Hard || e.kind == Control
}

// full says what becomes of an entry that would lead above the hard limit.
func (q *Queue) full(e *entry) Verdict {
	switch {
	case e.kind == Droppable || q.marks.Policy == DropNew || q.marks.Policy == DropOld && !q.makeRoom(e):
		q.dropped++
		return Dropped
	case q.marks.Policy == DropOld:
		return Queued
	}
	return Kick
}

// makeRoom drops what waits longest until e fits, and reports whether it does. For one
// that never fits nothing is dropped.
func (q *Queue) makeRoom(e *entry) bool {
	for int(e.length) <= q.marks.Hard {
		if old, _ := q.find(e); q.fits(e, old) {
			return true
		}
		if !q.dropOldest() {
			break
		}
	}
	return false
}

// dropOldest makes a hole of the oldest entry that is neither partly written nor of
// the protocol. It reports whether there was one.
func (q *Queue) dropOldest() bool {
	for ; q.next-q.head < q.count; q.next++ {
		e := q.at(q.next)
		if e.packet == nil || e.kind == Control || q.partly(q.next) {
			continue
		}
		q.bytes -= int(e.length)
		q.forget(e, q.next)
		e.packet.Release()
		*e = entry{}
		q.holes++
		q.dropped++
		q.closeHoles()
		return true
	}
	return false
}

// closeHoles takes away holes that are first, or follow an entry that is partly written.
func (q *Queue) closeHoles() {
	for q.count > 0 && q.at(q.head).packet == nil {
		q.skip()
	}
	for q.off > 0 && q.count > 1 && q.at(q.head+1).packet == nil {
		q.forget(q.at(q.head), q.head)
		*q.at(q.head + 1), *q.at(q.head) = *q.at(q.head), entry{}
		q.skip()
	}
}

// skip takes the first place away, which is a hole.
func (q *Queue) skip() {
	if q.next == q.head {
		q.next++
	}
	q.head++
	q.count--
	q.holes--
}

func (q *Queue) at(number uint32) *entry { return &q.ring[number&uint32(len(q.ring)-1)] }

// partly reports whether the entry of that number is partly written.
func (q *Queue) partly(number uint32) bool { return number == q.head && q.off > 0 }

func (q *Queue) append(e entry) {
	if int(q.count) == len(q.ring) {
		q.grow()
	}
	number := q.head + q.count
	*q.at(number) = e
	q.count++
	if e.kind == Newest && q.index != nil {
		q.index[e.key] = number
	}
	q.add(int(e.length))
}

func (q *Queue) replace(old *entry, e entry) {
	q.replaced++
	q.bytes -= int(old.length)
	old.packet.Release()
	*old = e
	q.add(int(e.length))
}

func (q *Queue) add(n int) {
	q.bytes += n
	q.most = max(q.most, q.bytes)
}

// grow makes room for one more entry: where half of them are holes, by closing those.
func (q *Queue) grow() {
	if q.ring == nil {
		q.ring = rings.Get().(*[small]entry)[:]
		return
	}
	live := q.count - q.holes
	size := len(q.ring)
	if int(live) > size/2 {
		size *= 2
	}
	ring := make([]entry, size)
	n := 0
	for i := range q.count {
		if e := q.at(q.head + i); e.packet != nil {
			ring[n] = *e
			n++
		}
	}
	q.recycle()
	q.ring, q.head, q.next, q.count, q.holes, q.index = ring, 0, 0, live, 0, nil
}

// find returns the entry that e takes the place of.
func (q *Queue) find(e *entry) (*entry, bool) {
	if e.kind != Newest || q.count == 0 {
		return nil, false
	}
	if q.count > indexFrom {
		return q.lookUp(e.key)
	}
	for i := range q.count {
		if o := q.at(q.head + i); o.kind == Newest && o.key == e.key && o.packet != nil && !q.partly(q.head+i) {
			return o, true
		}
	}
	return nil, false
}

func (q *Queue) lookUp(key uint64) (*entry, bool) {
	if q.index == nil {
		q.index = make(map[uint64]uint32)
		for i := range q.count {
			if o := q.at(q.head + i); o.kind == Newest && o.packet != nil {
				q.index[o.key] = q.head + i // the later of two: the first is partly written
			}
		}
	}
	number, ok := q.index[key]
	if !ok || q.partly(number) {
		return nil, false
	}
	return q.at(number), true
}

// forget takes an entry out of the index.
func (q *Queue) forget(e *entry, number uint32) {
	if q.index != nil && e.kind == Newest && q.index[e.key] == number {
		delete(q.index, e.key)
	}
}
