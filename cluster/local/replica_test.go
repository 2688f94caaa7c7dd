// SPDX-License-Identifier: Apache-2.0

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// everything is the root of a replica that has all keys: the suites use their own.
const everything = ""

// newSite returns a replica of what p's engine has; it is closed with the test.
func newSite(t *testing.T, p cluster.Provider, root string, o ReplicaOptions) *Replica {
	t.Helper()
	o.Host = cmp.Or(o.Host, "west")
	o.TTL = cmp.Or(o.TTL, cluster.MaxTTL)
	o = o.withDefaults()
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	r, err := newReplica(p, o, root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// upstream returns a client of an engine that lives as long as the test.
func upstream(t *testing.T, l Limits) (*Engine, *Client) {
	t.Helper()
	e := NewEngine(l)
	t.Cleanup(e.Close)
	return e, clientOf(t, e)
}

func clientOf(t *testing.T, e interface{ Provider(o Options) *Client }) *Client {
	t.Helper()
	c := e.Provider(Options{})
	t.Cleanup(func() { c.Close() })
	return c
}

// brief has a replica forget soon.
var brief = Limits{LogEvents: 1000}

// forgetBrief has it.
func forgetBrief(t *testing.T, p cluster.Provider) {
	t.Helper()
	for i := range 2 * brief.LogEvents / cluster.MaxOps {
		b := cluster.Batch{}
		for k := range cluster.MaxOps {
			b.Do = append(b.Do, cluster.Put(fmt.Sprint("/noise/", k), []byte{byte(i)}, 0))
		}
		if _, err := p.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformanceOfAReplica(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		_, up := upstream(t, Limits{})
		r := newSite(t, up, everything, ReplicaOptions{Limits: brief})
		return clustertest.World{Forget: forgetBrief, Open: func(t *testing.T) cluster.Provider { return clientOf(t, r) }}
	})
}

// Two hosts have one engine; each client is another host's than the one before.
func TestConformanceOfTwoReplicas(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		e, up := upstream(t, Limits{})
		sites := []*Replica{newSite(t, up, everything, ReplicaOptions{}), newSite(t, clientOf(t, e), everything, ReplicaOptions{Host: "east"})}
		n := 0
		return clustertest.World{OwnLeases: true, Open: func(t *testing.T) cluster.Provider {
			n++
			return clientOf(t, sites[n%2])
		}}
	})
}

func TestConformanceOfAReplicaWithFaults(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		testutil.NoLeaks(t)
		seed := testutil.Seed(t)
		_, up := upstream(t, Limits{})
		p := clustertest.Faulty(up, clustertest.Faults{Before: 0.1, After: 0.1, Watch: 0.02, Delay: time.Millisecond}, seed)
		r := newSite(t, p, everything, ReplicaOptions{})
		t.Cleanup(p.Calm) // before it is closed
		return clustertest.World{Faulty: true, Open: func(t *testing.T) cluster.Provider { return clientOf(t, r) }}
	})
}

func TestNamesOfTwoHosts(t *testing.T) {
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		testutil.NoLeaks(t)
		e, up := upstream(t, Limits{})
		sites := []*Replica{newRoot(t, up, "west"), newRoot(t, clientOf(t, e), "east")}
		s := namestest.Setup{Rand: testutil.Rand(t)}
		for i := range 3 {
			s.Registries = append(s.Registries, newNames(t, clientOf(t, sites[i%2]), cluster.NamesConfig{}))
			s.Owners = append(s.Owners, owner(i))
		}
		s.Settle = settled(t, s.Registries)
		return s
	})
}

// newRoot returns a replica as a daemon has it.
func newRoot(t *testing.T, p cluster.Provider, host string) *Replica {
	t.Helper()
	return newSite(t, p, "/skybus/default/", ReplicaOptions{Host: host})
}

func TestNamesOfTwoHostsWithFaults(t *testing.T) {
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		testutil.NoLeaks(t)
		seed := testutil.Seed(t)
		e, _ := upstream(t, Limits{})
		var sites []*Replica
		for i, host := range []string{"west", "east"} {
			p := clustertest.Faulty(clientOf(t, e), clustertest.Faults{Before: 0.03, Watch: 0.005, Delay: 50 * time.Microsecond}, seed+uint64(i))
			sites = append(sites, newRoot(t, p, host))
			t.Cleanup(p.Calm)
		}
		s := namestest.Setup{Rand: testutil.Rand(t)}
		for i := range 3 {
			s.Registries = append(s.Registries, newNames(t, clientOf(t, sites[i%2]), cluster.NamesConfig{}))
			s.Owners = append(s.Owners, owner(i))
		}
		s.Settle = settled(t, s.Registries)
		return s
	})
}

