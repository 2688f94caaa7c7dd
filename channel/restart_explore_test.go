// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"os"
	"testing"
)

// A restartModel is a producer that is killed while its lane grows, and the next
// one, which takes the lane up while the consumer goes on.
type restartModel struct {
	fileModel
	sizes []int // of the messages

	first, second *Sender
	producer      *actor
	sent          int // Sends of the first that have returned
}

func (m *restartModel) reset(*explorer) []*actor {
	m.restart()
	var err error
	m.first, err = m.table.NewSender(laneAB)
	fatal(err)
	m.second, m.sent = nil, 0
	m.producer = &actor{name: "producer", run: m.produce, local: m.producerState, mortal: true}
	return []*actor{
		m.producer,
		{name: "successor", run: m.succeed, local: m.successorState},
		{name: "consumer", run: m.reader.run, local: m.reader.state},
	}
}

func (m *restartModel) produce(a *actor) {
	for i, n := range m.sizes {
		a.checkpoint()
		fatal(m.first.Send(payload(i, n)))
		m.sent++
	}
}

func (m *restartModel) succeed(a *actor) {
	a.step("waits for the lock")
	s, err := m.table.NewSender(laneAB)
	fatal(err)
	if n := int(s.LastSeq()) - 1; n < m.sent || n > m.sent+1 {
		m.reader.wrong = fmt.Sprintf("the successor finds %d messages, %d were accepted", n, m.sent)
	}
	m.second = s
	a.checkpoint()
	fatal(s.Send(payload(99, 0)))
}

// blocked: also the bind lock is held until its holder dies.
func (m *restartModel) blocked(a *actor) bool {
	return a.site == "waits for the lock" && !m.producer.dead || m.fileModel.blocked(a)
}

func (m *restartModel) producerState(h *maphash.Hash) {
	maphash.WriteComparable(h, m.sent)
	m.senderState(h, m.first)
}

func (m *restartModel) successorState(h *maphash.Hash) {
	if m.second != nil {
		m.senderState(h, m.second)
	}
}

func (m *restartModel) end(e *explorer) (wrong string, stuck bool) {
	sent := m.sent
	if m.second != nil {
		sent = int(m.second.LastSeq()) - 1
	}
	switch {
	case m.reader.wrong != "":
		return m.reader.wrong, false
	case !m.producer.over && !e.actors[1].over:
		return "the producers are stuck", false
	case e.actors[2].parked == nil:
		return "the consumer does not sleep", false
	case m.reader.got[0] != sent:
		return fmt.Sprintf("the consumer sleeps with %d of %d messages seen", m.reader.got[0], sent), false
	}
	return "", false
}

// TestRestartExplored kills a producer at every step of growing its lane, with
// the consumer and the successor in every interleaving.
func TestRestartExplored(t *testing.T) {
	m := &restartModel{fileModel: newFileModel(t), sizes: []int{3000}}
	m.reader.cools = false
	explore(t, m)
}

// TestRestartExploredSoak lets the reader cool the lane, too, and goes through
// three generations, where SKYBUS_SOAK is set.
func TestRestartExploredSoak(t *testing.T) {
	if os.Getenv("SKYBUS_SOAK") != "" {
		explore(t, &restartModel{fileModel: newFileModel(t), sizes: []int{20, 3000, 9000}})
	}
}
