// SPDX-License-Identifier: Apache-2.0

package queue

import "testing"

func TestPushAndDoneDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random here")
	}
	q := newQueue(t, Marks{})
	p := New(nil, make([]byte, 64))
	var bufs [MaxFill][]byte
	n := testing.AllocsPerRun(1000, func() {
		for i := range small {
			_, _ = q.Push(p, Kind(i%3), uint64(i))
		}
		q.Fill(bufs[:0])
		q.Done(q.Bytes())
	})
	if n > 0.1 {
		t.Errorf("%v allocations, want none", n)
	}
}

// BenchmarkQueue is one packet through a queue, 16 at a time.
func BenchmarkQueue(b *testing.B) {
	q := newQueue(b, Marks{})
	p := New(nil, make([]byte, 64))
	var bufs [MaxFill][]byte
	for n := 0; b.Loop(); n++ {
		_, _ = q.Push(p, Must, 0)
		if n%16 == 15 {
			q.Fill(bufs[:0])
			q.Done(q.Bytes())
		}
	}
}

// BenchmarkNewest replaces one of 1,000 packets that wait.
func BenchmarkNewest(b *testing.B) {
	q := newQueue(b, Marks{})
	p := New(nil, make([]byte, 20))
	for n := uint64(0); b.Loop(); n++ {
		_, _ = q.Push(p, Newest, n%1000)
	}
}
