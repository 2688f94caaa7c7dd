// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
)

// TestSimulation has several hosts do what hosts do, on an engine that does what engines do, and looks at what
// has come of it once all is calm.
func TestSimulation(t *testing.T) {
	seed := testutil.Seed(t)
	for i := range uint64(30) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inWorld(t, store.Limits{LogEvents: 400}, func(w *world) {
				s := &sim{world: w, rng: rand.New(rand.NewPCG(seed, i))}
				s.run()
			})
		})
	}
}

type sim struct {
	*world
	rng     *rand.Rand
	slots   []*host // one a machine; its host may be down
	renamed int
	said    []string // what was done, for when it goes wrong
}

const (
	machines  = 5
	simSteps  = 60
	addresses = 12
)

func (s *sim) run() {
	watch := s.observe()
	defer watch()
	for i := range machines {
		h := s.prepare(fmt.Sprint("n", i))
		h.start()
		s.slots = append(s.slots, h)
	}
	for range simSteps {
		s.step()
		s.ownConfigurationIsInForce()
	}
	s.calm()
	s.judge()
}

// note remembers what is done.
func (s *sim) note(format string, args ...any) { s.said = append(s.said, fmt.Sprintf(format, args...)) }

// step does one thing at random, and lets some time pass.
func (s *sim) step() {
	i := s.rng.IntN(machines)
	h := s.slots[i]
	switch n := s.rng.IntN(100); {
	case n < 40:
		s.rebind(h)
	case n < 50:
		s.regroup(h)
	case n < 60:
		s.network(h)
	case n < 75:
		s.life(i)
	case n < 82:
		s.configure(h)
	case n < 88:
		s.note("expire %s", h.c.Host)
		h.expire()
	case n < 91:
		s.note("expire many")
		for _, h := range s.slots[:2+s.rng.IntN(machines-1)] {
			h.expire()
		}
	case n < 94:
		s.note("wipe")
		s.e.wipe()
	default:
		key := routeKey(addr.Exact(s.address()))
		if s.rng.IntN(2) == 0 {
			key = hostKey(h.c.Host)
		}
		s.note("garbage in %s", key)
		s.e.put(s.t, key, []byte("garbage"))
	}
	if s.rng.IntN(4) == 0 {
		s.quiet(time.Duration(s.rng.Int64N(int64(8 * time.Second))))
	} else {
		s.quiet(time.Duration(s.rng.Int64N(int64(100 * time.Millisecond))))
	}
}

func (s *sim) address() addr.Addr { return addr.Addr(0x300 + 1 + s.rng.IntN(addresses)) }

func (s *sim) rebind(h *host) {
	var list []string
	for range s.rng.IntN(5) {
		if a := s.address().String(); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	s.note("%s binds %v", h.c.Host, list)
	h.bind(list...)
}

func (s *sim) regroup(h *host) {
	groups := map[string]int{}
	for range s.rng.IntN(4) {
		groups[fmt.Sprint("g", s.rng.IntN(4))] = s.rng.IntN(3)
	}
	s.note("%s has groups %v", h.c.Host, groups)
	if h.m != nil {
		if err := h.m.SetGroups(groups); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *sim) network(h *host) {
	h.p.mu.Lock()
	h.p.slow, h.p.lossy = time.Duration(1+s.rng.Int64N(int64(300*time.Millisecond))), s.rng.Float64()*0.5
	h.p.mu.Unlock()
	cut := s.rng.IntN(2) == 0
	s.note("%s: cut %v, slow %v, lossy %.2f", h.c.Host, cut, h.p.slow, h.p.lossy)
	h.p.sever(cut)
}

// life starts a host that is down, and ends one that is up, in one of the ways that there are.
func (s *sim) life(i int) {
	h := s.slots[i]
	if h.m == nil {
		s.note("start %s", h.c.Host)
		h.c.Incarnation++
		h.start()
		return
	}
	switch s.rng.IntN(4) {
	case 0:
		s.note("kill %s", h.c.Host)
		h.kill()
	case 1:
		s.note("close %s", h.c.Host)
		h.end()
	case 2:
		s.note("replace %s", h.c.Host)
		h.m.Detach()
		h.p.die()
		h.c.Incarnation++
		h.start()
	default:
		s.renamed++
		name := fmt.Sprint("n", i, "-", s.renamed)
		s.note("rename %s to %s", h.c.Host, name)
		h.kill()
		h.c.Host, h.c.Rules = name, nil
		h.start()
		s.hosts[name] = h
	}
}

// configure gives a host a prefix of its own: each machine has one that nobody else configures.
func (s *sim) configure(h *host) {
	if h.m == nil {
		return
	}
	rules := []route.Rule{}
	if s.rng.IntN(2) == 0 {
		p := addr.Prefix{Addr: addr.Addr(0x1000 + slices.Index(s.slots, h)<<8), Bits: 24}
		rules = append(rules, route.Rule{Prefix: p, Host: h.c.Host}, route.Rule{Prefix: addr.Exact(0x9999), Host: h.c.Host})
	}
	s.note("%s configures %d rules", h.c.Host, len(rules))
	h.c.Rules = rules
	if err := h.m.Reload(Settings{Rules: rules}); err != nil {
		s.t.Error(err)
	}
	s.quiet(2 * time.Second) // it may be applying the last ones
}

// ownConfigurationIsInForce whatever the engine says.
func (s *sim) ownConfigurationIsInForce() {
	for _, h := range s.slots {
		if h.m == nil {
			continue
		}
		h.mu.Lock()
		for _, r := range h.c.Rules {
			if !slices.Contains(h.routes.Rules, r) {
				s.fail("%s has no rule %v", h.c.Host, r)
			}
		}
		h.mu.Unlock()
	}
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf(format+"\nafter:\n%s", append(args, strings.Join(s.said, "\n"))...)
}

// observe looks at each change of the engine: nobody takes what another host has. The function that it
// returns ends that.
func (s *sim) observe() func() {
	ctx, stop := context.WithCancel(context.Background())
	p := s.e.dial("observer")
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			owners := map[string]string{}
			_ = p.Watch(ctx, Root("c"), 0, func(u cluster.Update) error {
				for _, ev := range u.Events {
					s.observed(owners, &ev)
				}
				return nil
			})
		}
	})
	return func() {
		stop()
		done.Wait()
		p.die()
	}
}

