// SPDX-License-Identifier: Apache-2.0

package queue

// Fill appends the bytes that are to be written next, in order and without copying them, until bufs
// has MaxFill pieces. They are valid until the next call of Done, Push or Clear, and may not be changed.
func (q *Queue) Fill(bufs [][]byte) [][]byte {
	for i := uint32(0); i < q.count && len(bufs) < MaxFill; i++ {
		if b := q.left(i); len(b) > 0 {
			bufs = append(bufs, b)
		}
	}
	return bufs
}

// Gather appends a copy of the bytes that are to be written next: as many as dst has room for.
func (q *Queue) Gather(dst []byte) []byte {
	for i := uint32(0); i < q.count && len(dst) < cap(dst); i++ {
		b := q.left(i)
		dst = append(dst, b[:min(len(b), cap(dst)-len(dst))]...)
	}
	return dst
}

// left returns what is to be written of the entry at place i; nothing of a hole.
func (q *Queue) left(i uint32) []byte {
	e := q.at(q.head + i)
	if e.packet == nil {
		return nil
	}
	b, _ := e.packet.wire(q.form) // Push has made it, without an error
	if i == 0 {
		b = b[q.off:]
	}
	return b
}

// Done says that the next n bytes have been written. What is written as a whole is let go of; when
// nothing waits any more, so is all memory.
func (q *Queue) Done(n int) {
	n = min(n, q.bytes)
	q.bytes -= n
	q.bytesOut += uint64(n)
	for q.count > 0 {
		e := q.at(q.head)
		rest := int(e.length) - q.off
		if rest > n {
			q.off += n
			return
		}
		n -= rest
		q.pop(e)
	}
	q.free()
}

// pop takes the first entry away: it is written, or a hole.
func (q *Queue) pop(e *entry) {
	if e.packet == nil {
		q.skip()
		return
	}
	q.forget(e, q.head)
	e.packet.Release()
	*e = entry{}
	if q.next == q.head {
		q.next++
	}
	q.head++
	q.count--
	q.off = 0
	q.packetsOut++
}

// free gives the memory of a queue back in which nothing waits.
func (q *Queue) free() {
	q.recycle()
	q.ring, q.index, q.stalled, q.next = nil, nil, false, q.head
}

// recycle gives a small ring back to its pool.
func (q *Queue) recycle() {
	if len(q.ring) == small {
		clear(q.ring)
		rings.Put((*[small]entry)(q.ring))
	}
}

// Clear throws away what waits, and returns how many packets that were. They are counted
// as dropped.
func (q *Queue) Clear() int {
	n := 0
	for i := range q.count {
		if e := q.at(q.head + i); e.packet != nil {
			e.packet.Release()
			*e = entry{}
			n++
		}
	}
	q.dropped += uint32(n)
	q.count, q.holes, q.off, q.bytes = 0, 0, 0, 0
	q.free()
	return n
}

// Len returns how many packets wait, one that is partly written among them.
func (q *Queue) Len() int { return int(q.count - q.holes) }

// Bytes returns how many bytes wait.
func (q *Queue) Bytes() int { return q.bytes }

// Empty reports whether nothing waits.
func (q *Queue) Empty() bool { return q.count == 0 }

// Crosses reports whether Settle would return an edge.
func (q *Queue) Crosses() bool {
	if q.over {
		return q.bytes < q.marks.Low || q.bytes == 0
	}
	return q.bytes > q.marks.Soft
}

// Settle compares what waits with the marks, and returns the edge that was passed since
// the last call. Droppable packets go by what it has found. It is called when what can be written at once
// has been.
func (q *Queue) Settle(now int64) Edge {
	switch {
	case !q.Crosses():
		return NoEdge
	case q.over:
		q.over = false
		return Under
	}
	q.over, q.overFrom = true, now
	q.overs++
	return Over
}

// Blocked says that something is left which the client does not take now, after n bytes that it has
// taken: the time without progress begins, again if n is above 0. Done ends it when nothing waits any more; where
// something is left outside the queue, Flows does.
func (q *Queue) Blocked(n int, now int64) {
	if n > 0 || !q.stalled {
		q.stalled, q.stallFrom = true, now
	}
}

// Flows says that nothing is left which the client has not taken.
func (q *Queue) Flows() { q.stalled = false }

// A Reason says why a client is overdue.
type Reason uint8

// The reasons.
const (
	InTime  Reason = iota
	Slow           // above the soft mark, and not below the low one, for Marks.Slow
	Stalled        // not a byte taken for Marks.Stall
)

// Overdue returns what takes too long, if anything.
func (q *Queue) Overdue(now int64) Reason {
	switch {
	case q.stalled && q.marks.Stall >= 0 && now-q.stallFrom >= int64(q.marks.Stall):
		return Stalled
	case q.over && q.marks.Slow >= 0 && now-q.overFrom >= int64(q.marks.Slow):
		return Slow
	}
	return InTime
}

// Over reports whether the queue is slow, as Settle has found it, and since when.
func (q *Queue) Over() (since int64, ok bool) { return q.overFrom, q.over }

// Stats are the counters of a queue.
type Stats struct {
	Packets, Bytes       int    // that wait
	Most                 int    // bytes, the most that have waited
	PacketsOut, BytesOut uint64 // written
	Replaced, Dropped    uint32 // not written: a newer one came; a policy, or Clear
	Refused              uint32 // not queued: the form cannot carry them
	Overs                uint32 // edges Over
}

// Stats returns the counters.
func (q *Queue) Stats() Stats {
	return Stats{
		Packets: q.Len(), Bytes: q.bytes, Most: q.most, PacketsOut: q.packetsOut, BytesOut: q.bytesOut,
		Replaced: q.replaced, Dropped: q.dropped, Refused: q.refused, Overs: q.overs,
	}
}
