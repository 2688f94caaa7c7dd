// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

const (
	floodMsgs = 1000 // that the flooding pair passes to and fro, so that both always have something to do
	blockers  = 64   // handlers that block at once
	blockFor  = time.Second
)

// flood is a pair of services, 0 and 1, that pass messages to and fro as fast as it goes, and others that are
// probed.
type flood struct {
	others prober
	over   atomic.Bool
	left   atomic.Int64 // messages that go round
	done   chan struct{}
}

func (f *flood) handle(c Context, self int, m *Message) {
	switch {
	case m.Kind != disturbance:
		f.others.arrived(m)
	case !f.over.Load():
		c.Send(1-self, m)
	case f.left.Add(-1) == 0:
		close(f.done)
	}
}

func measureFlood(r Runtime, o *Options) (line result.Line, err error) {
	f := &flood{others: prober{from: 2, to: o.Size}, done: make(chan struct{})}
	f.left.Store(floodMsgs)
	s, err := r.Start(o.Size, f.handle)
	if err != nil {
		return line, err
	}
	line, err = f.others.compare(s, o.Duration/2, o.patience(), func() {
		for i := range floodMsgs {
			s.Send(i%2, &Message{Kind: disturbance})
		}
	})
	f.over.Store(true)
	if err == nil {
		err = await(f.done, o.patience(), "messages that went round")
	}
	if err != nil {
		return line, err
	}
	return line, s.Stop()
}

// measureBlocked has the first services block in their handlers while the others are probed. A handler that sleeps
// stands for one that waits for a database or a lock: it holds whatever runs it.
func measureBlocked(r Runtime, o *Options) (line result.Line, err error) {
	blocking, span := min(blockers, o.Size/2), min(blockFor, o.Duration)
	others := prober{from: blocking, to: o.Size}
	s, err := r.Start(o.Size, func(_ Context, _ int, m *Message) {
		if m.Kind == disturbance {
			time.Sleep(span)
			others.pending.Done()
			return
		}
		others.arrived(m)
	})
	if err != nil {
		return line, err
	}
	line, err = others.compare(s, span, o.patience(), func() {
		others.pending.Add(blocking)
		for i := range blocking {
			s.Send(i, &Message{Kind: disturbance})
		}
	})
	return line, errors.Join(err, s.Stop())
}
