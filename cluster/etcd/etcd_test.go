// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

func dial(t testing.TB, s *etcdtest.Cluster, o Options) *Client {
	t.Helper()
	o.Cluster, o.Endpoints = "test", s.Endpoints()
	o.Patience = cmp.Or(o.Patience, 90*time.Second) // with a machine that stands still
	c, err := Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// forget has etcd forget what has changed so far.
func forget(t *testing.T, p cluster.Provider) {
	t.Helper()
	c := p.(*Client)
	snap, err := c.Get(t.Context(), cluster.Query{Key: "/none"})
	if err == nil {
		// Compaction keeps the revision itself readable.
		if _, err = c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/step", nil, 0)}}); err == nil {
			_, err = c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Delete("/step")}})
		}
	}
	if err == nil {
		_, err = c.c.Compact(t.Context(), int64(snap.Revision)+2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		s := etcdtest.Start(t, 1, nil)
		return clustertest.World{Open: func(t *testing.T) cluster.Provider { return dial(t, s, Options{}) }, Forget: forget}
	})
}

func TestConformanceOfThree(t *testing.T) {
	etcdtest.NoLeaks(t)
	s := etcdtest.Start(t, 3, nil)
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		wipeKeys(t, s)
		return clustertest.World{Open: func(t *testing.T) cluster.Provider { return dial(t, s, Options{}) }, Forget: forget}
	})
}

// wipeKeys deletes all keys but the life's.
func wipeKeys(t *testing.T, s *etcdtest.Cluster) {
	t.Helper()
	wipeWith(t, dial(t, s, Options{}))
}

func wipeWith(t *testing.T, c *Client) {
	t.Helper()
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
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func owner(i int) names.Owner {
	return names.Owner{Addr: addr.Addr(0x301 + i), Handle: uint64(i)<<40 + 7}
}

func newNames(t testing.TB, p cluster.Provider, c cluster.NamesConfig) *cluster.Names {
	t.Helper()
	if c.TTL == 0 { // or a machine that stands still costs all their names
		c.TTL, c.Grace = cluster.MaxTTL, cmp.Or(c.Grace, 13*time.Second)
	}
	n, err := cluster.NewNames(p, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
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

// until waits until all say that a name has these owners.
func until(t testing.TB, all []names.Registry, name string, want ...names.Owner) {
	t.Helper()
	for i, r := range all {
		var got []names.Owner
		soon(t, fmt.Sprintf("view %d: %s has the owners %v", i, name, want), func() bool {
			var err error
			if got, err = r.Owners(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(got, want)
		})
	}
}

func TestNamesConformance(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	run := 0
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		run++
		return namesOn(t, s, fmt.Sprint("c", run))
	})
}

// namesOn has three registries of one cluster.
func namesOn(t *testing.T, s *etcdtest.Cluster, name string) namestest.Setup {
	n := namestest.Setup{Rand: testutil.Rand(t)}
	for i := range 3 {
		n.Registries = append(n.Registries, newNames(t, dial(t, s, Options{}), cluster.NamesConfig{Cluster: name}))
		n.Owners = append(n.Owners, owner(i))
	}
	n.Settle = func() {
		mark := owner(1000)
		if _, err := n.Registries[0].Request(t.Context(), "mark", mark, 0); err != nil {
			t.Fatal(err)
		}
		until(t, n.Registries, "mark", mark)
		if err := n.Registries[0].Release(t.Context(), "mark", mark); err != nil {
			t.Fatal(err)
		}
		until(t, n.Registries, "mark")
	}
	return n
}

// Whatever becomes of the servers, what was registered stays, or is registered again, and a watch tells each change once.
func TestServersComeAndGo(t *testing.T) {
	etcdtest.NoLeaks(t)
	s := etcdtest.Start(t, 3, nil)
	a := newNames(t, dial(t, s, Options{Patience: time.Second}), cluster.NamesConfig{})
	b := newNames(t, dial(t, s, Options{Patience: time.Second}), cluster.NamesConfig{})
	all := []names.Registry{a, b}
	request := func(name string, i int) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
		defer stop()
		for {
			_, err := all[i].Request(ctx, name, owner(i), 0)
			if err == nil {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("request %s: %v", name, err)
			}
		}
	}
	request("first", 0)
	until(t, all, "first", owner(0))

	leader := s.Leader()
	s.Members[leader].Stop()
	request("without-its-leader", 1)
	until(t, all, "without-its-leader", owner(1))
	if err := s.Members[leader].Restart(); err != nil {
		t.Fatal(err)
	}

	s.Members[s.Leader()].Proxy.Stall()
	request("while-one-is-silent", 0)
	until(t, all, "while-one-is-silent", owner(0))
	for _, m := range s.Members {
		m.Proxy.Mend()
	}

	s.Stop()
	if got, err := b.Owners(t.Context(), "first"); err != nil || !slices.Equal(got, []names.Owner{owner(0)}) {
		t.Errorf("while all are away: %v, %v", got, err)
	}
	soon(t, "it says that it is stale", func() bool { return b.Stale() > 0 })
	s.Restart()
	soon(t, "it is not stale any more", func() bool { return b.Stale() == 0 })
	request("after-all-were-away", 1)
	until(t, all, "after-all-were-away", owner(1))
	until(t, all, "first", owner(0))

	s.Wipe()
	request("after-a-wipe", 0)
	for name, o := range map[string]names.Owner{"first": owner(0), "without-its-leader": owner(1), "after-a-wipe": owner(0), "while-one-is-silent": owner(0)} {
		until(t, all, name, o)
	}
}

// Another life ends watches and leases, and has another number and a higher base.
func TestAnotherLife(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{Patience: time.Second})
	le, err := c.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.Get(t.Context(), cluster.Query{Key: c.lifeKey})
	if err != nil || len(before.KVs) != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	ended := make(chan error, 1)
	begun := make(chan bool, 1)
	go func() {
		ended <- c.Watch(t.Context(), "/", 0, func(u cluster.Update) error {
			if u.Snapshot {
				begun <- true
			}
			return nil
		})
	}()
	<-begun
	s.Wipe()
	if err := <-ended; !errors.Is(err, cluster.ErrCompacted) {
		t.Errorf("the watch ended with %v", err)
	}
	<-le.Lost()
	after, err := c.Get(t.Context(), cluster.Query{Key: c.lifeKey})
	if err != nil || len(after.KVs) != 1 || after.Life == before.Life {
		t.Fatalf("%+v, %v; before %+v", after, err, before)
	}
	if _, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/late", nil, le.ID())}}); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("a put with a lease of before: %v", err)
	}
}

