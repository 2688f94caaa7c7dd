// SPDX-License-Identifier: Apache-2.0

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

func owner(i int) names.Owner {
	return names.Owner{Addr: addr.Addr(0x301 + i), Handle: uint64(i)<<40 + 7}
}

func newNames(t *testing.T, p cluster.Provider, c cluster.NamesConfig) *cluster.Names {
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

// settled returns what waits until all have seen what was done before: a mark of each by each.
func settled(t *testing.T, all []names.Registry) func() {
	mark := owner(1000)
	return func() {
		t.Helper()
		if _, err := all[0].Request(t.Context(), "mark", mark, 0); err != nil {
			t.Fatal(err)
		}
		until(t, all, "mark", []names.Owner{mark})
		if err := all[0].Release(t.Context(), "mark", mark); err != nil {
			t.Fatal(err)
		}
		until(t, all, "mark", nil)
	}
}

// until waits until all say that a name has these owners.
func until(t *testing.T, all []names.Registry, name string, want []names.Owner) {
	t.Helper()
	for i, r := range all {
		for tries := 0; ; tries++ {
			got, err := r.Owners(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Equal(got, want) {
				break
			}
			if tries == 9000 {
				t.Fatalf("view %d: %s has the owners %v, want %v", i, name, got, want)
			}
			time.Sleep(min(time.Duration(tries)*50*time.Microsecond, 10*time.Millisecond))
		}
	}
}

func TestNamesConformance(t *testing.T) {
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		testutil.NoLeaks(t)
		h := newHost(t, Limits{})
		s := namestest.Setup{Rand: testutil.Rand(t)}
		for i := range 3 {
			s.Registries = append(s.Registries, newNames(t, h.dial(), cluster.NamesConfig{}))
			s.Owners = append(s.Owners, owner(i))
		}
		s.Settle = settled(t, s.Registries)
		return s
	})
}

func TestNamesConformanceWithFaults(t *testing.T) {
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		testutil.NoLeaks(t)
		h := newHost(t, Limits{})
		s := namestest.Setup{Rand: testutil.Rand(t)}
		for i := range 3 {
			p := clustertest.Faulty(h.dial(), clustertest.Faults{Before: 0.05, Watch: 0.005, Delay: 50 * time.Microsecond}, testutil.Seed(t)+uint64(i))
			s.Registries = append(s.Registries, newNames(t, p, cluster.NamesConfig{}))
			s.Owners = append(s.Owners, owner(i))
		}
		s.Settle = settled(t, s.Registries)
		return s
	})
}

// A name that nobody can be told of twice, and that is lost to nobody: clients ask at random while calls
// fail, connections are cut and the engine begins anew; when all that is over, all have the same picture,
// and it is of what each has asked for last.
func TestNamesUnderFaults(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	h := newHost(t, Limits{})
	const clients = 4
	var all []names.Registry
	var faulty []*clustertest.FaultyProvider
	for i := range clients {
		p := clustertest.Faulty(h.dial(), clustertest.Faults{Before: 0.05, After: 0.05, Watch: 0.01, Delay: time.Millisecond}, rng.Uint64())
		faulty = append(faulty, p)
		all = append(all, newNames(t, p, cluster.NamesConfig{TTL: 3 * time.Second, Grace: 4 * time.Second, Cluster: fmt.Sprint("c", i/clients)}))
	}
	var wishes [clients]map[string]bool
	var done sync.WaitGroup
	for i := range clients {
		seed := rng.Uint64()
		wishes[i] = map[string]bool{}
		done.Go(func() { wish(t, all[i], owner(i), rand.New(rand.NewPCG(seed, 0)), wishes[i]) })
	}
	for range 6 {
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			h.cut()
			continue
		}
		h.stop()
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		h.start()
	}
	done.Wait()
	for _, p := range faulty {
		p.Calm()
	}
	agree(t, all, wishes[:])
}

