// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"os"
	"testing"
	"time"
)

// A giveBackModel is a lane that its producer gives back and at once needs again,
// while the reader comes to its end.
type giveBackModel struct {
	fileModel
	rounds int // of giving back and sending
	s      *Sender
	sent   int
}

func (m *giveBackModel) reset(*explorer) []*actor {
	m.restart()
	m.reader.drain.activate(m.reader.drain.lanes[0])
	m.to.inbox.page.ready[0].Store(1)
	var err error
	m.s, err = m.table.NewSender(laneAB)
	fatal(err)
	m.s.GiveBack(time.Now())
	m.sent = 0
	return []*actor{
		{name: "producer", run: m.produce, local: m.producerState},
		{name: "consumer", run: m.reader.run, local: m.reader.state},
	}
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
	maphash.WriteComparable(h, m.sent)
	m.senderState(h, m.s)
}

func (m *giveBackModel) private() []string { return append(m.fileModel.private(), "ring.walk") }

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
	return m.reader.wrong, false
}

// TestGiveBackExplored runs a producer that gives its lane back and sends again
// against the consumer that retires the lane, in every interleaving.
func TestGiveBackExplored(t *testing.T) {
	explore(t, &giveBackModel{fileModel: newFileModel(t), rounds: 1})
}

// TestGiveBackExploredSoak does it twice where SKYBUS_SOAK is set.
func TestGiveBackExploredSoak(t *testing.T) {
	if os.Getenv("SKYBUS_SOAK") != "" {
		explore(t, &giveBackModel{fileModel: newFileModel(t), rounds: 2})
	}
}
