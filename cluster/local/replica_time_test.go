// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// A net has an engine, and hosts with replicas that can be cut off from it, or be stopped.
type testNet struct {
	t *testing.T
	e *Engine
	s *Server // that hosts reach the engine by; nil: it is away

	hosts []*testHost
}

// A testHost is a daemon; its clients stay when it is started again.
type testHost struct {
	n       *testNet
	name    string
	state   string
	policy  NamePolicy
	up      atomic.Pointer[Server] // by which it reaches the engine
	client  *Client
	r       *Replica
	s       *Server
	at      atomic.Pointer[Server] // by which its clients reach it
	clients []*Client
	names   []*cluster.Names
}

func newTestNet(t *testing.T) *testNet {
	n := &testNet{t: t, e: NewEngine(Limits{})}
	n.s = n.e.server(ServerConfig{})
	return n
}

// host starts a daemon on a host with a name.
func (n *testNet) host(name string) *testHost {
	n.t.Helper()
	h := &testHost{n: n, name: name, state: filepath.Join(n.t.TempDir(), "state")}
	h.up.Store(n.s)
	h.start()
	n.hosts = append(n.hosts, h)
	return h
}

func (h *testHost) start() {
	h.n.t.Helper()
	h.client = connect(&h.up)
	r, err := NewReplica(h.client, ReplicaOptions{Host: h.name, State: h.state, Policy: h.policy})
	if err != nil {
		h.n.t.Fatal(err)
	}
	h.r, h.s = r, r.server(ServerConfig{})
	h.at.Store(h.s)
}

// stop ends a daemon in good order, for an upgrade.
func (h *testHost) stop() {
	h.at.Store(nil)
	h.s.Close()
	h.r.Close()
	h.client.Close()
}

// process returns a process of the host that has names.
func (h *testHost) process() (*cluster.Names, *Client) {
	h.n.t.Helper()
	c := connect(&h.at)
	n, err := cluster.NewNames(c, cluster.NamesConfig{})
	if err != nil {
		h.n.t.Fatal(err)
	}
	h.clients, h.names = append(h.clients, c), append(h.names, n)
	return n, c
}

// away has the engine out of reach for all, and back has it there again. another is one that is empty.
func (n *testNet) away() {
	for _, h := range n.hosts {
		h.up.Store(nil)
	}
	n.s.Close()
}

func (n *testNet) back() {
	n.s = n.e.server(ServerConfig{})
	for _, h := range n.hosts {
		h.up.Store(n.s)
	}
}

func (n *testNet) another() {
	n.e.Close()
	n.e = NewEngine(Limits{})
}

func (n *testNet) close() {
	for _, h := range n.hosts {
		for i, c := range h.clients {
			h.names[i].Close()
			c.Close()
		}
		h.stop()
	}
	n.s.Close()
	n.e.Close()
}

// leases are those of a client.
func leases(c *Client) (list []*lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for le := range c.leases {
		list = append(list, le)
	}
	return list
}

// wantOwners looks at once.
func wantOwners(t *testing.T, n *cluster.Names, name string, want ...names.Owner) {
	t.Helper()
	if got, err := n.Owners(t.Context(), name); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s has the owners %v, %v; want %v", name, got, err, want)
	}
}

// watching counts what a process is told of changes.
func watching(t *testing.T, n *cluster.Names) (told *atomic.Int32, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := &atomic.Int32{}, make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.Watch(ctx, "", func(ch names.Change) error {
			told.Add(1)
			t.Logf("told %+v", ch)
			return nil
		})
	}()
	return told, func() {
		cancel()
		<-ended
	}
}

// TestReplicasAndTime lets time pass.
func TestReplicasAndTime(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *testNet)
	}{
		{"the engine is away for a moment", awayForAMoment}, {"the engine is away for long", awayForLong}, {"the engine keeps the lease", awayAndKept},
		{"another life", anotherLife}, {"a host is cut off", hostCutOff}, {"a host dies", hostDies}, {"most hosts seem to die", hostsSeemToDie},
		{"the daemon is started again", restarted}, {"nobody comes back to the daemon", restartedAlone}, {"the daemon is too late", restartedLate},
		{"a batch while the engine is away", batchWhileAway}, {"the daemon starts before the engine", startsFirst}, {"a host leaves", hostLeaves},
		{"leases without keys survive a restart", bareLeases},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				defer n.close()
				test.run(t, n)
			})
		})
	}
}

