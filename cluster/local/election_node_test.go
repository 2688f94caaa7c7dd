// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
)

// A campaigner says at led which token it leads with, and at lost which one it has lost.
type campaigner struct {
	n    *node.Node
	led  chan uint64
	lost chan node.LeadershipLost
}

// Handle campaigns at "go", and answers "ping".
func (s *campaigner) Handle(c *actor.Context, m *actor.Message) error {
	if v, ok := m.Value.(node.LeadershipLost); ok && m.Kind == actor.KindNotice {
		s.lost <- v
		return nil
	}
	switch m.Value {
	case "go":
		l, err := s.n.CampaignFrom(c, "master", c.Self().String())
		if err != nil {
			return err
		}
		s.led <- l.Token()
	case "ping":
		return c.Reply("pong")
	}
	return nil
}

// electing starts a node with a service that campaigns.
func electing(t *testing.T, d *skybus.Domain, at string, p cluster.Provider) (*campaigner, actor.PID) {
	t.Helper()
	e, err := cluster.NewElections(p, cluster.ElectionsConfig{TTL: cluster.MaxTTL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	n, err := node.Start(d, addr.MustParse(at), node.Config{Elections: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	s := &campaigner{n: n, led: make(chan uint64, 10), lost: make(chan node.LeadershipLost, 10)}
	pid, err := n.Runtime().Start(t.Context(), actor.Spec{New: actor.Func(s.Handle)})
	if err != nil {
		t.Fatal(err)
	}
	return s, pid
}

// Services campaign by their nodes, and do other things meanwhile. One that ends resigns, one that is lost hears of it.
func TestElectionsOfNodes(t *testing.T) {
	testutil.NoLeaks(t)
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	e := NewEngine(Limits{})
	t.Cleanup(e.Close)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	open := func() *spy {
		c := e.Provider(Options{})
		t.Cleanup(func() { c.Close() })
		return &spy{Provider: c}
	}
	pa, pb := open(), open()
	a, first := electing(t, d, "0.0.3.1", pa)
	b, second := electing(t, d, "0.0.3.2", pb)
	tell := func(s *campaigner, p actor.PID) {
		if err := s.n.Runtime().Send(ctx, p, "go"); err != nil {
			t.Fatal(err)
		}
	}
	tell(a, first)
	token := <-a.led
	tell(b, second)
	for range 3 { // while it campaigns
		if v, err := b.n.Runtime().Call(ctx, second, "ping"); err != nil || v != "pong" {
			t.Errorf("a service that campaigns answers %v, %v", v, err)
		}
	}
	if err := a.n.Runtime().Stop(ctx, first); err != nil {
		t.Fatal(err)
	}
	next := <-b.led
	if next <= token || len(a.lost) > 0 {
		t.Errorf("token %d after %d, %d notices", next, token, len(a.lost))
	}
	e.store.Revoke(pb.id())
	select {
	case v := <-b.lost:
		if v.Name != "master" || v.Token != next || v.Err == nil {
			t.Errorf("lost %+v", v)
		}
	case <-ctx.Done():
		t.Fatal("nobody hears that the leader is lost")
	}
	tell(b, second)
	if last := <-b.led; last <= next {
		t.Errorf("token %d after %d", last, next)
	}
	third, err := a.n.Runtime().Start(ctx, actor.Spec{New: actor.Func(a.Handle)})
	if err != nil {
		t.Fatal(err)
	}
	tell(a, third)
	b.n.Close() // a node that closes resigns
	<-a.led
}

// A campaign of a service that is killed leaves nothing behind.
func TestAServiceThatEndsWhileItCampaigns(t *testing.T) {
	testutil.NoLeaks(t)
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	e := NewEngine(Limits{})
	t.Cleanup(e.Close)
	p := e.Provider(Options{})
	t.Cleanup(func() { p.Close() })
	other := newElections(t, p, cluster.ElectionsConfig{})
	l, err := other.Campaign(t.Context(), "master", "the test")
	if err != nil {
		t.Fatal(err)
	}
	s, pid := electing(t, d, "0.0.3.1", p)
	if err := s.n.Runtime().Send(t.Context(), pid, "go"); err != nil {
		t.Fatal(err)
	}
	candidates := func(want int) {
		t.Helper()
		for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Millisecond) {
			snap, err := p.Get(t.Context(), cluster.Query{Key: cluster.ElectionsRoot("default"), Prefix: true})
			if err == nil && len(snap.KVs) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d candidates, %v; want %d", len(snap.KVs), err, want)
			}
		}
	}
	candidates(2)
	if err := s.n.Runtime().Kill(pid); err != nil {
		t.Fatal(err)
	}
	candidates(1)
	if l.Err() != nil || len(s.led) > 0 {
		t.Errorf("the leader: %v", l.Err())
	}
}

func TestANodeWithoutElections(t *testing.T) {
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	n, err := node.Start(d, addr.MustParse("0.0.3.1"), node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	pid, err := n.Runtime().Start(t.Context(), actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		_, err := n.CampaignFrom(c, "master", "")
		return c.Reply(errors.Is(err, node.ErrNoElections))
	})})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := n.Runtime().Call(t.Context(), pid, 1); err != nil || v != true {
		t.Errorf("%v, %v", v, err)
	}
}
