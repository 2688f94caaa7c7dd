// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"weak"

	"github.com/skybus-io/skybus/internal/testutil"
)

const modelCapacity = 2000 // what a mailbox holds in the model tests at most

// each runs a test of every candidate.
func each(t *testing.T, test func(t *testing.T, d Design)) {
	for _, d := range Designs() {
		t.Run(d.Name, func(t *testing.T) { test(t, d) })
	}
}

// message returns one whose fields all follow from n.
func message(n uint64) Message {
	return Message{Value: n, From: PID{Node: uint32(n), Handle: n + 1}, Session: n + 2, Kind: uint8(n)}
}

// TestMessageSize keeps the message at the size that the figures are for.
func TestMessageSize(t *testing.T) {
	if got := reflect.TypeFor[Message]().Size(); strconv.IntSize == 64 && got != 56 {
		t.Errorf("a message takes %d bytes, want 56", got)
	}
}

// TestFollowsModel compares each candidate with a slice and a flag, in runs of puts
// and takes long enough to cross the ends of chunks, queues and rings.
func TestFollowsModel(t *testing.T) {
	each(t, func(t *testing.T, d Design) {
		rng := testutil.Rand(t)
		m := &model{t: t, box: d.New(modelCapacity)}
		for range 2000 {
			n := 1 + rng.IntN(1<<rng.IntN(9))
			if rng.IntN(2) == 0 {
				m.put(min(n, modelCapacity-int(m.sent-m.taken)))
			} else {
				m.take(n)
			}
		}
		m.take(modelCapacity + 1)
		if m.awake {
			t.Error("awake after everything was taken")
		}
	})
}

// A model knows of a mailbox the numbers of the messages that are in it, and
// whether its reader is awake.
type model struct {
	t           *testing.T
	box         Mailbox
	sent, taken uint64
	awake       bool
}

func (m *model) put(n int) {
	for range n {
		if wake := m.box.Put(message(m.sent)); wake == m.awake {
			m.t.Fatalf("message %d: Put returned %t, and the reader was awake: %t", m.sent, wake, m.awake)
		}
		m.sent++
		m.awake = true
	}
}

// take ends early when the reader goes to sleep.
func (m *model) take(n int) {
	for range n {
		if !m.awake {
			return
		}
		got, ok := m.box.Take()
		switch {
		case ok != (m.taken < m.sent):
			m.t.Fatalf("Take returned %t with %d messages", ok, m.sent-m.taken)
		case !ok:
			m.awake = false
		case got != message(m.taken):
			m.t.Fatalf("took %+v, want message %d", got, m.taken)
		default:
			m.taken++
		}
	}
}

// TestMailboxesShareAPool has several mailboxes of one design in use at once: what one
// gives back is what another gets.
func TestMailboxesShareAPool(t *testing.T) {
	each(t, func(t *testing.T, d Design) {
		rng := testutil.Rand(t)
		models := make([]*model, 5)
		for i := range models {
			models[i] = &model{t: t, box: d.New(modelCapacity)}
		}
		for range 2000 {
			step(models[rng.IntN(len(models))], rng)
		}
		for _, m := range models {
			m.take(modelCapacity + 1)
			if m.taken != m.sent {
				t.Errorf("%d of %d messages", m.taken, m.sent)
			}
		}
	})
}

func step(m *model, rng *rand.Rand) {
	n := 1 + rng.IntN(100)
	if waiting := int(m.sent - m.taken); waiting+n <= modelCapacity && rng.IntN(2) == 0 {
		m.put(n)
	} else {
		m.take(n)
	}
}

// TestTakenValuesAreCollected looks whether a mailbox, or a pool, still refers to what
// was taken from it.
func TestTakenValuesAreCollected(t *testing.T) {
	each(t, func(t *testing.T, d Design) {
		box := d.New(modelCapacity)
		for _, n := range []int{1, 2, 33, 200} {
			values := putValues(box, n)
			for range n {
				if _, ok := box.Take(); !ok {
					t.Fatalf("less than %d messages", n)
				}
			}
			collect()
			for i, v := range values {
				if v.Value() != nil {
					t.Fatalf("value %d of %d is still referred to", i, n)
				}
			}
			if _, ok := box.Take(); ok {
				t.Fatalf("more than %d messages", n)
			}
		}
	})
}

// A value has a pointer, so that it is an allocation of its own.
type value struct{ self *value }

func putValues(box Mailbox, n int) []weak.Pointer[value] {
	values := make([]weak.Pointer[value], n)
	for i := range values {
		v := new(value)
		v.self = v
		values[i] = weak.Make(v)
		box.Put(Message{Value: v})
	}
	return values
}
