// SPDX-License-Identifier: Apache-2.0

//go:build linux && !noengine

package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/etcd"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// begun begins a cluster of one host, without TLS, at an address that no other test has.
func begun(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.Context(), configIn(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func configIn(t *testing.T, dir string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	at := fmt.Sprintf("127.78.%d.%d", pid>>8&0xff, pid&0xff)
	return Config{
		State: dir, Host: "a", Domain: 1, Cluster: "games", Init: true, Size: 1, Client: at + ":7101", Peer: at + ":7102", Program: []string{self, "engine"},
	}
}

func dial(t *testing.T, e *Engine) *etcd.Client {
	t.Helper()
	c, err := etcd.Dial(etcd.Options{Cluster: "test", Endpoints: e.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// soon waits for what takes its time.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 90 s", what)
		}
	}
}

// wipe deletes all keys but the life's.
func wipe(t *testing.T, e *Engine) {
	t.Helper()
	c := dial(t, e)
	snap, err := c.Get(t.Context(), cluster.Query{Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	for list := range slices.Chunk(snap.KVs, cluster.MaxOps) {
		var b cluster.Batch
		for i := range list {
			b.Do = append(b.Do, cluster.Delete(list[i].Key))
		}
		if _, err := c.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// forget has the engine forget what has changed so far; what it needs for that it changes itself.
func forget(t *testing.T, e *Engine, p cluster.Provider) {
	t.Helper()
	raw, err := clientv3.New(clientv3.Config{Endpoints: e.urls(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	snap, err := p.Get(t.Context(), cluster.Query{Key: "/none"})
	if err == nil {
		if _, err = p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/step", nil, 0)}}); err == nil {
			_, err = p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Delete("/step")}})
		}
	}
	if err == nil {
		_, err = raw.Compact(t.Context(), int64(snap.Revision)+2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What every engine does the managed one does, too.
func TestConformance(t *testing.T) {
	testutil.NoLeaks(t)
	e := begun(t)
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		wipe(t, e)
		return clustertest.World{
			Open:   func(t *testing.T) cluster.Provider { return dial(t, e) },
			Forget: func(t *testing.T, p cluster.Provider) { forget(t, e, p) },
		}
	})
	run := 0
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		run++
		return namesOn(t, e, fmt.Sprint("c", run))
	})
}

// namesOn has three registries of one cluster.
func namesOn(t *testing.T, e *Engine, name string) namestest.Setup {
	n := namestest.Setup{Rand: testutil.Rand(t)}
	for i := range 3 {
		r, err := cluster.NewNames(dial(t, e), cluster.NamesConfig{Cluster: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		n.Registries, n.Owners = append(n.Registries, r), append(n.Owners, names.Owner{Addr: addr.Addr(0x301 + i), Handle: uint64(i) + 7})
	}
	n.Settle = func() {
		mark := names.Owner{Addr: 0x999, Handle: 1}
		if _, err := n.Registries[0].Request(t.Context(), "mark", mark, 0); err != nil {
			t.Fatal(err)
		}
		until(t, n.Registries, mark)
		if err := n.Registries[0].Release(t.Context(), "mark", mark); err != nil {
			t.Fatal(err)
		}
		until(t, n.Registries)
	}
	return n
}

// until waits until all say that the mark has these owners.
func until(t *testing.T, all []names.Registry, want ...names.Owner) {
	t.Helper()
	for _, r := range all {
		soon(t, "the mark is seen", func() bool {
			got, err := r.Owners(t.Context(), "mark")
			return err == nil && slices.Equal(got, want)
		})
	}
}

// A host goes on with its data; without them it does not begin a second cluster.
func TestStateAndDataGoTogether(t *testing.T) {
	testutil.NoLeaks(t)
	dir := t.TempDir()
	c := configIn(t, dir)
	e, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "it has begun", func() bool { return e.remembered().Member == memberBegun })
	h := e.Health()
	if i, err := e.Invite(); err != nil || i.Cluster != "games" || len(i.Members) != 1 || !h.HasMember || h.PID == 0 {
		t.Errorf("%+v, %v, %+v", i, err, h)
	}
	token := e.remembered().Token
	e.Close()
	if h := e.Health(); h.PID != 0 {
		t.Errorf("after Close it runs: %+v", h)
	}
	c.Init, c.Cluster = false, ""
	if e, err = Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	soon(t, "it leads again", func() bool { return e.Health().Leader })
	if got := e.remembered().Token; e.Cluster() != "games" || got != token {
		t.Errorf("cluster %q with token %s, want %s", e.Cluster(), got, token)
	}
	e.Close()
	for _, wrong := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Cluster = "other" }, `this host is in cluster "games", not "other"`},
		{func(c *Config) { c.Host = "b" }, `is of host "a", this is "b"`},
		{func(c *Config) { c.Domain = 2 }, "is of domain 1, this is 2"},
		{func(c *Config) { c.Peer = "127.0.0.1:1" }, "cluster.engine.peer"},
		{func(c *Config) { c.TLS = &TLS{Client: &tls.Config{MinVersion: tls.VersionTLS13}} }, "at http://"},
		{func(*Config) { remove(t, dir, dataDir) }, "the data of the engine are gone"},
		{func(*Config) { remove(t, dir, stateFile) }, "--cluster-init NAME"},
	} {
		bad := c
		wrong.change(&bad)
		wantRefused(t, bad, wrong.want)
	}
}

// A server that cannot be started is tried again, and said to be in trouble.
func TestProgramThatEnds(t *testing.T) {
	testutil.NoLeaks(t)
	c := configIn(t, t.TempDir())
	c.Program = []string{"/bin/sh", "-c", "echo no such luck >&2; exit 3"}
	e, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Invite(); err == nil {
		t.Error("a cluster that has not begun can be joined")
	}
	soon(t, "it is said why", func() bool { return e.Health().String() == "does not run: exit status 3; it said last: no such luck" })
}
