// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A boxModel does to a slice what is done to a box.
type boxModel struct {
	b    box
	want []Message
	head *chunk // taken from b, and not yet read
	last uint64
}

func (x *boxModel) put(kind Kind) {
	x.last++
	m := Message{Session: x.last, Kind: kind}
	x.b.put(&m)
	x.want = append(x.want, m)
}

// next reads one message, as a service does.
func (x *boxModel) next(t *testing.T) {
	t.Helper()
	var m Message
	switch {
	case x.head != nil:
		if x.head.shift(&m); x.head.at == x.head.n {
			k := x.head
			x.head = k.next
			k.free()
		}
	case x.b.n > 0:
		x.head = x.b.take(&m)
	default:
		if len(x.want) > 0 {
			t.Fatalf("the box is empty, want %d messages", len(x.want))
		}
		return
	}
	if m != x.want[0] {
		t.Fatalf("message %d, want %d", m.Session, x.want[0].Session)
	}
	x.want = x.want[1:]
}

// taken counts what is in the head.
func (x *boxModel) taken() (n int) {
	for k := x.head; k != nil; k = k.next {
		n += k.n - k.at
	}
	return n
}

func (x *boxModel) drop(t *testing.T) {
	t.Helper()
	var m Message
	got, first := x.b.drop(&m), x.taken()
	i := slices.IndexFunc(x.want[first:], func(m Message) bool { return !m.system() })
	if got != (i >= 0) {
		t.Fatalf("dropped: %v, want %v", got, i >= 0)
	}
	if !got {
		return
	}
	if want := x.want[first+i]; m != want {
		t.Fatalf("dropped %d, want %d", m.Session, want.Session)
	}
	x.want = slices.Delete(x.want, first+i, first+i+1)
}

func (x *boxModel) check(t *testing.T) {
	t.Helper()
	if n := x.taken() + x.b.n; n != len(x.want) {
		t.Fatalf("%d messages, want %d", n, len(x.want))
	}
	if (x.b.head == nil) != (x.b.tail == nil) {
		t.Fatalf("head %p, tail %p", x.b.head, x.b.tail)
	}
}

func TestBoxIsAQueue(t *testing.T) {
	rng := testutil.Rand(t)
	for range 100 {
		var x boxModel
		puts, drops, system := 1+rng.IntN(8), rng.IntN(3), rng.IntN(3)
		for range 2000 {
			switch n := rng.IntN(8 + drops); {
			case n >= 8:
				x.drop(t)
			case n < puts && rng.IntN(4) < system:
				x.put(kindRoom)
			case n < puts:
				x.put(KindMessage)
			default:
				x.next(t)
			}
			x.check(t)
		}
		for len(x.want) > 0 {
			x.next(t)
			x.check(t)
		}
	}
}

// Behind a chunk of messages that are never dropped, others become empty.
func TestDropsBehindSystemMessages(t *testing.T) {
	for _, n := range []int{1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 10 * chunkSize} {
		var x boxModel
		for range 2*chunkSize + 1 {
			x.put(KindDown)
		}
		for range n {
			x.put(KindMessage)
		}
		for range n {
			x.drop(t)
			x.put(KindMessage)
			x.check(t)
		}
		for len(x.want) > 0 {
			x.next(t)
			x.check(t)
		}
	}
}
