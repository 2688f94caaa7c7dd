// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
)

// A wire joins two runtimes of this process. Between processes package node does that.
type wire struct {
	mu  sync.Mutex
	rts map[addr.Addr]*actor.Runtime
}

func runtimes() (here, other *actor.Runtime, stop func()) {
	w := &wire{rts: map[addr.Addr]*actor.Runtime{}}
	a, b := addr.MustParse("0.0.0.1"), addr.MustParse("0.0.0.2")
	here, other = actor.New(actor.Config{Node: a, Remote: w}), actor.New(actor.Config{Node: b, Remote: w})
	w.mu.Lock()
	w.rts[a], w.rts[b] = here, other
	w.mu.Unlock()
	return here, other, func() { here.Close(); other.Close() }
}

func (w *wire) at(p actor.PID) *actor.Runtime {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rts[p.Node]
}

// Send is Remote's.
func (w *wire) Send(to actor.PID, m *actor.Message) error {
	rt := w.at(to)
	if rt == nil {
		return actor.ErrNoService
	}
	return rt.Deliver(to, *m)
}

// SendLater is Remote's.
func (w *wire) SendLater(to actor.PID, m *actor.Message, sent func(error)) func() bool {
	err := w.Send(to, m)
	if sent != nil {
		sent(err)
	}
	return func() bool { return false }
}

// Forget is Remote's.
func (*wire) Forget(actor.PID, uint64) {}

// Monitor is Remote's: the other runtime lives as long as this one.
func (w *wire) Monitor(watcher, target actor.PID) (func(), error) {
	rt := w.at(target)
	if rt == nil {
		return nil, actor.ErrNoService
	}
	m, err := rt.Monitor(watcher, target)
	if err != nil {
		return nil, err
	}
	return m.Stop, nil
}
