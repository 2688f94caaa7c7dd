// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/netlab"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/nodetest"
)

// key is that of all domains: each has a folder of its own.
const key = 1000

// The addresses of the two sides. They are of two hosts where there are two.
var (
	here  = addr.MustParse("0.0.1.1")
	there = addr.MustParse("0.0.2.1")
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"far": far})
	os.Exit(m.Run())
}

// farPlan is what a far process is started with.
type farPlan struct {
	Root string // of its domain
}

// far is the far side in a process of its own, until it is killed.
func far(args []byte) error {
	plan, err := killtest.Args[farPlan](args)
	if err != nil {
		return err
	}
	d, err := open(plan.Root)
	if err != nil {
		return err
	}
	if _, err := begin(d, there); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

func open(root string) (*skybus.Domain, error) {
	return skybus.Open(key, skybus.Options{Root: root, AllowUnknown: true, Limits: skybus.Limits{MaxMessage: largest}})
}

// begin starts a node that can be the far side.
func begin(d *skybus.Domain, at addr.Addr) (*node.Node, error) {
	return node.Start(d, at, node.Config{
		Log: slog.New(slog.DiscardHandler), Patience: patience, Services: []actor.Spec{nodetest.Serve(Services)},
	})
}

// domain opens a domain of the test.
func domain(t testing.TB) (d *skybus.Domain, root string) {
	t.Helper()
	d, err := open(testutil.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, filepath.Dir(d.Table().Folder())
}

// startNode starts a node, until the test ends.
func startNode(t testing.TB, d *skybus.Domain, at addr.Addr) *node.Node {
	t.Helper()
	n, err := begin(d, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// joined is the two sides, once the far one is there.
func joined(t testing.TB, n *node.Node) Pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		f, err := nodetest.Find(ctx, n, there)
		if err == nil {
			return Pair{A: n.Runtime(), Far: f, Bus: true}
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// The two sides are two nodes, and what they say to each other goes through lanes.
func TestTwoNodes(t *testing.T) {
	testutil.NoLeaks(t)
	Suite(t, func(t *testing.T) Pair {
		d, _ := domain(t)
		startNode(t, d, there)
		return joined(t, startNode(t, d, here))
	})
}

func TestTwoProcesses(t *testing.T) {
	testutil.NoLeaks(t)
	d, root := domain(t)
	killtest.Start(t, "far", farPlan{root}).Line()
	p := joined(t, startNode(t, d, here))
	Suite(t, func(*testing.T) Pair { return p })
}

// twoHosts starts the daemons, and the far side.
func twoHosts(t *testing.T) (Pair, *netlab.Bus, *killtest.Process) {
	t.Helper()
	d, root := domain(t)
	_, farRoot := domain(t)
	b := netlab.NewBus(t, "../../cmd/skybusd", key, netlab.Site{Name: "a", Root: root, Addrs: "0.0.1.*"}, netlab.Site{Name: "b", Root: farRoot, Addrs: "0.0.2.*"})
	f := killtest.Start(t, "far", farPlan{farRoot})
	f.Line()
	return joined(t, startNode(t, d, here)), b, f
}

func TestTwoHosts(t *testing.T) {
	testutil.NoLeaks(t)
	p, _, _ := twoHosts(t)
	Suite(t, func(*testing.T) Pair { return p })
}

// While the suite runs the wire is bad, the link is cut, daemons are killed, and daemons and the far process stop for a moment.
func TestTwoHostsInTrouble(t *testing.T) {
	testutil.NoLeaks(t)
	p, b, f := twoHosts(t)
	stop := b.Trouble(rand.New(rand.NewPCG(testutil.Seed(t), 1)), f)
	defer func() { t.Logf("what went wrong: %v", stop()) }()
	end := time.Now().Add(netlab.Time(t, 5*time.Second))
	for round := 0; time.Now().Before(end) && !t.Failed() || round == 0; round++ {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			Suite(t, func(*testing.T) Pair { return p })
		})
	}
}
