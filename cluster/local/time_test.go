// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/names"
)

// TestNamesAndTime lets time pass.
func TestNamesAndTime(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Engine)
	}{
		{"stale", staleness}, {"a client dies", aClientDies}, {"many die at once", manyDie}, {"an owner does not come back", nobodyComesBack},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewEngine(Limits{})
				defer e.Close()
				test.run(t, e)
			})
		})
	}
}

// connect returns a client of the server that is at s whenever it connects; nil: none is there.
func connect(s *atomic.Pointer[Server]) *Client {
	return newClient("a test", Options{}, func(context.Context) (net.Conn, error) {
		server := s.Load()
		if server == nil {
			return nil, errBroken
		}
		here, there := net.Pipe()
		server.admit(there)
		return here, nil
	}, func() {})
}

// place returns where s is for clients.
func place(s *Server) *atomic.Pointer[Server] {
	at := &atomic.Pointer[Server]{}
	at.Store(s)
	return at
}

// staleness grows while the engine is away, and lookups go on.
func staleness(t *testing.T, e *Engine) {
	s := e.server(ServerConfig{})
	at := place(s)
	c := connect(at)
	n, _ := cluster.NewNames(c, cluster.NamesConfig{})
	request(t, n, "x", owner(0), 0, names.Owns)
	time.Sleep(time.Minute)
	if d := n.Stale(); d != 0 {
		t.Errorf("stale for %v while the engine is there", d)
	}
	at.Store(nil)
	s.Close()
	time.Sleep(time.Minute)
	if d := n.Stale(); d < 59*time.Second || d > 61*time.Second {
		t.Errorf("stale for %v after a minute", d)
	}
	if list, err := n.Owners(t.Context(), "x"); err != nil || len(list) != 1 {
		t.Errorf("owners %v, %v", list, err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Reached || h.Age < 59*time.Second || h.LastError == nil {
		t.Errorf("health %+v, %v", h, err)
	}
	s = e.server(ServerConfig{})
	at.Store(s)
	time.Sleep(3 * time.Second)
	if d := n.Stale(); d != 0 {
		t.Errorf("stale for %v after the engine has come back", d)
	}
	n.Close()
	c.Close()
	s.Close()
}

// aClientDies: without a word its names are kept for the TTL and not much longer.
func aClientDies(t *testing.T, e *Engine) {
	s, dying := e.server(ServerConfig{}), e.server(ServerConfig{})
	c := connect(place(s))
	n, _ := cluster.NewNames(c, cluster.NamesConfig{})
	at := place(dying)
	other := connect(at)
	m, _ := cluster.NewNames(other, cluster.NamesConfig{})
	request(t, m, "x", owner(0), 0, names.Owns)
	request(t, n, "x", owner(1), 0, names.Waits)
	at.Store(nil)
	dying.Close()
	time.Sleep(6 * time.Second)
	if list, _ := n.Owners(t.Context(), "x"); len(list) != 2 {
		t.Errorf("after 6 s the owners are %v", list)
	}
	time.Sleep(5 * time.Second)
	if list, _ := n.Owners(t.Context(), "x"); len(list) != 1 || list[0] != owner(1) {
		t.Errorf("after 11 s the owners are %v", list)
	}
	m.Close()
	other.Close()
	n.Close()
	c.Close()
	s.Close()
}

// manyDie: of six clients four die at once. Nobody believes it for the time of grace.
func manyDie(t *testing.T, e *Engine) {
	s, dying := e.server(ServerConfig{}), e.server(ServerConfig{})
	at := place(dying)
	var closing []func()
	var survivors []*cluster.Names
	for i := range 6 {
		to := at
		if i >= 4 {
			to = place(s)
		}
		c := connect(to)
		n, _ := cluster.NewNames(c, cluster.NamesConfig{})
		request(t, n, fmt.Sprint("n", i), owner(i), 0, names.Owns)
		closing = append(closing, func() {
			n.Close()
			c.Close()
		})
		if i >= 4 {
			survivors = append(survivors, n)
		}
	}
	at.Store(nil)
	dying.Close()
	count := func() int {
		list, err := survivors[0].List(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	time.Sleep(12 * time.Second)
	if st := e.store.Stats(); st.Leases != 2 {
		t.Errorf("%d leases after the TTL, want 2", st.Leases)
	}
	if n := count(); n != 6 {
		t.Errorf("%d names after the TTL, want 6: two that live and four that are doubted", n)
	}
	request(t, survivors[1], "n0", owner(5), 0, names.Waits)
	time.Sleep(14 * time.Second)
	if n := count(); n != 3 {
		t.Errorf("%d names after the time of grace, want 3", n)
	}
	for _, f := range closing {
		f()
	}
	s.Close()
}

// nobodyComesBack: an engine begins anew, and one of two owners is not there any more.
func nobodyComesBack(t *testing.T, e *Engine) {
	s := e.server(ServerConfig{})
	at, gone := place(s), place(s)
	c, other := connect(at), connect(gone)
	n, _ := cluster.NewNames(c, cluster.NamesConfig{})
	m, _ := cluster.NewNames(other, cluster.NamesConfig{})
	request(t, n, "here", owner(0), 0, names.Owns)
	request(t, m, "gone", owner(1), 0, names.Owns)
	request(t, n, "gone", owner(0), 0, names.Waits)
	gone.Store(nil)
	s.Close()
	e2 := NewEngine(Limits{})
	defer e2.Close()
	s = e2.server(ServerConfig{})
	at.Store(s)
	time.Sleep(5 * time.Second)
	if list, _ := n.Owners(t.Context(), "gone"); len(list) != 2 || list[0] != owner(1) {
		t.Errorf("after 5 s the owners are %v", list)
	}
	time.Sleep(10 * time.Second)
	if list, _ := n.Owners(t.Context(), "gone"); len(list) != 1 || list[0] != owner(0) {
		t.Errorf("after 15 s the owners are %v", list)
	}
	if list, _ := n.Owners(t.Context(), "here"); len(list) != 1 {
		t.Errorf("after 15 s the owners are %v", list)
	}
	m.Close()
	other.Close()
	n.Close()
	c.Close()
	s.Close()
}
