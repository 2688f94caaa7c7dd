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
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/node"
)

// global starts a node that knows the engine's names, as a program does it.
func global(t *testing.T, d *skybus.Domain, at string) *node.Node {
	t.Helper()
	self := addr.MustParse(at)
	p, err := Dial(d.Table().Folder(), Options{Addr: self})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	all, err := cluster.NewNames(p, cluster.NamesConfig{TTL: cluster.MaxTTL, Grace: 13 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { all.Close() })
	n, err := node.Start(d, self, node.Config{Cluster: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// Services of nodes ask for names that the engine keeps; the end of an owner, and of its node, frees them for the next
// one.
func TestNamesOfNodes(t *testing.T) {
	testutil.NoLeaks(t)
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	e := NewEngine(Limits{})
	s, err := e.Serve(d.Table().Folder(), ServerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		e.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	a, b, c := global(t, d, "0.0.3.1"), global(t, d, "0.0.3.2"), global(t, d, "0.0.3.3")
	var banks []actor.PID
	for i, n := range []*node.Node{a, b} {
		p, err := n.Runtime().Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) })})
		if err != nil {
			t.Fatal(err)
		}
		banks = append(banks, p)
		want := []names.Standing{names.Owns, names.Waits}[i]
		if got, err := n.Names(node.Cluster).Request(ctx, "bank", p, 0); got != want || err != nil {
			t.Fatalf("request %d: %v, %v", i, got, err)
		}
	}
	for i, p := range banks {
		for { // it hears of the change before, a moment later
			got, err := c.Names(node.Cluster).Lookup(ctx, "bank")
			if err == nil && got == p {
				break
			}
			if time.Sleep(time.Millisecond); ctx.Err() != nil {
				t.Fatalf("after %d ends the name is %v's, want %v's: %v", i, got, p, err)
			}
		}
		if v, err := c.Runtime().Call(ctx, p, "x"); v != "x" || err != nil {
			t.Errorf("call: %v, %v", v, err)
		}
		if i == 0 {
			a.Close()
		}
	}
	if err := b.Runtime().Stop(ctx, banks[1]); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.Names(node.Cluster).Lookup(ctx, "bank"); errors.Is(err, actor.ErrNoService) {
			return
		}
		if time.Sleep(time.Millisecond); ctx.Err() != nil {
			t.Fatal("the name of a service that has ended is not free")
		}
	}
}