func (s *sim) observed(owners map[string]string, ev *cluster.Event) {
	key := ev.Key[len(Root("c")):]
	id, err := parseKey(key)
	if err != nil || id.kind != kindRoute {
		return
	}
	v, err := parseValue(id, ev.Value)
	if ev.Deleted || err != nil {
		delete(owners, key)
		return
	}
	if was := owners[key]; was != "" && was != v.route.Host {
		s.t.Errorf("%s was %s's and is %s's at revision %d", key, was, v.route.Host, ev.Modified)
	}
	owners[key] = v.route.Host
}

// calm ends all faults and waits until everything has been learnt.
func (s *sim) calm() {
	for i, h := range s.slots {
		if h.m == nil {
			s.life(i)
		}
		h.p.mu.Lock()
		h.p.slow, h.p.lossy = 0, 0
		h.p.mu.Unlock()
		h.p.sever(false)
	}
	s.quiet(45 * time.Second) // the TTL of who was killed, then the time of grace, then that of a retry
}

// judge compares what the hosts believe with what there is.
func (s *sim) judge() {
	binders := map[string][]string{}
	for _, h := range s.slots {
		for _, a := range h.bound() {
			key := addr.Exact(a).String()
			binders[key] = append(binders[key], h.c.Host)
		}
	}
	first := map[string]string{}
	for i, h := range s.slots {
		got := map[string]string{}
		for _, r := range h.routes.Rules {
			if r.Prefix.Addr != 0x9999 { // several configure it: each believes itself
				got[r.Prefix.String()] = r.Host
			}
		}
		if i == 0 {
			first = got
		}
		if !maps.Equal(got, first) {
			s.fail("%s has %v\n%s has %v", h.c.Host, got, s.slots[0].c.Host, first)
		}
		s.judgeOwn(h, first)
	}
	for a, hosts := range binders {
		if !slices.Contains(hosts, first[a]) {
			s.fail("%s is bound on %v, and routed to %q", a, hosts, first[a])
		}
	}
	for a := range first {
		if strings.HasPrefix(a, "0.0.3.") && len(binders[a]) == 0 {
			s.fail("%s is bound nowhere, and routed to %s", a, first[a])
		}
	}
}

// judgeOwn compares what a host says of its own with where it is routed to.
func (s *sim) judgeOwn(h *host, routes map[string]string) {
	for _, a := range h.bound() {
		r, owner := h.stateOf(a.String(), h.c.Host), routes[a.String()]
		want := report.RouteActive
		if owner != h.c.Host {
			want = report.RouteConflict
		}
		if r.State != want || want == report.RouteConflict && r.Conflict != owner {
			s.fail("%s says of its %v: %+v; it is routed to %s", h.c.Host, a, r, owner)
		}
	}
	for _, r := range h.status().Hosts {
		if r.State != report.HostHere && r.State != report.HostKnown {
			s.fail("%s says of %s: %+v", h.c.Host, r.Name, r)
		}
	}
	if st := h.status(); len(st.Hosts) != machines || st.Stale {
		s.fail("%s knows %d hosts, stale %v", h.c.Host, len(st.Hosts), st.Stale)
	}
}
