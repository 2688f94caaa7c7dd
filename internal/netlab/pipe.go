// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

// A pipe is one direction of a host's wire: what is pushed in comes out at next,
// as well or as badly as the pipe's quality says.
type pipe struct {
	next func(packet []byte) // has the packet until it returns; called by several goroutines
	wake chan struct{}       // the first packet of the queue is another one

	mu    sync.Mutex // guards all below
	how   quality
	queue lateQueue
	count uint64    // packets that were queued
	busy  time.Time // when the last packet has passed, if the rate is limited
}

func newPipe(next func([]byte)) *pipe {
	return &pipe{next: next, wake: make(chan struct{}, 1), how: quality{limit: defaultLimit}}
}

// set changes the quality. What is in the queue stays there until it is due.
func (p *pipe) set(q quality) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.how, p.busy = q, time.Time{}
}

// push takes a packet, which remains the caller's.
func (p *pipe) push(packet []byte) {
	p.mu.Lock()
	if p.how.calm() && len(p.queue) == 0 {
		p.mu.Unlock()
		p.next(packet)
		return
	}
	before := p.queue.due()
	for range p.copies() {
		p.add(packet)
	}
	hurry := p.queue.due() != before
	p.mu.Unlock()
	if hurry {
		select {
		case p.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// copies says how often a packet passes: a packet may be doubled, and one of the
// two lost.
func (p *pipe) copies() int {
	n := 1
	if hit(p.how.duplicate) {
		n++
	}
	if hit(p.how.loss) {
		n--
	}
	return n
}

// hit is true in so many cases.
func hit(share float64) bool { return share > 0 && rand.Float64() < share }

// add queues a packet, if there is room.
func (p *pipe) add(packet []byte) {
	if len(p.queue) >= p.how.limit {
		return
	}
	due := time.Now()
	if p.how.rate > 0 {
		if p.busy.After(due) {
			due = p.busy
		}
		due = due.Add(time.Duration(float64(len(packet)) / p.how.rate * float64(time.Second)))
		p.busy = due
	}
	if !hit(p.how.reorder) {
		due = due.Add(p.how.late())
	}
	p.count++
	heap.Push(&p.queue, late{due: due, number: p.count, packet: bytes.Clone(packet)})
}

// late returns how late the next packet is.
func (q *quality) late() time.Duration {
	if q.jitter == 0 {
		return q.delay
	}
	return max(0, q.delay-q.jitter+time.Duration(rand.Int64N(int64(2*q.jitter)+1)))
}

// run hands out the packets of the queue when they are due, until done is closed.
func (p *pipe) run(done <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		packet, wait := p.pop(time.Now())
		if packet != nil {
			p.next(packet)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-done:
			return
		}
	}
}

// pop returns the packet that is due, or how long there is none.
func (p *pipe) pop(now time.Time) (packet []byte, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil, time.Hour
	}
	if wait := p.queue[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&p.queue).(late).packet, 0
}

// A late packet waits until it is due.
type late struct {
	due    time.Time
	number uint64 // keeps packets of one time in order
	packet []byte
}

// A lateQueue is a heap: the first one is due next.
type lateQueue []late

func (q lateQueue) Len() int { return len(q) }
func (q lateQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].number < q[j].number
}
func (q lateQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push adds a late packet, for heap.Push.
func (q *lateQueue) Push(x any) { *q = append(*q, x.(late)) }

// Pop takes the last one, for heap.Pop.
func (q *lateQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = late{}
	*q = (*q)[:last]
	return x
}

// due returns when the first packet is due, the zero time if there is none.
func (q lateQueue) due() time.Time {
	if len(q) == 0 {
		return time.Time{}
	}
	return q[0].due
}
