// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/ring"
)

// A roomModel is a lane whose producer waits for room while its consumer waits
// for messages. Two of its messages fill the ring.
type roomModel struct {
	lockless
	messages int
	s        *Sender
	lane     segment
	from, to *inbox
	before   []snapshot

	sent     int
	producer sleeper
	consumer bellReader
}

const roomMessage = 2000

func newRoomModel(t *testing.T, messages int) *roomModel {
	table := newDomain(t, Config{})
	_, err := table.Configure([]Channel{{A: addrA, B: addrB, SendSize: 4096, RecvSize: 4096}}, false, false)
	check(t, err)
	m := &roomModel{messages: messages}
	a := bind(t, table, addrA)
	b := bindReader(t, table, addrB)
	m.s = newSender(t, table, addrA, addrB)
	m.consumer = bellReader{drain: b.drain, batch: 1}
	m.lane, m.from, m.to = m.s.at, a.inbox, b.inbox
	b.drain.Sweep()
	m.before = snapshotOf(m.lane.seg.Mem(), m.from.seg.Mem(), m.to.seg.Mem())
	return m
}

func (m *roomModel) reset(*explorer) []*actor {
	putBack(m.before)
	m.sent = 0
	m.producer = sleeper{bell: &m.from.page.bell, hasty: m.producer.hasty}
	m.consumer.reset(&m.to.page.bell, 1)
	resetSender(m.s)
	resetDrain(m.consumer.drain)
	return []*actor{
		{name: "producer", run: m.produce, local: m.producerState},
		{name: "consumer", run: m.consumer.run, local: m.consumerState, mortal: true},
	}
}

func (m *roomModel) produce(a *actor) {
	look := func() bool {
		ok, err := m.s.Room(roomMessage)
		fatal(err)
		return ok
	}
	for m.sent < m.messages {
		a.checkpoint()
		switch err := m.s.Send(payload(m.sent, roomMessage)); {
		case err == nil:
			m.sent++
		case errors.Is(err, ErrFull):
			m.producer.sleep(a, m.s.WaitRoom, m.s.GotRoom, look)
		default:
			panic(err)
		}
	}
}

func (m *roomModel) producerState(h *maphash.Hash) {
	maphash.WriteComparable(h, [4]uint64{m.s.tx.Tail(), m.s.tx.NextSeq(), uint64(m.sent), uint64(m.s.waits)})
	maphash.WriteComparable(h, [2]bool{m.s.rung == m.consumer.episode, m.s.rung == 0})
}

func (m *roomModel) consumerState(h *maphash.Hash) {
	m.consumer.state(h)
	rung := m.consumer.drain.lanes[0].rung
	maphash.WriteComparable(h, [2]bool{rung == m.producer.episode, rung == 0})
}

func (m *roomModel) private() []string { return []string{"ring.walk"} }

func (m *roomModel) shared(h *maphash.Hash) {
	m.producer.state(h, m.lane.prod.waiting.Load())
	m.consumer.sleeper.state(h, m.consumer.bell.Sleeping())
	maphash.WriteComparable(h, m.to.page.ready[0].Load())
	h.Write(m.lane.seg.Mem()[laneMarksAt : laneMarksAt+ring.MarksSize])
	h.Write(m.lane.seg.Mem()[laneDataAt:])
}

// freeing are the steps before which a consumer may die so that nobody was told
// of the room that it made.
var freeing = []string{"channel.freed", "shm.bell.ring", "shm.bell.wake"}

func (m *roomModel) end(e *explorer) (wrong string, stuck bool) {
	producer, consumer := e.actors[0], e.actors[1]
	st, err := ring.Look(m.lane.ring)
	fatal(err)
	room := m.lane.ring.Size()-(st.Tail-st.Released) >= 2*ring.RecordSize(roomMessage)
	switch {
	case m.consumer.wrong != "":
		return m.consumer.wrong, false
	case !consumer.dead && (!producer.over || m.consumer.got[0] != m.messages):
		return fmt.Sprintf("all sleep with %d messages sent, %d taken, of %d", m.sent, m.consumer.got[0], m.messages), false
	case producer.over || !room:
		return "", false
	case !slices.Contains(freeing, consumer.site):
		return "the producer sleeps although there is room", false
	}
	sent := m.sent
	producer.parked = nil // by the timeout: it looks itself
	for !producer.over && producer.parked == nil {
		producer.advance()
	}
	if m.sent == sent {
		return "the producer did not see the room after its timeout", true
	}
	return "", true
}

// TestRoomExplored runs a producer that waits for room against its consumer in
// every interleaving; the consumer may die anywhere. Six messages go round the
// ring three times.
func TestRoomExplored(t *testing.T) {
	explore(t, newRoomModel(t, 6))
}
