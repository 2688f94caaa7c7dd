// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
)

// through pushes so many numbered packets of 100 bytes into a pipe of a quality
// and returns the numbers of those that come out, in order. Time is not waited
// for: the pipe is told that it has passed.
func through(t *testing.T, packets int, words string) (numbers []int) {
	t.Helper()
	q, err := parseQuality(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	take := func(packet []byte) { numbers = append(numbers, int(binary.BigEndian.Uint64(packet))) }
	p := newPipe(take)
	p.set(q)
	packet := make([]byte, 100)
	for i := range packets {
		binary.BigEndian.PutUint64(packet, uint64(i))
		p.push(packet)
	}
	for {
		packet, _ := p.pop(time.Now().Add(24 * time.Hour))
		if packet == nil {
			return numbers
		}
		take(packet)
	}
}

// descents counts the numbers that are not larger than the one before them.
func descents(numbers []int) (n int) {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] <= numbers[i-1] {
			n++
		}
	}
	return n
}

// TestPipe: of 10,000 packets, what comes out. A share of them is off by
// a third at most, which is more than ten standard deviations.
func TestPipe(t *testing.T) {
	tests := []struct {
		words           string
		from, to        int // packets that come out
		fewest, highest int // descents
	}{
		{"", 10000, 10000, 0, 0},
		{"delay 10ms limit 20000", 10000, 10000, 0, 0},
		{"rate 1mbit limit 20000", 10000, 10000, 0, 0},
		{"delay 10ms rate 1mbit limit 20000", 10000, 10000, 0, 0},
		{"loss 30% limit 20000", 6000, 8000, 0, 0},
		{"loss 100%", 0, 0, 0, 0},
		{"duplicate 100% limit 20000", 20000, 20000, 10000, 10000},
		{"duplicate 30% limit 20000", 12000, 14000, 2000, 4000},
		{"loss 100% duplicate 100% limit 20000", 10000, 10000, 0, 0},
		{"delay 100ms reorder 25% limit 20000", 10000, 10000, 1, 5000},
		{"delay 10ms 5ms limit 20000", 10000, 10000, 3000, 7000},
		{"delay 10ms limit 7", 7, 7, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.words, func(t *testing.T) {
			numbers := through(t, 10000, test.words)
			if n := len(numbers); n < test.from || n > test.to {
				t.Errorf("%d packets came out, want %d to %d", n, test.from, test.to)
			}
			if n := descents(numbers); n < test.fewest || n > test.highest {
				t.Errorf("%d packets came after a later one, want %d to %d", n, test.fewest, test.highest)
			}
			seen := slices.Compact(slices.Sorted(slices.Values(numbers)))
			if test.from >= 10000 && len(seen) != 10000 {
				t.Errorf("%d of 10000 packets came out", len(seen))
			}
		})
	}
}

// TestPipeIsLate: when packets are due.
func TestPipeIsLate(t *testing.T) {
	p := newPipe(func([]byte) { t.Error("a packet is not late") })
	p.set(quality{delay: time.Hour, limit: 10})
	start := time.Now()
	p.push(make([]byte, 100))
	end := time.Now()
	if packet, wait := p.pop(start.Add(time.Hour - time.Second)); packet != nil || wait < time.Second {
		t.Errorf("before its time: a packet of %d bytes, or a wait of %v", len(packet), wait)
	}
	if packet, _ := p.pop(end.Add(time.Hour)); len(packet) != 100 {
		t.Errorf("at its time: a packet of %d bytes, want 100", len(packet))
	}

	p.set(quality{rate: 100, limit: 10}) // one packet a second
	start = time.Now()
	for range 3 {
		p.push(make([]byte, 100))
	}
	for n := range 3 {
		due := time.Duration(n+1) * time.Second
		if packet, _ := p.pop(start.Add(due - time.Millisecond)); packet != nil {
			t.Errorf("packet %d passes before its %v", n+1, due)
		}
		if packet, _ := p.pop(time.Now().Add(due)); packet == nil {
			t.Errorf("packet %d does not pass after %v", n+1, due)
		}
	}
}

// TestPipeRuns: packets come out by themselves, and the pipe ends.
func TestPipeRuns(t *testing.T) {
	out := make(chan byte)
	p := newPipe(func(packet []byte) { out <- packet[0] })
	p.set(quality{delay: time.Millisecond, limit: 10})
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.run(done)
	}()
	for i := range byte(5) {
		p.push([]byte{i})
		if got := <-out; got != i {
			t.Errorf("got packet %d, want %d", got, i)
		}
	}
	close(done)
	<-ended
}