// wish asks and gives up, and notes what it has been told to have asked for.
func wish(t *testing.T, r names.Registry, o names.Owner, rng *rand.Rand, wishes map[string]bool) {
	for range 150 {
		name := fmt.Sprintf("n%d", rng.IntN(6))
		if rng.IntN(3) == 0 {
			if err := r.Release(t.Context(), name, o); err != nil && !errors.Is(err, names.ErrNotOwner) {
				t.Error(err)
			}
			delete(wishes, name)
			continue
		}
		if _, err := r.Request(t.Context(), name, o, names.Flags(rng.IntN(4))); err != nil { // all that wait
			t.Error(err)
		}
		wishes[name] = true
	}
}

// agree waits until all have one picture, of what was wished for.
func agree(t *testing.T, all []names.Registry, wishes []map[string]bool) {
	t.Helper()
	for tries := 0; ; tries++ {
		pictures := map[string]bool{}
		want := map[string]bool{}
		var first string
		for v, r := range all {
			picture := ""
			for n := range 6 {
				name := fmt.Sprintf("n%d", n)
				owners, err := r.Owners(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				picture += fmt.Sprintln(name, owners)
				for i := range wishes {
					if v == 0 && wishes[i][name] != slices.Contains(owners, owner(i)) {
						want[fmt.Sprintf("%s by %d: %v", name, i, wishes[i][name])] = true
					}
				}
			}
			pictures[picture] = true
			first = picture
		}
		if len(pictures) == 1 && len(want) == 0 {
			return
		}
		if tries == 9000 {
			t.Fatalf("%d pictures, one is\n%sbut wanted are %v", len(pictures), first, slices.Collect(maps.Keys(want)))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// changes collects what a watch tells.
func changes(t *testing.T, r names.Registry) <-chan names.Change {
	ctx, stop := context.WithCancel(context.Background())
	list := make(chan names.Change, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Watch(ctx, "", func(ch names.Change) error {
			list <- ch
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return list
}

func request(t *testing.T, r names.Registry, name string, o names.Owner, f names.Flags, want names.Standing) {
	t.Helper()
	if got, err := r.Request(t.Context(), name, o, f); err != nil || got != want {
		t.Fatalf("%v requests %s: %v, %v; want %v", o, name, got, err, want)
	}
}

// An engine that comes back empty costs nobody a name, and nobody is told of a change.
func TestTheEngineComesBackEmpty(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	var all []names.Registry
	for range 3 {
		all = append(all, newNames(t, h.dial(), cluster.NamesConfig{Grace: cluster.MaxTTL}))
	}
	for i := range 300 {
		request(t, all[i%3], fmt.Sprintf("n%03d", i), owner(i%3), 0, names.Owns)
	}
	request(t, all[1], "n000", owner(1), 0, names.Waits)
	request(t, all[2], "n000", owner(2), 0, names.Waits)
	settled(t, all)()
	told := changes(t, all[2])
	for range 300 {
		<-told
	}
	for range 3 {
		h.stop()
		h.start()
		until(t, all, "n000", []names.Owner{owner(0), owner(1), owner(2)})
		if st, err := all[1].Request(t.Context(), "n000", owner(9), names.NoQueue); !errors.Is(err, names.ErrTaken) {
			t.Fatalf("a newcomer: %v, %v", st, err)
		}
	}
	fresh := newNames(t, h.dial(), cluster.NamesConfig{})
	for i := range 300 {
		want := []names.Owner{owner(i % 3)}
		if i == 0 {
			want = []names.Owner{owner(0), owner(1), owner(2)}
		}
		until(t, []names.Registry{fresh}, fmt.Sprintf("n%03d", i), want)
	}
	request(t, all[0], "last", owner(0), 0, names.Owns)
	if ch := <-told; ch.Name != "last" {
		t.Errorf("told %+v", ch)
	}
}

// What is closed does not take its names again because its lease is gone.
func TestNamesThatAreClosedAreFree(t *testing.T) {
	testutil.NoLeaks(t)
	e, c := upstream(t, Limits{})
	for i := range 200 {
		n := newNames(t, c, cluster.NamesConfig{})
		request(t, n, "x", owner(i), 0, names.Owns)
		_ = n.Close()
		snap, err := c.Get(t.Context(), cluster.Query{Prefix: true})
		if err != nil || len(snap.KVs) > 0 || len(e.store.Leases()) > 0 {
			t.Fatalf("after %d were closed there are %d keys and %d leases, %v", i+1, len(snap.KVs), len(e.store.Leases()), err)
		}
	}
}

// Whoever leaves in good order has its names released at once, and each change is told once.
func TestAClientThatCloses(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	a, b := newNames(t, h.dial(), cluster.NamesConfig{}), newNames(t, h.dial(), cluster.NamesConfig{})
	request(t, a, "x", owner(0), 0, names.Owns)
	request(t, b, "x", owner(1), 0, names.Waits)
	told := changes(t, b)
	if ch := <-told; ch != (names.Change{Name: "x", New: owner(0)}) {
		t.Fatalf("told %+v", ch)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if ch := <-told; ch != (names.Change{Name: "x", Old: owner(0), New: owner(1)}) {
		t.Fatalf("told %+v", ch)
	}
	if _, err := a.Request(t.Context(), "x", owner(0), 0); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("a request after Close: %v", err)
	}
}

// A client that cannot reach the engine for its TTL is given up; when it is back it stands behind those
// who got its names.
func TestAClientThatIsCutOff(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	spy := &spy{Provider: h.dial()}
	conf := cluster.NamesConfig{TTL: 3 * time.Second} // it is renewed, and found to be lost, each second
	a, b := newNames(t, spy, conf), newNames(t, h.dial(), cluster.NamesConfig{})
	request(t, a, "x", owner(0), 0, names.Owns)
	request(t, a, "alone", owner(0), 0, names.Owns)
	request(t, a, "never", owner(0), names.NoQueue, names.Owns)
	request(t, b, "x", owner(1), 0, names.Waits)
	request(t, b, "never", owner(1), 0, names.Waits)
	h.e.store.Revoke(spy.id())
	until(t, []names.Registry{a, b}, "x", []names.Owner{owner(1), owner(0)})
	until(t, []names.Registry{a, b}, "alone", []names.Owner{owner(0)})
	until(t, []names.Registry{a, b}, "never", []names.Owner{owner(1)})
}

// A spy knows the last lease.
type spy struct {
	cluster.Provider
	mu    sync.Mutex
	lease cluster.Lease
}

func (s *spy) Grant(ctx context.Context, ttl time.Duration) (cluster.Lease, error) {
	l, err := s.Provider.Grant(ctx, ttl)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = l
	return l, err
}

func (s *spy) id() cluster.LeaseID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.ID()
}

// Requests wait for a daemon that starts late, as long as they may; lookups wait for the first answer only.
func TestADaemonThatStartsLate(t *testing.T) {
	testutil.NoLeaks(t)
	h := &host{t: t, folder: testutil.Dir(t)}
	n := newNames(t, h.dial(), cluster.NamesConfig{})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, request := n.Request(ctx, "x", owner(0), 0)
	_, lookup := n.Owners(ctx, "x")
	_, list := n.List(ctx, "")
	for what, err := range map[string]error{"Request": request, "Owners": lookup, "List": list} {
		if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a daemon: %v", what, err)
		}
	}
	got := make(chan error, 1)
	go func() {
		_, err := n.Request(t.Context(), "x", owner(0), 0)
		got <- err
	}()
	h.start()
	t.Cleanup(h.stop)
	if err := <-got; err != nil {
		t.Error(err)
	}
	h.stop()
	if list, err := n.Owners(t.Context(), "x"); err != nil || !slices.Equal(list, []names.Owner{owner(0)}) {
		t.Errorf("after the daemon has gone: %v, %v", list, err)
	}
	n.Close()
}
