// SPDX-License-Identifier: Apache-2.0

package local

import (
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A host is an engine on a socket that a test can stop and start.
type host struct {
	t      *testing.T
	folder string
	limits Limits
	e      *Engine
	s      *Server
}

func newHost(t *testing.T, l Limits) *host {
	t.Helper()
	h := &host{t: t, folder: testutil.Dir(t), limits: l}
	h.start()
	t.Cleanup(h.stop)
	return h
}

// start begins with an empty engine.
func (h *host) start() {
	h.t.Helper()
	e := NewEngine(h.limits)
	s, err := e.Serve(h.folder, ServerConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.e, h.s = e, s
}

func (h *host) stop() {
	if h.s != nil {
		h.s.Close()
		h.e.Close()
	}
	h.e, h.s = nil, nil
}

func (h *host) dial() *Client {
	h.t.Helper()
	c, err := Dial(h.folder, Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// cut ends all connections; the engine goes on.
func (h *host) cut() {
	h.s.Close()
	s, err := h.e.Serve(h.folder, ServerConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.s = s
}

// small has an engine forget soon.
var small = Limits{LogEvents: 2000}

func forget(t *testing.T, p cluster.Provider) {
	t.Helper()
	for i := range 2 * small.LogEvents {
		if _, err := p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/noise", []byte{byte(i)}, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformanceInThisProcess(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		e := NewEngine(small)
		t.Cleanup(e.Close)
		return clustertest.World{Forget: forget, Open: func(t *testing.T) cluster.Provider {
			c := e.Provider(Options{})
			t.Cleanup(func() { c.Close() })
			return c
		}}
	})
}

func TestConformanceOverTheSocket(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		h := newHost(t, small)
		return clustertest.World{Forget: forget, Open: func(*testing.T) cluster.Provider { return h.dial() }}
	})
}

func TestConformanceWithFaults(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		seed := testutil.Seed(t)
		h := newHost(t, Limits{})
		return clustertest.World{Faulty: true, Open: func(*testing.T) cluster.Provider {
			seed++
			return clustertest.Faulty(h.dial(), clustertest.Faults{Before: 0.2, After: 0.2, Delay: time.Millisecond}, seed)
		}}
	})
}
