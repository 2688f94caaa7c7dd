// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// A model is what a domain has to do, in the simplest form: a queue for each
// lane. Each operation is done on the bus and on the model, and the two have to
// agree.
type model struct {
	t      *testing.T
	d      *skybus.Domain
	ends   [modelEnds]*skybus.Endpoint
	queues [modelEnds][modelEnds][]modelMessage // by source, by destination
	sent   [modelEnds][modelEnds]uint64
}

const modelEnds = 3

// A modelMessage is what is to be received.
type modelMessage struct {
	seq  uint64
	data []byte
	flag modelFlag
}

// modelFlag says whether the message comes with Redelivered set.
type modelFlag int

const (
	isNew     modelFlag = iota
	isClaimed           // new, but flagged for the next process that binds the address
	mayBeAgain
	isAgain
)

func newModel(t *testing.T, root string) *model {
	m := &model{t: t, d: open(t, skybus.Options{Root: root, AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 16 << 10, IdleAfter: -1}})}
	for i := range m.ends {
		m.ends[i] = bind(t, m.d, modelAddr(i))
	}
	return m
}

func modelAddr(i int) addr.Addr  { return 0x100 + addr.Addr(i) }
func modelIndex(a addr.Addr) int { return int(a - 0x100) }

// payload makes bytes that tell which message they are.
func (m *model) payload(src, dst, size int) []byte {
	seed := byte(src*64 + dst*16 + int(m.sent[src][dst]))
	p := make([]byte, size)
	for i := range p {
		p[i] = seed + byte(i*7)
	}
	return p
}

// accepted notes a message that the bus took.
func (m *model) accepted(src, dst int, data []byte) {
	m.sent[src][dst]++
	q := &m.queues[src][dst]
	*q = append(*q, modelMessage{seq: m.sent[src][dst], data: data})
}

// refused judges the error of a send: a lane is full only if it holds something.
func (m *model) refused(src, dst int, err error) {
	switch {
	case src == dst && errors.Is(err, skybus.ErrNoRoute):
	case errors.Is(err, skybus.ErrFull), errors.Is(err, context.Canceled):
		if len(m.queues[src][dst]) == 0 {
			m.t.Fatalf("%d -> %d: an empty lane refuses: %v", src, dst, err)
		}
	default:
		m.t.Fatalf("%d -> %d: %v", src, dst, err)
	}
}

// received compares a message with the head of its queue, which stays there.
func (m *model) received(dst int, msg skybus.Message) *[]modelMessage {
	m.t.Helper()
	src := modelIndex(msg.Src)
	if src < 0 || src >= modelEnds || msg.Dst != modelAddr(dst) || len(m.queues[src][dst]) == 0 {
		m.t.Fatalf("%d got %+v, and nothing was sent", dst, msg)
	}
	q := &m.queues[src][dst]
	head := (*q)[0]
	flagged := head.flag == isAgain || head.flag == mayBeAgain && msg.Redelivered
	if msg.Seq != head.seq || !bytes.Equal(msg.Data, head.data) || msg.Redelivered != flagged {
		m.t.Fatalf("%d -> %d: got %d (%d bytes, again %v), want %d (%d bytes, again %v)", src, dst,
			msg.Seq, len(msg.Data), msg.Redelivered, head.seq, len(head.data), flagged)
	}
	return q
}

// empty judges ErrEmpty of a receive from src, or from any if that is negative.
func (m *model) empty(dst, src int, err error) {
	m.t.Helper()
	if !errors.Is(err, skybus.ErrEmpty) {
		m.t.Fatalf("%d: %v", dst, err)
	}
	for i := range modelEnds {
		if (i == src || src < 0) && len(m.queues[i][dst]) > 0 {
			m.t.Fatalf("%d says %v, and %d messages from %d wait", dst, err, len(m.queues[i][dst]), i)
		}
	}
}

// claimed notes that a loop ended in the middle of a batch: what waits may have
// been taken with it.
func (m *model) claimed(dst int) {
	for src := range modelEnds {
		for i := range m.queues[src][dst] {
			if f := &m.queues[src][dst][i].flag; *f == isNew {
				*f = isClaimed
			}
		}
	}
}

// rebind closes an endpoint and binds its address anew.
func (m *model) rebind(i int) {
	if err := m.ends[i].Close(); err != nil {
		m.t.Fatal(err)
	}
	m.ends[i] = bind(m.t, m.d, modelAddr(i))
	for src := range modelEnds {
		for k := range m.queues[src][i] {
			if f := &m.queues[src][i][k].flag; *f == isClaimed {
				*f = mayBeAgain
			}
		}
	}
}

// finish receives what is left and looks at the counters and at everything.
func (m *model) finish() {
	for dst, e := range m.ends {
		for {
			msg, err := e.TryRecv()
			if err != nil {
				m.empty(dst, -1, err)
				break
			}
			q := m.received(dst, msg)
			*q = (*q)[1:]
		}
	}
	for src := range modelEnds {
		for dst := range modelEnds {
			l, ok := m.d.Table().Lane(channel.Pair{Src: modelAddr(src), Dst: modelAddr(dst)})
			if n := m.sent[src][dst]; ok && (l.Sent != n || l.Received != n || l.Messages != 0) || !ok && n > 0 {
				m.t.Errorf("%d -> %d: %d messages, the table says %d sent, %d received, %d left", src, dst, n, l.Sent, l.Received, l.Messages)
			}
		}
	}
	if notes := noViolations(m.t, m.d); len(notes) > 0 {
		m.t.Error(fmt.Sprint("the domain is left with ", notes))
	}
}