func TestElectionsOfTwoHosts(t *testing.T) {
	clustertest.RunElections(t, func(t *testing.T) clustertest.Arena {
		testutil.NoLeaks(t)
		e, up := upstream(t, Limits{})
		sites := []*Replica{newRoot(t, up, "west"), newRoot(t, clientOf(t, e), "east")}
		n := 0
		w := clustertest.World{Open: func(t *testing.T) cluster.Provider {
			n++
			return clientOf(t, sites[n%2])
		}}
		return clustertest.Arena{World: w, Rand: testutil.Rand(t)}
	})
}

// What the engine has of a value is the lease of the process and the value; of its lease, the host's.
func TestWhatTheEngineSees(t *testing.T) {
	testutil.NoLeaks(t)
	_, up := upstream(t, Limits{})
	r := newRoot(t, up, "west")
	c := clientOf(t, r)
	l, err := c.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, cluster.Put("/skybus/default/a", []byte("A"), l.ID()), cluster.Put("/skybus/default/b", nil, 0))
	snap, err := up.Get(t.Context(), cluster.Query{Key: "/skybus/default/", Prefix: true})
	if err != nil || len(snap.KVs) != 2 {
		t.Fatalf("%+v, %v", snap, err)
	}
	host := r.Health().Lease
	a, b := snap.KVs[0], snap.KVs[1]
	if want := fmt.Sprintf("%016x\nA", uint64(l.ID())); string(a.Value) != want || a.Lease != host || host == 0 || host == l.ID() {
		t.Errorf("a is %q with lease %x; want %q with %x", a.Value, a.Lease, want, host)
	}
	if want := "0000000000000000\n"; string(b.Value) != want || b.Lease != 0 {
		t.Errorf("b is %q with lease %x", b.Value, b.Lease)
	}
	here, err := c.Get(t.Context(), cluster.Query{Key: "/skybus/default/", Prefix: true})
	if err != nil || len(here.KVs) != 2 || string(here.KVs[0].Value) != "A" || here.KVs[0].Lease != l.ID() || len(here.KVs[1].Value) != 0 ||
		here.KVs[0].Modified != a.Modified || here.Life != snap.Life || here.Revision != snap.Revision || here.Age != 0 {
		t.Errorf("a client sees %+v, %v", here, err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Host != "west" || !h.Reached || h.Keys != 2 {
		t.Errorf("health %+v, %v", h, err)
	}
	for _, op := range []cluster.Op{cluster.Put("/skybus/other/a", nil, 0), cluster.Delete("/skybus/default/life"), cluster.Put("x", nil, 0)} {
		if _, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{op}}); err == nil || !strings.Contains(err.Error(), "/skybus/default/") {
			t.Errorf("%+v: %v", op, err)
		}
	}
}

