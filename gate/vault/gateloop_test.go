// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A bus has the messages of some sources for one gate, and what was released of them: it outlives the gate.
type bus struct {
	lanes    [][]message // by source, from 1 on
	released []int       // by source: messages that do not come again
	taken    []int       // by source: messages that some life of the gate was given
	save     func()      // called when one of the two has grown; nil: nobody wants to know
}

// A message is a list of items, an item a list of sessions, by their number in the test. Its number is its
// place in the lane, from 1 on.
type message [][]int

// newBus makes messages of random items.
func newBus(rng *rand.Rand, sources, messages, sessions int) *bus {
	b := &bus{lanes: make([][]message, sources+1), released: make([]int, sources+1), taken: make([]int, sources+1)}
	for source := 1; source <= sources; source++ {
		for range messages {
			m := make(message, rng.IntN(4))
			for i := range m {
				for s := range sessions {
					if rng.IntN(3) > 0 {
						m[i] = append(m[i], s)
					}
				}
			}
			b.lanes[source] = append(b.lanes[source], m)
		}
	}
	return b
}

// content is the packet of an item; all differ.
func content(o Origin) []byte {
	b := fmt.Appendf(nil, "%d %d %d ", o.Source, o.Number, o.Item)
	return append(b, packet(int(o.Item), int(o.Source*7+o.Number*13)%150)...)
}

// A life is a gate's process, from when it has the vault until it ends.
type life struct {
	bus  *bus
	v    *Vault
	ids  []uint64 // of the sessions
	next []int    // by source: the message that comes next
	lag  int      // so many messages of a source are released later
	slow func()   // called before each Add; nil: no need
}

func newLife(b *bus, v *Vault, ids []uint64, lag int) *life {
	return &life{bus: b, v: v, ids: ids, next: append([]int(nil), b.released...), lag: lag}
}

// handle handles the next message of a source as a gate does; false: there is none.
func (l *life) handle(source int) (bool, error) {
	i := l.next[source]
	if i == len(l.bus.lanes[source]) {
		return false, nil
	}
	again := i < l.bus.taken[source]
	l.bus.taken[source] = max(l.bus.taken[source], i+1)
	l.bus.saved()
	if err := l.apply(uint64(source), uint64(i+1), l.bus.lanes[source][i], again); err != nil {
		return false, err
	}
	l.next[source]++
	l.bus.released[source] = max(l.bus.released[source], l.next[source]-l.lag)
	l.bus.saved()
	return true, nil
}

func (b *bus) saved() {
	if b.save != nil {
		b.save()
	}
}

func (l *life) apply(source, number uint64, m message, again bool) error {
	first := 0
	if again {
		if number <= l.v.Done(source) {
			return nil
		}
		first = l.v.Part(source, number)
	}
	slots := map[uint64]Slot{}
	l.v.Slots(func(s Slot) bool { slots[s.ID()] = s; return true })
	for item := first; item < len(m); item++ {
		o := Origin{Source: source, Number: number, Item: uint32(item)}
		ref, err := l.v.Put(o, content(o))
		if err != nil {
			return err
		}
		for _, n := range m[item] {
			s := slots[l.ids[n]]
			if again && s.Has(o) {
				continue
			}
			if l.slow != nil {
				l.slow()
			}
			if s.Add(ref) == 0 {
				return fmt.Errorf("session %x is gone", s.ID())
			}
		}
		if len(m) > 1 {
			if err := l.v.SetPart(source, number, item+1); err != nil {
				return err
			}
		}
	}
	return l.v.SetDone(source, number)
}

// A client has what a session's client got.
type client struct{ got [][]byte }

// fetch gets what is new, as a client that comes back.
func (c *client) fetch(t testing.TB, s Slot) {
	t.Helper()
	list, err := s.Since(uint64(len(c.got)), nil)
	check(t, err)
	for _, data := range list {
		c.got = append(c.got, bytes.Clone(data))
	}
}

// fetchAll is fetch for all sessions.
func fetchAll(t testing.TB, v *Vault, clients []client, ids []uint64) {
	t.Helper()
	for n := range clients {
		clients[n].fetch(t, byID(t, v, ids[n]))
	}
}

// judge looks whether each client got each packet once, those of a source in their order.
func (b *bus) judge(t testing.TB, clients []client) {
	t.Helper()
	for n := range clients {
		got := map[string]int{} // place
		for i, data := range clients[n].got {
			if _, twice := got[string(data)]; twice {
				t.Errorf("client %d got %.20q twice", n, data)
			}
			got[string(data)] = i
		}
		wanted := 0
		for source, lane := range b.lanes {
			last := -1
			for number, m := range lane {
				for item, to := range m {
					for _, s := range to {
						if s != n {
							continue
						}
						wanted++
						o := Origin{uint64(source), uint64(number + 1), uint32(item)}
						at, ok := got[string(content(o))]
						if !ok {
							t.Errorf("client %d did not get %+v", n, o)
						} else if at < last {
							t.Errorf("client %d got %+v too early", n, o)
						}
						last = max(last, at)
					}
				}
			}
		}
		if len(got) != wanted {
			t.Errorf("client %d got %d packets, want %d", n, len(got), wanted)
		}
	}
}
