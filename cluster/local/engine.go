// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"sync"

	"github.com/skybus-io/skybus/cluster/internal/store"
)

// Limits bound what an engine holds. Zero fields mean the defaults.
type Limits struct {
	Keys         int   // of all clients; 262,144
	Bytes        int64 // of all keys and values, each key with 128 more; 128 MiB
	ClientKeys   int   // of one client; 131,072
	ClientBytes  int64 // 64 MiB
	ClientLeases int   // 16
	LogEvents    int   // changes that a watch may be behind; 65,536
	LogBytes     int64 // 32 MiB
	Connections  int   // 512
	Polls        int   // watches of one connection; 16
}

func (l Limits) withDefaults() Limits {
	if l.Connections <= 0 {
		l.Connections = 512
	}
	if l.Polls <= 0 {
		l.Polls = 16
	}
	return l
}

// store returns what bounds a store.
func (l *Limits) store() store.Limits {
	return store.Limits{
		Keys: l.Keys, Bytes: l.Bytes, ClientKeys: l.ClientKeys, ClientBytes: l.ClientBytes, ClientLeases: l.ClientLeases,
		LogEvents: l.LogEvents, LogBytes: l.LogBytes,
	}
}

// An Engine has the keys of a cluster of one host, in the memory of this process. Any
// goroutine may call its methods.
type Engine struct {
	core
	closing sync.Once
}

// NewEngine returns an empty engine. It wants a Close.
func NewEngine(l Limits) *Engine {
	l = l.withDefaults()
	e := &Engine{core: core{limits: l, stop: make(chan struct{}), tending: map[*orphan]bool{}, store: store.New(l.store())}}
	e.begin()
	return e
}

// Close ends the engine. What it holds is gone; its clients must have been closed, or their
// connections.
func (e *Engine) Close() {
	e.closing.Do(func() { close(e.stop) })
	e.done.Wait()
}

func (e *Engine) hello(q, a *frame) (*store.Client, error) {
	a.Life = e.store.Life()
	return e.store.Open(q.Client), nil
}

// waits: only polls do.
func (e *Engine) waits(*frame) bool { return false }

func (e *Engine) handle(ctx context.Context, c *store.Client, q *frame) *frame {
	a := &frame{}
	return answer(q, a, e.do(ctx, c, q, a))
}
