// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// model is a queue as one would write it without a thought of time and memory.
type model struct {
	marks Marks
	list  []item
	off   int
	over  bool
	drops int
}

type item struct {
	text string
	kind Kind
	key  uint64
}

func (m *model) bytes() int {
	n := -m.off
	for _, i := range m.list {
		n += len(i.text)
	}
	return n
}

// waiting returns the place of the packet that a newer one of the key replaces, or -1.
func (m *model) waiting(it item) int {
	for i, o := range m.list {
		if it.kind == Newest && o.kind == Newest && o.key == it.key && (i > 0 || m.off == 0) {
			return i
		}
	}
	return -1
}

func (m *model) fits(it item) bool {
	n := m.bytes() + len(it.text)
	if i := m.waiting(it); i >= 0 {
		n -= len(m.list[i].text)
	}
	return n <= m.marks.Hard || it.kind == Control
}

func (m *model) push(it item) Verdict {
	if it.kind == Droppable && m.over {
		m.drops++
		return Dropped
	}
	if !m.fits(it) {
		switch {
		case it.kind == Droppable || m.marks.Policy == DropNew:
			m.drops++
			return Dropped
		case m.marks.Policy == KickClient:
			return Kick
		}
		if !m.makeRoom(it) {
			m.drops++
			return Dropped
		}
	}
	if i := m.waiting(it); i >= 0 {
		m.list[i] = it
		return Replaced
	}
	m.list = append(m.list, it)
	return Queued
}

func (m *model) makeRoom(it item) bool {
	if len(it.text) > m.marks.Hard {
		return false
	}
	for i := 0; !m.fits(it); {
		if i == len(m.list) {
			return false
		}
		if m.list[i].kind == Control || i == 0 && m.off > 0 {
			i++
			continue
		}
		m.list = append(m.list[:i:i], m.list[i+1:]...)
		m.drops++
	}
	return true
}

func (m *model) settle() Edge {
	switch n := m.bytes(); {
	case !m.over && n > m.marks.Soft:
		m.over = true
		return Over
	case m.over && (n < m.marks.Low || n == 0):
		m.over = false
		return Under
	}
	return NoEdge
}

func (m *model) text() string {
	var b strings.Builder
	for _, i := range m.list {
		b.WriteString(i.text)
	}
	return b.String()[m.off:]
}

func (m *model) done(n int) {
	m.off += n
	for len(m.list) > 0 && m.off >= len(m.list[0].text) {
		m.off -= len(m.list[0].text)
		m.list = m.list[1:]
	}
}

func TestAQueueIsItsModel(t *testing.T) {
	rng := testutil.Rand(t)
	for round := range 200 {
		marks := Marks{Soft: 1 + rng.IntN(400), Policy: Policy(rng.IntN(3))}
		marks.Low = rng.IntN(marks.Soft) + 1
		marks.Hard = marks.Soft + rng.IntN(400)
		marks = marks.mustDefaults(t)
		var b Budget
		q, m := new(Queue), &model{marks: marks}
		q.Init(nil, &marks)
		q.head = rng.Uint32() | 0xffffff00 // numbers wrap soon
		q.next = q.head
		for step := range 400 {
			if !sameStep(t, rng, &b, q, m) {
				t.Fatalf("round %d, step %d, marks %+v", round, step, marks)
			}
		}
		q.Clear()
		if b.Used() != 0 {
			t.Fatalf("round %d: %d bytes are counted of an empty queue", round, b.Used())
		}
	}
}

// sameStep does the same to a queue and its model.
func sameStep(t *testing.T, rng *rand.Rand, b *Budget, q *Queue, m *model) bool {
	t.Helper()
	switch rng.IntN(8) {
	case 0, 1:
		n := min(rng.IntN(8), m.bytes()) // mostly less than is pushed, so that it fills up
		if rng.IntN(50) == 0 {
			n = rng.IntN(m.bytes() + 1)
		}
		q.Done(n)
		m.done(n)
	case 2:
		if got, want := q.Settle(1), m.settle(); got != want {
			t.Errorf("settle: %v, want %v", got, want)
			return false
		}
	default:
		it := item{text: randomText(rng), kind: Kind(rng.IntN(3)), key: rng.Uint64N(20)}
		if rng.IntN(20) == 0 {
			it.kind = Control
		}
		p := Borrow(b, []byte(it.text))
		got, err := q.Push(p, it.kind, it.key)
		p.Release()
		if want := m.push(it); got != want || err != nil {
			t.Errorf("push %v, key %d, %d bytes: %v, %v, want %v", it.kind, it.key, len(it.text), got, err, want)
			return false
		}
	}
	gathered := string(q.Gather(make([]byte, 0, q.Bytes()+10)))
	if gathered != m.text() || q.Bytes() != m.bytes() || q.Len() != len(m.list) || int(q.Stats().Dropped) != m.drops {
		t.Errorf("%d packets, %d bytes, %d dropped: %q\nwant %d, %d, %d: %q", q.Len(), q.Bytes(), q.Stats().Dropped, gathered,
			len(m.list), m.bytes(), m.drops, m.text())
		return false
	}
	return true
}

func randomText(rng *rand.Rand) string {
	n := rng.IntN(12)
	if rng.IntN(200) == 0 {
		n = rng.IntN(500)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rng.IntN(26))
	}
	return string(b)
}
