// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

// A snapshot is memory that can be put back.
type snapshot struct{ mem, copy []byte }

func snapshotOf(list ...[]byte) (s []snapshot) {
	for _, mem := range list {
		s = append(s, snapshot{mem, slices.Clone(mem)})
	}
	return s
}

func putBack(list []snapshot) {
	for _, s := range list {
		copy(s.mem, s.copy)
	}
}

// A bellModel is an inbox with its reader and some writers, each with a lane.
type bellModel struct {
	table    *Table
	messages int // a writer
	second   bool
	lanes    []segment
	inbox    *inbox
	before   []snapshot

	senders []*Sender
	drain   *Drain
	got     []int // messages seen, by lane
	sent    []int // Sends that have returned, by lane
	late    bool  // the reader's wait has timed out
	count   uint32
	counted bool // count will be used
	episode uint32
}

// newBellModel makes the domain. The reader has its lanes open and polls none.
func newBellModel(t *testing.T, writers, messages int) *bellModel {
	m := &bellModel{table: newDomain(t, Config{}), messages: messages, second: true}
	to := bindReader(t, m.table, addrA)
	m.drain = to.drain
	m.inbox = must(m.table.inbox(addrA, false))(t)
	mem := [][]byte{m.inbox.seg.Mem()}
	for k := range writers {
		src := addrB + addr.Addr(k)
		bind(t, m.table, src)
		s := newSender(t, m.table, src, addrA)
		m.senders = append(m.senders, s)
		m.lanes = append(m.lanes, s.at)
		mem = append(mem, s.at.seg.Mem())
	}
	m.drain.Sweep() // opens the lanes
	m.before = snapshotOf(mem...)
	return m
}

func (m *bellModel) reset(*explorer) (list []*actor) {
	putBack(m.before)
	m.got, m.sent = make([]int, len(m.lanes)), make([]int, len(m.lanes))
	m.late, m.count, m.counted, m.episode = false, 0, false, 0
	var err error
	d := m.drain
	clear(d.known)
	d.active, d.next = nil, 0
	for k, s := range m.senders {
		s.mu, s.rung, s.claims, s.batch = sync.Mutex{}, 0, 0, 0
		s.tx, err = ring.AttachTx(m.lanes[k].ring)
		fatal(err)
		r := d.lanes[k]
		r.rung, r.empty, r.turns = 0, 0, 0
		r.rx, err = ring.AttachRx(m.lanes[k].ring)
		fatal(err)
		list = append(list, m.writer(k, s))
	}
	return append(list, m.reader())
}

func (m *bellModel) writer(k int, s *Sender) *actor {
	a := &actor{name: fmt.Sprint("writer", k), mortal: true}
	a.run = func(a *actor) {
		for i := range m.messages {
			a.checkpoint()
			fatal(s.Send(payload(i, 0)))
			m.sent[k]++
		}
	}
	a.local = func(h *maphash.Hash) {
		maphash.WriteComparable(h, [3]uint64{s.tx.Tail(), s.tx.NextSeq(), uint64(m.sent[k])})
		maphash.WriteComparable(h, s.rung == m.episode) // no other episode will come again
	}
	return a
}

// reader waits as the library does.
func (m *bellModel) reader() *actor {
	a := &actor{name: "reader"}
	bell := &m.inbox.page.bell
	a.run = func(a *actor) {
		for !m.late {
			a.checkpoint()
			m.receive(a)
			a.checkpoint()
			m.count, m.counted = bell.Count(), true
			m.episode++
			bell.Sleep(m.episode)
			a.checkpoint()
			if !m.second || !m.drain.Look() {
				a.checkpoint()
				bell.Wait(m.count, time.Second)
			}
			m.counted = false
			a.checkpoint()
			bell.Awake(m.episode)
		}
		m.drain.Sweep()
		m.receive(a)
	}
	a.local = func(h *maphash.Hash) { m.readerState(h) }
	return a
}

// receive takes until there is nothing. At each turn the lanes that are polled
// may have been empty for long enough to be cooled.
func (m *bellModel) receive(a *actor) {
	var recs [4]ring.Record
	for {
		if len(m.drain.active) > 0 && !m.late && a.choose(2) == 1 {
			for _, r := range m.drain.active {
				r.empty = hotTurns
			}
		}
		r, n := m.drain.Next(recs[:], false)
		if n == 0 {
			return
		}
		m.got[r.Src()-addrB] += n
		r.Release(&recs[n-1], true)
		a.checkpoint()
	}
}

func (m *bellModel) readerState(h *maphash.Hash) {
	d := m.drain
	maphash.WriteComparable(h, [2]uint64{d.known[0], uint64(d.next)})
	for k := range m.got {
		maphash.WriteComparable(h, m.got[k])
	}
	for _, r := range d.active {
		maphash.WriteComparable(h, r.slot)
		maphash.WriteComparable(h, r.empty >= hotTurns)
	}
	for _, r := range d.lanes {
		if r != nil {
			maphash.WriteComparable(h, [2]uint64{r.rx.Seq(), r.rx.Backlog()})
		}
	}
}

func (m *bellModel) shared(h *maphash.Hash) {
	page := m.inbox.page
	sleeping := page.bell.Sleeping()
	maphash.WriteComparable(h, [3]bool{sleeping == 0, sleeping == m.episode, m.counted && page.bell.Count() == m.count})
	maphash.WriteComparable(h, [2]any{m.counted, page.ready[0].Load()})
	for _, l := range m.lanes {
		h.Write(l.seg.Mem()[laneMarksAt : laneMarksAt+ring.MarksSize])
		h.Write(l.seg.Mem()[laneDataAt : laneDataAt+128])
	}
}

// announcing are the steps before which a writer may die so that nobody was told
// of its last message.
var announcing = []string{
	"ring.tx.committed", "inbox.bit", "inbox.setbit", "shm.bell.sleeping", "shm.bell.ring", "shm.bell.wake",
}

func (m *bellModel) end(e *explorer) (wrong string, stuck bool) {
	for k := range m.lanes {
		st, err := ring.Look(m.lanes[k].ring)
		fatal(err)
		missing := int(st.NextSeq) - 1 - m.got[k]
		w := e.actors[k]
		if missing == 1 && w.dead && slices.Contains(announcing, w.site) {
			stuck = true
		} else if missing != 0 {
			return fmt.Sprintf("the reader sleeps with %d messages of %s unseen", missing, w.name), false
		}
	}
	reader := e.actors[len(m.lanes)]
	if reader.parked == nil {
		return "the reader does not sleep", false
	}
	m.late, reader.parked = true, nil
	for !reader.over {
		reader.answer = 0
		reader.advance()
	}
	for k := range m.lanes {
		if st, _ := ring.Look(m.lanes[k].ring); m.got[k] != int(st.NextSeq)-1 {
			return fmt.Sprintf("a sweep found %d messages of lane %d, of %d", m.got[k], k, st.NextSeq-1), false
		}
	}
	return "", stuck
}

// TestDoorbellExplored runs two writers and a reader in every interleaving, with
// one writer dying anywhere: no message is left behind a sleeping reader.
func TestDoorbellExplored(t *testing.T) {
	explore(t, newBellModel(t, 2, 1))
}

func TestDoorbellExploredTwoMessages(t *testing.T) {
	explore(t, newBellModel(t, 1, 2))
}

// TestDoorbellWithoutSecondLook shows that the explorer finds what is wrong: the
// look between Sleep and Wait is left out.
func TestDoorbellWithoutSecondLook(t *testing.T) {
	m := newBellModel(t, 1, 1)
	m.second = false
	explore(t, m)
}