// couple has two hosts with a process each; the first owns x, the second waits for it, and y is alone.
func couple(t *testing.T, n *testNet) (a, b *cluster.Names) {
	west, east := n.host("west"), n.host("east")
	a, _ = west.process()
	b, _ = east.process()
	request(t, a, "x", owner(0), 0, names.Owns)
	request(t, b, "x", owner(1), 0, names.Waits)
	request(t, a, "y", owner(0), 0, names.Owns)
	time.Sleep(100 * time.Millisecond)
	return a, b
}

func awayForAMoment(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	told, stop := watching(t, b)
	time.Sleep(time.Second)
	before := told.Load()
	n.away()
	time.Sleep(6 * time.Second)
	for _, h := range n.hosts {
		snap, err := h.clients[0].Get(t.Context(), cluster.Query{Key: cluster.NamesRoot("default") + "x/", Prefix: true})
		if err != nil || len(snap.KVs) != 2 || snap.Age < 5*time.Second || snap.Age > 11*time.Second {
			t.Errorf("%s has %d claims of age %v, %v", h.name, len(snap.KVs), snap.Age, err)
		}
		if d := h.names[0].Stale(); d < 4*time.Second || d > 11*time.Second {
			t.Errorf("%s is stale for %v", h.name, d)
		}
		if st, err := h.clients[0].Health(t.Context()); err != nil || st.Reached || st.Age < 5*time.Second || st.LastError == nil || st.Host != h.name {
			t.Errorf("health %+v, %v", st, err)
		}
		if st := h.r.Health(); st.Age < 5*time.Second || st.Keys == 0 || st.Lease == 0 {
			t.Errorf("health of the replica: %+v", st)
		}
	}
	n.back()
	time.Sleep(6 * time.Second)
	for _, h := range n.hosts {
		if d := h.names[0].Stale(); d != 0 || h.r.Health().Age != 0 {
			t.Errorf("%s is stale for %v, its replica for %v", h.name, d, h.r.Health().Age)
		}
	}
	request(t, a, "z", owner(0), 0, names.Owns)
	time.Sleep(15 * time.Second)
	stop()
	if got := told.Load() - before; got != 1 {
		t.Errorf("told of %d changes, want that of z", got)
	}
}

// awayForLong: the engine is away for so long that it has lost all leases when it is back, without having
// begun anew. Nobody is told that a name is gone.
func awayForLong(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	told, stop := watching(t, b)
	time.Sleep(time.Second)
	before := told.Load()
	n.away()
	time.Sleep(time.Minute)
	wantOwners(t, b, "x", owner(0), owner(1))
	n.back()
	time.Sleep(30 * time.Second)
	for _, v := range []*cluster.Names{a, b} {
		wantOwners(t, v, "x", owner(0), owner(1))
		wantOwners(t, v, "y", owner(0))
	}
	stop()
	if got := told.Load() - before; got != 0 {
		t.Errorf("told of %d changes, want none", got)
	}
}

