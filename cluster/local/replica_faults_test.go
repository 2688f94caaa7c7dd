// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// An adopting fails now and then, and takes leases over.
type adopting struct {
	*clustertest.FaultyProvider
	c *Client
}

func (a adopting) Adopt(ctx context.Context, id cluster.LeaseID) (cluster.Lease, error) {
	return a.c.Adopt(ctx, id)
}

// A shakyHost is a daemon that is started again and again, with an engine that fails.
type shakyHost struct {
	t     *testing.T
	up    *atomic.Pointer[Server]
	o     ReplicaOptions
	rng   *rand.Rand
	c     *Client
	p     *clustertest.FaultyProvider
	r     *Replica
	s     *Server
	at    atomic.Pointer[Server]
	calm  bool
	procs []*Client
}

func (h *shakyHost) start() {
	h.t.Helper()
	h.c = connect(h.up)
	h.p = clustertest.Faulty(h.c, clustertest.Faults{Before: 0.05, After: 0.05, Watch: 0.01, Delay: time.Millisecond}, h.rng.Uint64())
	if h.calm {
		h.p.Calm()
	}
	r, err := NewReplica(adopting{h.p, h.c}, h.o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.r, h.s = r, r.server(ServerConfig{})
	h.at.Store(h.s)
}

func (h *shakyHost) stop() {
	h.at.Store(nil)
	h.s.Close()
	h.r.Close()
	h.c.Close()
}

// Processes of two hosts ask at random while calls fail, daemons are started again, hosts lose their leases, and the engine
// goes away and begins anew; when all that is over, all have the same picture, and it is of what each has asked for last.
func TestNamesOfHostsUnderFaults(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	e := NewEngine(Limits{})
	s := e.server(ServerConfig{})
	up := place(s)
	var hosts []*shakyHost
	var all []names.Registry
	for i, name := range []string{"west", "east"} {
		h := &shakyHost{t: t, up: up, rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))}
		h.o = ReplicaOptions{Host: name, TTL: 3 * time.Second, Patience: time.Second, State: filepath.Join(t.TempDir(), "state")}
		h.start()
		hosts = append(hosts, h)
		for range 2 {
			c := connect(&h.at)
			h.procs = append(h.procs, c)
			all = append(all, newNames(t, c, cluster.NamesConfig{TTL: 3 * time.Second, Grace: 4 * time.Second}))
		}
	}
	t.Cleanup(func() { // after the names
		for _, h := range hosts {
			for _, c := range h.procs {
				c.Close()
			}
			h.stop()
		}
		s.Close()
		e.Close()
	})
	t.Cleanup(func() {
		for _, r := range all {
			r.(*cluster.Names).Close()
		}
	})
	var wishes [4]map[string]bool
	var done sync.WaitGroup
	for i := range wishes {
		seed := rng.Uint64()
		wishes[i] = map[string]bool{}
		done.Go(func() { wish(t, all[i], owner(i), rand.New(rand.NewPCG(seed, 0)), wishes[i]) })
	}
	for range 8 {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		h := hosts[rng.IntN(2)]
		switch rng.IntN(5) {
		case 0:
			h.stop()
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
			h.start()
		case 1:
			h.s.hangUp()
		case 2:
			e.store.Revoke(h.r.Health().Lease)
		case 3: // cut off
			up.Store(nil)
			s.Close()
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			s = e.server(ServerConfig{})
			up.Store(s)
		default: // another life
			up.Store(nil)
			s.Close()
			e.Close()
			e = NewEngine(Limits{})
			s = e.server(ServerConfig{})
			up.Store(s)
		}
	}
	done.Wait()
	for _, h := range hosts {
		h.calm = true
		h.p.Calm()
	}
	agree(t, all, wishes[:])
	for _, h := range hosts {
		for h.r.Health().Ended > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	wantCopies(t, e, hosts)
}

// wantCopies wants both replicas to have what the engine has.
func wantCopies(t *testing.T, e *Engine, hosts []*shakyHost) {
	t.Helper()
	text := func(kvs []cluster.KV) (s string) {
		for _, kv := range kvs {
			s += fmt.Sprintln(kv.Key, kv.Created, kv.Modified, string(kv.Value))
		}
		return s
	}
	snap, _, err := e.store.Get(cluster.Query{Key: "/skybus/default/", Prefix: true}, "", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i := range snap.KVs {
		if _, value, err := cutValue(snap.KVs[i].Value); err == nil {
			snap.KVs[i].Value = value
		}
	}
	for _, h := range hosts {
		if err := h.r.store.Reach(t.Context(), snap.Life, snap.Revision); err != nil {
			t.Fatal(err)
		}
		got, _, err := h.r.store.Get(cluster.Query{Prefix: true, Revision: snap.Revision}, "", 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := text(got.KVs), text(snap.KVs); a != b {
			t.Errorf("%s has\n%sthe engine has\n%s", h.o.Host, a, b)
		}
	}
}