func put(t *testing.T, p cluster.Provider, ops ...cluster.Op) uint64 {
	t.Helper()
	rev, err := p.Commit(t.Context(), cluster.Batch{Do: ops})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// Values that no replica has written are passed over, and counted, until somebody mends them.
func TestValuesOfOthers(t *testing.T) {
	testutil.NoLeaks(t)
	_, up := upstream(t, Limits{})
	put(t, up, cluster.Put("/skybus/default/bad", []byte("by hand"), 0), cluster.Put("/skybus/default/life", []byte("{}"), 0))
	r := newRoot(t, up, "west")
	c := clientOf(t, r)
	put(t, c, cluster.Put("/skybus/default/good", []byte("1"), 0))
	keys := func() (list []string) {
		snap, err := c.Get(t.Context(), cluster.Query{Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range snap.KVs {
			list = append(list, kv.Key+"="+string(kv.Value))
		}
		return list
	}
	want := func(unreadable int, list string) {
		t.Helper()
		if got := strings.Join(keys(), " "); got != list || r.Health().Unreadable != unreadable {
			t.Errorf("there are %q, and %d that cannot be read; want %q and %d", got, r.Health().Unreadable, list, unreadable)
		}
	}
	want(1, "/skybus/default/good=1 /skybus/default/life={}")
	put(t, up, cluster.Put("/skybus/default/good", []byte("0000000000000000"), 0))
	want(2, "/skybus/default/life={}")
	put(t, up, cluster.Delete("/skybus/default/bad"), cluster.Put("/skybus/default/good", []byte("0000000000000000\n2"), 0))
	want(0, "/skybus/default/good=2 /skybus/default/life={}")
}

// A cluster that is larger than its copy may be is told of; the copy stays as it was.
func TestAClusterThatIsTooLarge(t *testing.T) {
	testutil.NoLeaks(t)
	_, up := upstream(t, Limits{})
	r := newSite(t, up, everything, ReplicaOptions{Limits: Limits{Keys: 3}, Patience: 200 * time.Millisecond})
	c := clientOf(t, r)
	put(t, c, cluster.Put("a", nil, 0), cluster.Put("b", nil, 0), cluster.Put("c", nil, 0))
	if _, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("d", nil, 0)}}); !errors.Is(err, cluster.ErrLimit) {
		t.Errorf("a fourth key: %v", err)
	}
	put(t, up, cluster.Put("d", joinValue(0, nil), 0))
	for r.Health().LastError == nil {
		time.Sleep(time.Millisecond)
	}
	if err := r.Health().LastError; !errors.Is(err, cluster.ErrLimit) || !strings.Contains(err.Error(), "4 keys") {
		t.Errorf("%v", err)
	}
	if snap, err := c.Get(t.Context(), cluster.Query{Prefix: true}); err != nil || len(snap.KVs) != 3 || snap.Age == 0 {
		t.Errorf("%d keys of age %v, %v; want 3, and an age", len(snap.KVs), snap.Age, err)
	}
	put(t, up, cluster.Delete("a"))
	for {
		snap, err := c.Get(t.Context(), cluster.Query{Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.KVs) == 3 && snap.KVs[2].Key == "d" && snap.Age == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

// When a lease of a process ends, its keys go, however many; they are said to leave before, and from the first moment
// on nothing is put with it.
func TestALeaseWithManyKeys(t *testing.T) {
	testutil.NoLeaks(t)
	e, up := upstream(t, Limits{})
	west, east := newRoot(t, up, "west"), newRoot(t, clientOf(t, e), "east")
	c, other := clientOf(t, west), clientOf(t, east)
	l, err := c.Grant(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	presence := cluster.PresenceKey(cluster.NamesRoot("default"), l.ID())
	put(t, c, cluster.Put(presence, []byte("here west"), l.ID()))
	for i := range 1000 / 100 {
		var ops []cluster.Op
		for k := range 100 {
			ops = append(ops, cluster.Put(fmt.Sprintf("/skybus/default/k%d.%d", i, k), nil, l.ID()))
		}
		put(t, c, ops...)
	}
	said := make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		_ = other.Watch(ctx, presence, 0, func(u cluster.Update) error {
			for _, ev := range u.Events {
				said <- string(ev.Value)
			}
			return nil
		})
	}()
	if first := <-said; first != "here west" {
		t.Errorf("it says %q", first)
	}
	west.store.Revoke(l.ID()) // as when the process is found dead
	if _, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/skybus/default/late", nil, l.ID())}}); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("a put with it: %v", err)
	}
	for {
		snap, err := other.Get(t.Context(), cluster.Query{Key: "/skybus/default/", Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.KVs) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if left, gone := <-said, <-said; left != "left west" || gone != "" {
		t.Errorf("it says %q and %q", left, gone)
	}
	stop()
	<-watched
	for west.Health().Ended > 0 {
		time.Sleep(time.Millisecond)
	}
}

// A batch that comes after its lease has ended is taken back.
func TestABatchThatIsLate(t *testing.T) {
	testutil.NoLeaks(t)
	_, up := upstream(t, Limits{})
	r := newRoot(t, up, "west")
	c := clientOf(t, r)
	put(t, c, cluster.Put("/skybus/default/x", nil, 0))
	put(t, up, cluster.Put("/skybus/default/late", joinValue(77, nil), r.Health().Lease))
	for {
		snap, err := up.Get(t.Context(), cluster.Query{Key: "/skybus/default/", Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.KVs) == 1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The death of a client whose daemon looks after it ends its names.
func TestADeathOnAHost(t *testing.T) {
	testutil.NoLeaks(t)
	e, up := upstream(t, Limits{})
	west, east := newRoot(t, up, "west"), newRoot(t, clientOf(t, e), "east")
	s := west.server(ServerConfig{})
	dying := connect(place(s))
	a, b := newNames(t, dying, cluster.NamesConfig{TTL: time.Second}), newNames(t, clientOf(t, east), cluster.NamesConfig{})
	for { // until it has not run out of its TTL before its death
		if _, err := a.Request(t.Context(), "x", owner(0), 0); err != nil {
			t.Fatal(err)
		}
		st, err := b.Request(t.Context(), "x", owner(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if st == names.Waits {
			break
		}
		if err := b.Release(t.Context(), "x", owner(1)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	until(t, []names.Registry{b}, "x", []names.Owner{owner(1)})
	a.Close()
	dying.Close()
}