// awayAndKept: as etcd does it, the leases are there when the engine is back, although the hosts have taken
// them for lost.
func awayAndKept(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	told, stop := watching(t, b)
	time.Sleep(time.Second)
	before := told.Load()
	ids := []cluster.LeaseID{n.hosts[0].r.Health().Lease, n.hosts[1].r.Health().Lease}
	n.away()
	for range 60 {
		time.Sleep(time.Second)
		for _, id := range ids {
			if err := n.e.store.Renew(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if h := n.hosts[0].r.Health(); h.Lease != 0 || h.Leases != 0 || h.LastError == nil {
		t.Errorf("without the engine: %+v", h)
	}
	n.back()
	time.Sleep(5 * time.Second)
	for i, h := range n.hosts {
		if got := h.r.Health(); got.Lease != ids[i] || got.Leases != 1 {
			t.Errorf("%s has lease %x, want %x; %+v", h.name, uint64(got.Lease), uint64(ids[i]), got)
		}
	}
	time.Sleep(25 * time.Second)
	for _, v := range []*cluster.Names{a, b} {
		wantOwners(t, v, "x", owner(0), owner(1))
		wantOwners(t, v, "y", owner(0))
	}
	stop()
	if got := told.Load() - before; got != 0 {
		t.Errorf("told of %d changes, want none", got)
	}
	if h := n.hosts[0].r.Health(); h.Keys != 5 || h.Ended != 0 {
		t.Errorf("left are %+v, want three claims and two presences", h)
	}
}

func anotherLife(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	told, stop := watching(t, b)
	time.Sleep(time.Second)
	before := told.Load()
	for range 3 {
		n.away()
		n.another()
		time.Sleep(2 * time.Second)
		n.back()
		time.Sleep(30 * time.Second)
		for _, v := range []*cluster.Names{a, b} {
			wantOwners(t, v, "x", owner(0), owner(1))
			wantOwners(t, v, "y", owner(0))
		}
	}
	stop()
	if got := told.Load() - before; got != 0 {
		t.Errorf("told of %d changes, want none", got)
	}
	if got, want := n.hosts[0].r.Health().Life, n.e.store.Life(); got != want {
		t.Errorf("of life %x, want %x", got, want)
	}
}

// hostCutOff: of three hosts one loses the engine for longer than its lease. The next in the queue owns; back again it
// stands behind.
func hostCutOff(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	n.host("north").process()
	time.Sleep(time.Second)
	west := n.hosts[0]
	west.up.Store(nil)
	west.client.mu.Lock()
	l := west.client.link
	west.client.mu.Unlock()
	l.end(errBroken)
	time.Sleep(6 * time.Second)
	wantOwners(t, b, "x", owner(0), owner(1))
	time.Sleep(6 * time.Second)
	wantOwners(t, b, "x", owner(1))
	wantOwners(t, b, "y")
	wantOwners(t, a, "x", owner(0), owner(1)) // and knows that it is stale
	if a.Stale() < 10*time.Second {
		t.Errorf("stale for %v", a.Stale())
	}
	west.up.Store(n.s)
	time.Sleep(5 * time.Second)
	for _, v := range []*cluster.Names{a, b} {
		wantOwners(t, v, "x", owner(1), owner(0))
		wantOwners(t, v, "y", owner(0))
	}
}

// hostDies: of two hosts one dies, which is believed at once.
func hostDies(t *testing.T, n *testNet) {
	_, b := couple(t, n)
	west := n.hosts[0]
	west.up.Store(nil)
	west.client.mu.Lock()
	l := west.client.link
	west.client.mu.Unlock()
	l.end(errBroken)
	began := time.Now()
	for {
		if got, _ := b.Owners(t.Context(), "x"); len(got) == 1 && got[0] == owner(1) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if d := time.Since(began); d > 13*time.Second {
		t.Errorf("its names are released after %v, want at most 13 s", d)
	}
}

// hostsSeemToDie: the engine loses the leases of two of three hosts, one after the other. What the first had is back as soon
// as the second is gone, too; all of it stays until they have put it again.
func hostsSeemToDie(t *testing.T, n *testNet) {
	couple(t, n)
	c, _ := n.host("north").process()
	time.Sleep(time.Second)
	west, east := n.hosts[0], n.hosts[1]
	for i, h := range []*testHost{west, east} {
		h.up.Store(nil)
		h.client.mu.Lock()
		l := h.client.link
		h.client.mu.Unlock()
		l.end(errBroken)
		n.e.store.Revoke(h.r.Health().Lease)
		time.Sleep(time.Second)
		if i == 0 {
			wantOwners(t, c, "x", owner(1))
			wantOwners(t, c, "y")
		}
	}
	wantOwners(t, c, "x", owner(1)) // who got it meanwhile has it
	wantOwners(t, c, "y", owner(0))
	if _, err := c.Request(t.Context(), "y", owner(2), names.NoQueue); !errors.Is(err, names.ErrTaken) {
		t.Errorf("a newcomer: %v", err)
	}
	west.up.Store(n.s)
	east.up.Store(n.s)
	time.Sleep(30 * time.Second)
	wantOwners(t, c, "y", owner(0))
	if got, err := c.Owners(t.Context(), "x"); err != nil || len(got) != 2 {
		t.Errorf("x has %v, %v", got, err)
	}
}

func restarted(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	west := n.hosts[0]
	lease := west.r.Health().Lease
	was := leases(west.clients[0])
	told, stop := watching(t, b)
	toldHere, stopHere := watching(t, a)
	time.Sleep(time.Second)
	before, beforeHere := told.Load(), toldHere.Load()
	for range 3 {
		first := west.r.Health().Incarnation
		west.stop()
		time.Sleep(5 * time.Second)
		west.start()
		time.Sleep(time.Second)
		request(t, a, "new", owner(0), 0, names.Owns) // with the lease that it has
		time.Sleep(time.Second)
		if err := a.Release(t.Context(), "new", owner(0)); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		h := west.r.Health()
		if h.Lease != lease || h.Leases != 1 || h.Incarnation <= first {
			t.Errorf("after the restart: %+v, want lease %x and an incarnation above %d", h, uint64(lease), first)
		}
	}
	if is := leases(west.clients[0]); len(is) != 1 || is[0] != was[0] {
		t.Errorf("the process has other leases: %v, and had %v", is, was)
	}
	wantOwners(t, b, "x", owner(0), owner(1))
	stop()
	stopHere()
	if got, here := told.Load()-before, toldHere.Load()-beforeHere; got != 6 || here != 6 {
		t.Errorf("told of %d changes, and on the host of %d; want those of new", got, here)
	}
	if info, err := os.Stat(west.state); err != nil || info.Mode() != 0o600 {
		t.Errorf("the state file: %v, %v", info, err)
	}
}

// restartedAlone: while the daemon is away its process dies. After a TTL what it had is deleted, and nobody takes the
// host for dead.
func restartedAlone(t *testing.T, n *testNet) {
	_, b := couple(t, n)
	west := n.hosts[0]
	west.stop()
	west.names[0].Close()
	west.clients[0].Close()
	west.names, west.clients = nil, nil
	west.start()
	time.Sleep(8 * time.Second)
	wantOwners(t, b, "x", owner(0), owner(1))
	time.Sleep(4 * time.Second)
	wantOwners(t, b, "x", owner(1))
	wantOwners(t, b, "y")
	if h := west.r.Health(); h.Ended != 0 || h.Leases != 0 || h.Keys != 2 {
		t.Errorf("left are %+v, want what east has", h)
	}
}

// restartedLate: the daemon is away for longer than its lease.
func restartedLate(t *testing.T, n *testNet) {
	a, b := couple(t, n)
	west := n.hosts[0]
	lease := west.r.Health().Lease
	west.stop()
	time.Sleep(20 * time.Second)
	wantOwners(t, b, "x", owner(1))
	west.start()
	time.Sleep(10 * time.Second)
	for _, v := range []*cluster.Names{a, b} {
		wantOwners(t, v, "x", owner(1), owner(0))
		wantOwners(t, v, "y", owner(0))
	}
	if h := west.r.Health(); h.Lease == lease || h.Lease == 0 {
		t.Errorf("%+v, with a lease that is gone", h)
	}
}

func batchWhileAway(t *testing.T, n *testNet) {
	couple(t, n)
	c := n.hosts[0].clients[0]
	n.away()
	time.Sleep(2 * time.Second)
	b := cluster.Batch{Do: []cluster.Op{cluster.Put("/skybus/default/z", nil, 0)}}
	for _, patience := range []time.Duration{time.Second, time.Minute} {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		_, err := c.Commit(ctx, b)
		stop()
		if d := time.Since(began); !errors.Is(err, cluster.ErrUnavailable) || d > 10*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	}
	time.Sleep(time.Second) // the host's lease was lost, and clients are hung up on for it
	done := make(chan error, 1)
	go func() {
		_, err := c.Commit(t.Context(), b)
		done <- err
	}()
	time.Sleep(3 * time.Second)
	n.back()
	if err := <-done; err != nil {
		t.Errorf("a batch that has waited: %v", err)
	}
	time.Sleep(time.Second)
	if h := n.hosts[0].r.Health(); h.Commits != 0 {
		t.Errorf("%d batches are under way", h.Commits)
	}
}

// startsFirst: clients wait for a daemon that has never heard its engine.
func startsFirst(t *testing.T, n *testNet) {
	n.away()
	west := &testHost{n: n, name: "west", state: filepath.Join(t.TempDir(), "state")}
	west.start()
	n.hosts = append(n.hosts, west)
	a, c := west.process()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := c.Get(ctx, cluster.Query{Prefix: true}); !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read: %v", err)
	}
	if h := west.r.Health(); h.Heard || h.Age != 0 {
		t.Errorf("%+v", h)
	}
	n.back()
	request(t, a, "x", owner(0), 0, names.Owns)
}

// hostLeaves: what a host had that leaves in good order is gone at once, and nobody takes it for dead.
func hostLeaves(t *testing.T, n *testNet) {
	_, b := couple(t, n)
	c, _ := n.host("north").process()
	time.Sleep(time.Second)
	for _, h := range n.hosts[:2] {
		if err := h.r.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		h.at.Store(nil) // its processes do not come back
		h.s.hangUp()
	}
	_ = b
	time.Sleep(time.Second)
	if list, err := c.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("left are %v, %v", list, err)
	}
}

// bareLeases: a lease that has no keys is still one after a restart.
func bareLeases(t *testing.T, n *testNet) {
	west := n.host("west")
	_, c := west.process()
	l, err := c.Grant(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.Grant(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, cluster.Put("/skybus/default/k", nil, k.ID()))
	west.stop()
	time.Sleep(time.Second)
	west.start()
	time.Sleep(30 * time.Minute)
	for what, l := range map[string]cluster.Lease{"bare": l, "with a key": k} {
		select {
		case <-l.Lost():
			t.Errorf("a lease %s is lost", what)
		default:
		}
		put(t, c, cluster.Put(fmt.Sprint("/skybus/default/", what), nil, l.ID()))
	}
}

// A state file that makes no sense is passed over; one whose folder is not there is an error.
func TestStateFiles(t *testing.T) {
	testutil.NoLeaks(t)
	_, up := upstream(t, Limits{})
	path := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"", "x", "{}", `{"v":1,"cluster":"default","host":"other","lease":7,"life":1}`, string(make([]byte, 2*maxState))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := NewReplica(up, ReplicaOptions{Host: "west", State: path})
		if err != nil {
			t.Fatalf("%.20q: %v", text, err)
		}
		c := r.Provider(Options{})
		put(t, c, cluster.Put("/skybus/default/x", nil, 0))
		c.Close()
		r.Close()
		var s state
		if err := readState(path, &s); err != nil || s.Host != "west" || s.Incarnation == 0 {
			t.Errorf("after %.20q: %+v, %v", text, s, err)
		}
	}
	if _, err := NewReplica(up, ReplicaOptions{Host: "west", State: filepath.Join(path, "none")}); err == nil {
		t.Error("a state file in a file")
	}
	for _, o := range []ReplicaOptions{{}, {Host: "a b"}, {Host: "a", Cluster: "x/y"}, {Host: "a", TTL: 1}, {Host: "a", TTL: -1}} {
		if _, err := NewReplica(up, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func FuzzState(f *testing.F) {
	for _, text := range []string{"", "{}", `{"v":1,"cluster":"c","host":"h","lease":1,"life":2,"term":3,"incarnation":4}`, `{"v":1,"lease":-1}`, `{"v":99}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s state
		if err := parseState("file", data, &s); err == nil && s.Version < stateVersion {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, v := range []string{"", "0000000000000000\n", "00000000000000ff\nvalue", "00000000000000FF\n", "+000000000000001\n", "here"} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, value, err := cutValue(data)
		if err == nil && string(joinValue(id, value)) != string(data) {
			t.Errorf("%q is read as %x and %q", data, id, value)
		}
	})
}
