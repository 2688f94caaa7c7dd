// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A giveBackModel is a lane that its producer gives back and at once needs again,
// while the reader comes to its end.
type giveBackModel struct {
	rounds int // of giving back and sending
	table  *Table
	to     end
	entry  *laneEntry
	before []snapshot
	files  map[string][]byte // of the lane

	s      *Sender
	reader bellReader
	sent   int
	inside *actor // who holds the change lock
}

func newGiveBackModel(t *testing.T, rounds int) *giveBackModel {
	m := &giveBackModel{rounds: rounds, table: newDomain(t, Config{}), files: map[string][]byte{}}
	m.to = bindReader(t, m.table, addrB)
	bind(t, m.table, addrA)
	s := newSender(t, m.table, addrA, addrB)
	check(t, s.Send(payload(0, 0)))
	wantNumbers(t, m.to.all(), 0, 1)
	i, _ := m.table.find(laneAB)
	m.entry = m.table.lane(i)
	s.Close()
	m.to.drain.Close()
	path := m.table.lanePath(m.entry, 1)
	m.files[path] = must(os.ReadFile(path))(t)
	m.before = snapshotOf(m.to.inbox.seg.Mem(), m.table.seg.Mem()[:tableHeaderSize], m.table.seg.Mem()[m.table.laneAt:][:laneSize])
	return m
}

// reset makes the lane's files anew and opens both ends.
func (m *giveBackModel) reset(*explorer) []*actor {
	for _, p := range m.table.pool.open {
		for range p.ends {
			p.seg.Close()
		}
	}
	m.table.pool = newPool()
	for _, name := range m.laneFiles() {
		fatal(os.Remove(name))
	}
	for name, data := range m.files {
		fatal(os.WriteFile(name, data, 0o600))
	}
	putBack(m.before)
	m.inside, m.sent = nil, 0
	var err error
	m.s, err = m.table.NewSender(laneAB)
	fatal(err)
	m.s.GiveBack(time.Now())
	d, err := m.to.Drain()
	fatal(err)
	d.Sweep()
	d.activate(d.lanes[0])
	m.to.inbox.page.ready[0].Store(1)
	m.reader.drain, m.reader.cools, m.reader.batch = d, true, 1
	m.reader.reset(m.to.Bell(), 1)
	return []*actor{
		{name: "producer", run: m.produce, local: m.producerState},
		{name: "consumer", run: m.reader.run, local: m.reader.state},
	}
}

func (m *giveBackModel) laneFiles() []string {
	names, err := filepath.Glob(m.table.path("l-*"))
	fatal(err)
	return names
}

func (m *giveBackModel) produce(a *actor) {
	for range m.rounds {
		a.checkpoint()
		m.s.GiveBack(time.Now().Add(time.Hour))
		a.checkpoint()
		fatal(m.s.Send(payload(1+m.sent, 0)))
		m.sent++
		m.s.GiveBack(time.Now())
	}
}

func (m *giveBackModel) producerState(h *maphash.Hash) {
	maphash.WriteComparable(h, [4]uint64{m.s.tx.NextSeq(), uint64(m.sent), uint64(m.s.at.gen), m.s.idle})
	maphash.WriteComparable(h, [3]bool{m.s.rung == m.reader.episode, m.s.rung == 0, m.s.at.seg == nil})
}

// blocked: the change lock is held by another one.
func (m *giveBackModel) blocked(a *actor) bool {
	return strings.HasPrefix(a.site, "table.lock") && m.inside != nil && m.inside != a
}

// passed notes who holds the lock: from the step before it is taken to the one
// after it was given back.
func (m *giveBackModel) passed(a *actor, site string) {
	switch site {
	case "table.lock":
		m.inside = a
	case "table.end":
		m.inside = nil
	}
}

func (m *giveBackModel) private() []string {
	return []string{"ring.rx.released", "channel.freed", "shm.create", "shm.allocated", "shm.rename", "table.begin", "channel.stray"}
}

func (m *giveBackModel) shared(h *maphash.Hash) {
	m.reader.sleeper.state(h, m.reader.bell.Sleeping())
	e := m.entry
	maphash.WriteComparable(h, [4]uint64{uint64(e.state.Load()), uint64(e.gen.Load()), e.lastSeq.Load(), m.to.inbox.page.ready[0].Load()})
	for _, name := range m.laneFiles() {
		b, err := os.ReadFile(name)
		fatal(err)
		h.WriteString(name)
		h.Write(b[laneMarksAt:laneProducerAt])
		h.Write(b[laneDataAt : laneDataAt+256])
	}
}

func (m *giveBackModel) end(e *explorer) (wrong string, stuck bool) {
	producer, consumer := e.actors[0], e.actors[1]
	switch {
	case !producer.over:
		return "the producer is stuck", false
	case consumer.parked == nil:
		return "the consumer does not sleep", false
	case m.reader.got[0] != m.sent:
		return fmt.Sprintf("the consumer sleeps with %d of %d messages seen", m.reader.got[0], m.sent), false
	}
	return "", false
}

// TestGiveBackExplored runs a producer that gives its lane back and sends again
// against the consumer that retires the lane, in every interleaving.
func TestGiveBackExplored(t *testing.T) {
	explore(t, newGiveBackModel(t, 1))
}

// TestGiveBackExploredSoak does it twice where SKYBUS_SOAK is set.
func TestGiveBackExploredSoak(t *testing.T) {
	if os.Getenv("SKYBUS_SOAK") != "" {
		explore(t, newGiveBackModel(t, 2))
	}
}
