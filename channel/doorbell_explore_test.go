// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

// A bellModel is an inbox with its reader and some writers, each with a lane.
type bellModel struct {
	lockless
	messages []int // of each writer
	inbox    *inbox
	senders  []*Sender
	lanes    []segment
	before   []snapshot

	reader bellReader
	sent   []int // Sends that have returned, by lane
}

// newBellModel makes the domain. The reader has its lanes open and polls none.
func newBellModel(t *testing.T, messages ...int) *bellModel {
	table := newDomain(t, Config{})
	m := &bellModel{messages: messages}
	to := bindReader(t, table, addrA)
	m.reader = bellReader{drain: to.drain, cools: true, batch: 4}
	m.inbox = to.inbox
	mem := [][]byte{m.inbox.seg.Mem()}
	for k := range messages {
		src := addrB + addr.Addr(k)
		bind(t, table, src)
		s := newSender(t, table, src, addrA)
		m.senders = append(m.senders, s)
		m.lanes = append(m.lanes, s.at)
		mem = append(mem, s.at.seg.Mem())
	}
	to.drain.Sweep()
	m.before = snapshotOf(mem...)
	return m
}

func (m *bellModel) reset(*explorer) (list []*actor) {
	putBack(m.before)
	m.sent = make([]int, len(m.lanes))
	m.reader.reset(&m.inbox.page.bell, len(m.lanes))
	for k, s := range m.senders {
		resetSender(s)
		list = append(list, m.writer(k, s))
	}
	resetDrain(m.reader.drain)
	return append(list, &actor{name: "reader", run: m.reader.run, local: m.reader.state})
}

// resetSender makes s what it is when it has just been opened.
func resetSender(s *Sender) {
	var err error
	s.mu, s.rung, s.waits = sendLock{}, 0, 0
	s.tx, err = ring.AttachTx(s.at.ring)
	fatal(err)
}

// resetDrain makes d what it is when its lanes have been opened and none is polled.
func resetDrain(d *Drain) {
	clear(d.known)
	d.active, d.next, d.seen = nil, 0, false
	for _, r := range d.lanes {
		var err error
		r.rung, r.empty, r.turns = 0, 0, 0
		r.rx, err = ring.AttachRx(r.at.ring)
		fatal(err)
	}
}

func (m *bellModel) writer(k int, s *Sender) *actor {
	a := &actor{name: fmt.Sprint("writer ", k), mortal: true}
	a.run = func(a *actor) {
		for i := range m.messages[k] {
			a.checkpoint()
			fatal(s.Send(payload(i, 0)))
			m.sent[k]++
		}
	}
	a.local = func(h *maphash.Hash) {
		maphash.WriteComparable(h, [3]uint64{s.tx.Tail(), s.tx.NextSeq(), uint64(m.sent[k])})
		maphash.WriteComparable(h, [2]bool{s.rung == m.reader.episode, s.rung == 0})
	}
	return a
}

// private: nobody waits for room.
func (m *bellModel) private() []string {
	return []string{"ring.rx.released", "channel.freed", "ring.walk"}
}

func (m *bellModel) shared(h *maphash.Hash) {
	page := m.inbox.page
	m.reader.sleeper.state(h, page.bell.Sleeping())
	maphash.WriteComparable(h, page.ready[0].Load())
	for _, l := range m.lanes {
		h.Write(l.seg.Mem()[laneMarksAt : laneMarksAt+ring.MarksSize])
		h.Write(l.seg.Mem()[laneDataAt : laneDataAt+256])
	}
}

// announcing are the steps before which a writer may die so that nobody was told
// of its last message.
var announcing = []string{"inbox.bit", "inbox.setbit", "shm.bell.sleeping", "shm.bell.ring", "shm.bell.wake"}

func (m *bellModel) end(e *explorer) (wrong string, stuck bool) {
	reader := e.actors[len(m.lanes)]
	if reader.parked == nil || m.reader.wrong != "" {
		return "the reader does not sleep, or " + m.reader.wrong, false
	}
	for k, w := range e.actors[:len(m.lanes)] {
		missing := m.committed(k) - m.reader.got[k]
		if missing == 1 && w.dead && slices.Contains(announcing, w.site) {
			stuck = true
		} else if missing != 0 {
			return fmt.Sprintf("the reader sleeps with %d messages of %s unseen", missing, w.name), false
		}
	}
	m.reader.timeout(reader)
	for k := range m.lanes {
		if got := m.reader.got[k]; got != m.committed(k) {
			return fmt.Sprintf("a sweep left lane %d with %d messages seen, of %d", k, got, m.committed(k)), false
		}
	}
	return "", stuck
}

func (m *bellModel) committed(k int) int {
	st, err := ring.Look(m.lanes[k].ring)
	fatal(err)
	return int(st.NextSeq) - 1
}

// TestDoorbellExplored runs two writers and a reader in every interleaving, with
// one writer dying anywhere: no message is left behind a sleeping reader.
func TestDoorbellExplored(t *testing.T) {
	explore(t, newBellModel(t, 2, 1))
}

func TestDoorbellExploredOneWriter(t *testing.T) {
	explore(t, newBellModel(t, 3))
}

// TestDoorbellExploredSoak takes minutes where SKYBUS_SOAK is set.
func TestDoorbellExploredSoak(t *testing.T) {
	messages := []int{1, 1}
	if os.Getenv("SKYBUS_SOAK") != "" {
		messages = []int{2, 2}
	}
	explore(t, newBellModel(t, messages...))
}

// TestWithoutSecondLook shows that the explorer finds what is wrong: nobody looks
// between announcing the sleep and waiting.
func TestWithoutSecondLook(t *testing.T) {
	bell := newBellModel(t, 1)
	bell.reader.hasty = true
	room := newRoomModel(t, 6)
	room.producer.hasty = true
	for _, m := range []model{bell, room} {
		if wrong := exploreUntil(t, m); wrong == "" {
			t.Errorf("%T: nothing was found", m)
		}
	}
}
