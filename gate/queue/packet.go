// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"sync"
	"sync/atomic"
)

// headRoom is how many bytes lie before a payload: the first form whose head fits
// there needs no memory of its own.
const headRoom = 14

// keepAtMost is the largest buffer that a recycled packet keeps, in bytes.
const keepAtMost = 4 << 10

// overhead is what a packet takes beside its bytes; Budget counts it.
const overhead = 128

// A Form says how packets look on the wire of some connections. One that is used
// by many connections is one value: packets know forms by their pointers.
// Its functions are called by any goroutine, and keep neither argument.
type Form struct {
	// Head appends what stands before a payload that goes as it is: nothing more
	// may follow it. nil: Make makes the whole.
	Head func(dst, payload []byte) ([]byte, error)

	// Make appends the whole form. It is not called if Head is there.
	Make func(dst, payload []byte) ([]byte, error)
}

// A Packet is a payload that queues share. Nobody changes it. Any goroutine may use it,
// and push it to any number of queues.
type Packet struct {
	budget  *Budget
	payload []byte // in buf
	raw     bool   // the payload is all that is sent, in every form
	pooled  bool

	refs  atomic.Int32
	first atomic.Pointer[made] // of the first form that was needed

	mu    sync.Mutex
	inUse bool    // refs was raised from 0, and the budget has bytes
	bytes int     // of payload and forms
	more  []*made // other forms
	buf   []byte
	own   made // what first points to
}

// made is a form of a packet.
type made struct {
	form  *Form
	bytes []byte
	err   error
}

var pool = sync.Pool{New: func() any { return new(Packet) }}

// New returns a packet with a copy of the payload. budget counts it while queues hold it;
// nil: it is not counted. The memory goes when nobody has the packet any more.
func New(budget *Budget, payload []byte) *Packet {
	p := &Packet{budget: budget}
	p.set(payload)
	return p
}

// Borrow is New for a packet that is used once: its memory is used again. The caller holds one reference,
// which is given up by Release; no pointer to the packet may be used afterwards. So: Borrow, Push, Release.
func Borrow(budget *Budget, payload []byte) *Packet {
	p := pool.Get().(*Packet)
	p.budget, p.pooled = budget, true
	p.set(payload)
	p.Retain()
	return p
}

// BorrowRaw is Borrow for bytes that are sent as they are, whatever the form of
// the queue: those of a control frame.
func BorrowRaw(budget *Budget, wire []byte) *Packet {
	p := Borrow(budget, wire)
	p.raw = true
	return p
}

func (p *Packet) set(payload []byte) {
	n := headRoom + len(payload)
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	p.buf = p.buf[:n]
	p.payload = p.buf[headRoom:n:n]
	copy(p.payload, payload)
	p.bytes = cap(p.buf) + overhead
}

// Payload returns the packet's bytes, which may not be changed.
func (p *Packet) Payload() []byte { return p.payload }

// Len returns the length of the payload in bytes.
func (p *Packet) Len() int { return len(p.payload) }

// Retain adds a reference: the budget counts the packet while there is one.
func (p *Packet) Retain() {
	for {
		n := p.refs.Load()
		if n == 0 {
			p.retainFirst()
			return
		}
		if p.refs.CompareAndSwap(n, n+1) {
			return
		}
	}
}

func (p *Packet) retainFirst() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refs.Load() == 0 { // and stays so: only who has the lock leads away from there
		p.inUse = true
		p.budget.add(p.bytes)
	}
	p.refs.Add(1)
}

// Release gives up a reference that Retain or Borrow has taken. One Release too many is
// a fault of the program, and panics.
func (p *Packet) Release() {
	for {
		n := p.refs.Load()
		if n <= 1 {
			p.releaseLast()
			return
		}
		if p.refs.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// releaseLast lets go of the last reference, unless somebody else has taken one meanwhile.
// Going to 0 happens below the lock, as coming from there: so the budget is right.
func (p *Packet) releaseLast() {
	p.mu.Lock()
	n := p.refs.Add(-1)
	if n < 0 {
		p.mu.Unlock()
		panic("queue: a Packet was released more often than retained")
	}
	last := n == 0 && p.inUse
	if last {
		p.inUse = false
		p.budget.add(-p.bytes)
	}
	pooled := last && p.pooled
	p.mu.Unlock()
	if pooled {
		p.recycle()
	}
}

// recycle keeps the packet for a Borrow. Nobody else has it.
func (p *Packet) recycle() {
	buf := p.buf
	if cap(buf) > keepAtMost {
		buf = nil
	}
	p.payload, p.raw, p.bytes, p.more, p.own, p.budget = nil, false, 0, nil, made{}, nil
	p.first.Store(nil)
	p.buf = buf
	pool.Put(p)
}

// wire returns the packet's bytes in the form f. The error is the form's: it cannot carry
// this packet.
func (p *Packet) wire(f *Form) ([]byte, error) {
	if p.raw || f == nil {
		return p.payload, nil
	}
	if m := p.first.Load(); m != nil && m.form == f {
		return m.bytes, m.err
	}
	return p.other(f)
}

func (p *Packet) other(f *Form) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.first.Load()
	if m == nil {
		p.own = p.make(f, p.buf)
		p.first.Store(&p.own)
		return p.own.bytes, p.own.err
	}
	if m.form == f {
		return m.bytes, m.err
	}
	for _, m := range p.more {
		if m.form == f {
			return m.bytes, m.err
		}
	}
	o := p.make(f, nil)
	p.more = append(p.more, &o)
	return o.bytes, o.err
}

// make makes a form: around the payload in buf if that is given and there is room.
func (p *Packet) make(f *Form, buf []byte) made {
	m := made{form: f}
	if f.Head == nil {
		m.bytes, m.err = f.Make(nil, p.payload)
		p.grow(cap(m.bytes))
		return m
	}
	if buf != nil {
		head, err := f.Head(buf[:0:headRoom], p.payload)
		if err != nil {
			m.err = err
			return m
		}
		if at := headRoom - len(head); at >= 0 {
			copy(buf[at:headRoom], head)
			m.bytes = buf[at : headRoom+len(p.payload)]
			return m
		}
	}
	m.bytes, m.err = f.Head(make([]byte, 0, headRoom+len(p.payload)), p.payload)
	m.bytes = append(m.bytes, p.payload...)
	p.grow(cap(m.bytes))
	return m
}

// grow counts n more bytes. The caller holds the lock.
func (p *Packet) grow(n int) {
	p.bytes += n
	if p.inUse {
		p.budget.add(n)
	}
}