func TestAdopt(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	one := dial(t, s, Options{})
	le, err := one.Grant(t.Context(), cluster.MaxTTL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/a", nil, le.ID())}}); err != nil {
		t.Fatal(err)
	}
	le.(interface{ Keep() }).Keep()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	two := dial(t, s, Options{})
	again, err := two.Adopt(t.Context(), le.ID())
	if err != nil || again.ID() != le.ID() {
		t.Fatalf("%v, %v", again, err)
	}
	if err := again.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	if snap, err := two.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil || len(snap.KVs) != 0 {
		t.Errorf("%+v, %v", snap, err)
	}
	if _, err := two.Adopt(t.Context(), le.ID()); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("to adopt a lease that is gone: %v", err)
	}
}

// A compare that does not hold says at which revision.
func TestCompareError(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{})
	rev, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/a", nil, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Commit(t.Context(), cluster.Batch{If: []cluster.Compare{{Key: "/a"}}, Do: []cluster.Op{cluster.Delete("/a")}})
	var failed *cluster.CompareError
	if !errors.As(err, &failed) || failed.Revision < rev || !strings.Contains(err.Error(), `"/a"`) {
		t.Errorf("%v of revision %+v, want one of %d", err, failed, rev)
	}
}

// A server that is not there yet is waited for; one that is never there ends the call with its context.
func TestWaitsForTheServer(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	s.Members[0].Proxy.Cut()
	c := dial(t, s, Options{Patience: time.Second})
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if _, err := c.Get(ctx, cluster.Query{Key: "/a"}); !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	h, err := c.Health(t.Context())
	if err != nil || h.Reached || h.LastError == nil {
		t.Errorf("%+v, %v", h, err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.Get(t.Context(), cluster.Query{Key: "/a"})
		got <- err
	}()
	s.Members[0].Proxy.Mend()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
