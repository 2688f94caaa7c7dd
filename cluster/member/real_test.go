// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
)

// patient is how long a test waits for what must come, only so that it does not hang.
const patient = 5 * time.Minute

// A real host is one on the local engine, in real time.
type real struct {
	m *Member

	mu      sync.Mutex
	binds   []addr.Addr
	routes  map[addr.Addr]string // the host of each address
	changed chan struct{}        // closed at the next change
}

func startReal(t testing.TB, p cluster.Provider, name string, binds []addr.Addr) *real {
	t.Helper()
	r := &real{binds: binds, changed: make(chan struct{})}
	m, err := Start(Config{
		Provider: p, Cluster: "c", Host: name, Links: []string{name + ":7100"}, Incarnation: uint64(time.Now().UnixNano()), Binds: r.bound, Apply: r.apply,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	return r
}

func (r *real) bound() []addr.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.binds
}

func (r *real) bind(list []addr.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.binds = list
}

func (r *real) apply(routes Routes) error {
	m := make(map[addr.Addr]string, len(routes.Rules))
	for i := range routes.Rules {
		m[routes.Rules[i].Prefix.Addr] = routes.Rules[i].Host
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.routes = m
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// until waits for routes to be as so says.
func (r *real) until(t testing.TB, what string, so func(map[addr.Addr]string) bool) {
	t.Helper()
	late := time.After(patient)
	for {
		r.mu.Lock()
		routes, changed := r.routes, r.changed
		r.mu.Unlock()
		if so(routes) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited %v for %s; there are %d routes, problems %q", patient, what, len(routes), r.m.Status(context.Background()).Problems)
		}
	}
}

// TestOnTheLocalEngine is with calls that fail now and then, before or after they were done, and watches that
// end.
func TestOnTheLocalEngine(t *testing.T) {
	testutil.NoLeaks(t)
	seed := testutil.Seed(t)
	rng := testutil.Rand(t)
	e := local.NewEngine(local.Limits{})
	defer e.Close()
	var hosts []*real
	var faulty []*clustertest.FaultyProvider
	for i := range 4 {
		p := e.Provider(local.Options{})
		defer p.Close()
		f := clustertest.Faulty(p, clustertest.Faults{Before: 0.2, After: 0.2, Watch: 0.05, Delay: 2 * time.Millisecond}, seed+uint64(i))
		h := startReal(t, f, fmt.Sprint("h", i), nil)
		defer h.m.Close()
		hosts, faulty = append(hosts, h), append(faulty, f)
	}
	for range 20 {
		h := hosts[rng.IntN(len(hosts))]
		var list []addr.Addr
		for range rng.IntN(300) {
			list = append(list, addr.Addr(1+rng.IntN(1000)))
		}
		h.bind(list)
		time.Sleep(lookEvery)
	}
	want := map[addr.Addr]string{}
	for i, h := range hosts {
		faulty[i].Calm()
		var list []addr.Addr
		for range 200 {
			a := addr.Addr(i*10000 + 1 + rng.IntN(5000))
			list = append(list, a)
			want[a] = fmt.Sprint("h", i)
		}
		h.bind(list)
	}
	for i, h := range hosts {
		h.until(t, fmt.Sprintf("host %d to have all %d routes", i, len(want)), func(got map[addr.Addr]string) bool { return maps.Equal(got, want) })
	}
}

// TestAsManyRoutesAsATableTakes are those of one host; another one has no room for more.
func TestAsManyRoutesAsATableTakes(t *testing.T) {
	if testing.Short() {
		t.Skip("65,536 routes take half a minute")
	}
	testutil.NoLeaks(t)
	e := local.NewEngine(local.Limits{})
	defer e.Close()
	provider := func() cluster.Provider {
		p := e.Provider(local.Options{})
		t.Cleanup(func() { p.Close() })
		return p
	}
	list := make([]addr.Addr, 0, route.MaxRules+1)
	for i := range route.MaxRules + 1 {
		list = append(list, addr.Addr(1+i))
	}
	west, east := startReal(t, provider(), "west", list), startReal(t, provider(), "east", nil)
	defer west.m.Close()
	defer east.m.Close()
	full := func(got map[addr.Addr]string) bool { return len(got) == route.MaxRules }
	west.until(t, "west to have them", full)
	east.until(t, "east to have them", full)
	over := west.m.Status(context.Background()).Routes[route.MaxRules]
	if over.Error != "host west has 65536 routes already, which is the most" {
		t.Errorf("one more: %+v", over)
	}
	east.bind([]addr.Addr{1 << 24})
	west.bind(list[:10])
	east.until(t, "room for east's", func(got map[addr.Addr]string) bool { return len(got) == 11 && got[1<<24] == "east" })
	west.until(t, "the same at west", func(got map[addr.Addr]string) bool { return len(got) == 11 && got[1<<24] == "east" })
}

// BenchmarkJoinToVisible is from the start of a host with 10 addresses until all others have them in their routes.
func BenchmarkJoinToVisible(b *testing.B) {
	for _, n := range []int{5, 50} {
		b.Run(fmt.Sprint(n, " hosts"), func(b *testing.B) {
			e := local.NewEngine(local.Limits{})
			defer e.Close()
			hosts := make([]*real, n)
			for i := range hosts {
				p := e.Provider(local.Options{})
				defer p.Close()
				hosts[i] = startReal(b, p, fmt.Sprint("h", i), []addr.Addr{addr.Addr(1 + i)})
				defer hosts[i].m.Close()
			}
			for _, h := range hosts {
				h.until(b, "the others", func(got map[addr.Addr]string) bool { return len(got) == n })
			}
			newcomer := e.Provider(local.Options{})
			defer newcomer.Close()
			list := make([]addr.Addr, 10)
			for i := range list {
				list[i] = addr.Addr(1<<20 + i)
			}
			for b.Loop() {
				m := startReal(b, newcomer, "new", list)
				for _, h := range hosts {
					h.until(b, "the newcomer", func(got map[addr.Addr]string) bool { return got[list[9]] == "new" })
				}
				b.StopTimer()
				m.m.Close()
				for _, h := range hosts {
					h.until(b, "the newcomer's end", func(got map[addr.Addr]string) bool { return len(got) == n })
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkPublish is until another host has the routes of one that has bound that many at once.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1000, 50000} {
		b.Run(fmt.Sprint(n, " addresses"), func(b *testing.B) {
			e := local.NewEngine(local.Limits{})
			defer e.Close()
			p, q := e.Provider(local.Options{}), e.Provider(local.Options{})
			defer p.Close()
			defer q.Close()
			west, east := startReal(b, p, "west", nil), startReal(b, q, "east", nil)
			defer west.m.Close()
			defer east.m.Close()
			list := make([]addr.Addr, n)
			for i := range list {
				list[i] = addr.Addr(1 + i)
			}
			for b.Loop() {
				west.bind(list)
				east.until(b, "all", func(got map[addr.Addr]string) bool { return len(got) == n })
				b.StopTimer()
				west.bind(nil)
				east.until(b, "none", func(got map[addr.Addr]string) bool { return len(got) == 0 })
				b.StartTimer()
			}
		})
	}
}

// BenchmarkRoutes is judging that many routes of 100 hosts: what a change costs.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{1000, 65000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := local.NewEngine(local.Limits{})
			defer e.Close()
			p := e.Provider(local.Options{})
			defer p.Close()
			w := startReal(b, p, "west", nil)
			defer w.m.Close()
			w.m.mu.Lock()
			defer w.m.mu.Unlock()
			for i := range n {
				owner := fmt.Sprint("h", i%100)
				host := &entry{ident: ident{kind: kindHost, host: owner}, owner: owner, modified: 1, value: value{host: &hostValue{Links: []string{"h:1"}, Template: "8.8.8.8"}}}
				w.m.mirror.add(host.key(), host)
				r := &entry{ident: ident{kind: kindRoute, prefix: addr.Exact(addr.Addr(1 + i))}, owner: owner, modified: 1, value: value{route: &routeValue{Host: owner}}}
				w.m.mirror.add(r.key(), r)
			}
			for b.Loop() {
				if r := w.m.routes(); len(r.Rules) != n {
					b.Fatal(len(r.Rules))
				}
			}
		})
	}
}
