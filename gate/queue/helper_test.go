// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"bytes"
	"testing"
)

func (m Marks) mustDefaults(t testing.TB) Marks {
	t.Helper()
	m, err := m.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newQueue returns a queue of packets as they are.
func newQueue(t testing.TB, m Marks) *Queue {
	t.Helper()
	m = m.mustDefaults(t)
	q := new(Queue)
	q.Init(nil, &m)
	return q
}

func push(t testing.TB, q *Queue, p *Packet, kind Kind, key uint64, want Verdict) {
	t.Helper()
	if v, err := q.Push(p, kind, key); v != want || err != nil {
		t.Fatalf("push of %d bytes, %v, key %d: %v, %v, want %v", p.Len(), kind, key, v, err, want)
	}
}

// text pushes a packet with a text.
func text(t testing.TB, q *Queue, s string, kind Kind, key uint64, want Verdict) {
	t.Helper()
	push(t, q, New(nil, []byte(s)), kind, key, want)
}

// all returns what a queue would write.
func all(q *Queue) string { return string(bytes.Join(q.Fill(nil), nil)) }
