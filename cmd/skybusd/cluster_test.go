// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/relay"
)

// A clustered host is a domain of its own with a daemon, on loopback.
type clustered struct {
	t    *testing.T
	name string
	root string
	file string
	dom  *skybus.Domain
	stop context.CancelFunc
	code chan int
	log  *lockedBuffer
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// joinCluster starts the daemon of a host that knows nothing but where etcd is.
func joinCluster(t *testing.T, name string, endpoints []string) *clustered {
	t.Helper()
	h := &clustered{t: t, name: name, root: testutil.Dir(t), file: filepath.Join(t.TempDir(), "skybusd.yaml"), log: &lockedBuffer{}}
	text := fmt.Sprintf(`domain: 1
root: %s
relay_key: 1
host: %s
listen: 127.0.0.1:0
insecure: true
cluster:
  mode: etcd
  name: games
  endpoints: [%s]
  insecure: true
  state: state
`, h.root, name, strings.Join(endpoints, ", "))
	if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.end()
		if h.dom != nil {
			_ = h.dom.Close()
		}
		if t.Failed() {
			t.Logf("daemon of %s:\n%s", name, h.log)
		}
	})
	h.start()
	var err error
	if h.dom, err = skybus.Open(1, skybus.Options{Root: h.root, AllowUnknown: true}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *clustered) start() {
	h.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.code = stop, make(chan int, 1)
	go func() { h.code <- run(ctx, []string{"--config", h.file}, h.log, h.log) }()
	soon(h.t, "the daemon of "+h.name+" takes part in its cluster", func() bool {
		select {
		case code := <-h.code:
			h.stop = nil
			h.t.Fatalf("the daemon of %s has ended with %d", h.name, code)
		default:
		}
		_, err := h.ask()
		return err == nil
	})
}

func (h *clustered) ask() (c report.Cluster, err error) {
	err = relay.AskFor(h.t.Context(), channel.Dir(h.root, 1), report.AskCluster, nil, &c)
	return c, err
}

func (h *clustered) end() {
	if h.stop != nil {
		h.stop()
		<-h.code
		h.stop = nil
	}
}

// report asks the daemon what it knows of the cluster.
func (h *clustered) report() (c report.Cluster) {
	h.t.Helper()
	soon(h.t, "the daemon of "+h.name+" answers", func() bool { // it hangs up on who is slow
		var err error
		c, err = h.ask()
		return err == nil
	})
	return c
}

// route returns what the report says of an address, nil without a route.
func (h *clustered) route(prefix string) *report.Route {
	h.t.Helper()
	c := h.report()
	for i := range c.Routes {
		if c.Routes[i].Prefix == prefix {
			return &c.Routes[i]
		}
	}
	return nil
}

func (h *clustered) bind(a string) *skybus.Endpoint {
	h.t.Helper()
	e, err := h.dom.Bind(addr.MustParse(a))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = e.Close() })
	return e
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

// carry sends numbered messages and wants them to arrive, each once, in order. A route is known a moment before it is in
// force, and goes for a moment when its host's lease runs out because the machine stands still.
func carry(t *testing.T, from, to *skybus.Endpoint, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		soon(t, "a way to "+to.Addr().String(), func() bool {
			err := from.Send(t.Context(), to.Addr(), []byte(fmt.Sprint(i)))
			if err != nil && !errors.Is(err, skybus.ErrNoRoute) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	for i := first; i < first+n; i++ {
		m, err := to.Recv(ctx)
		if err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d: %q, %v", i, m.Data, err)
		}
	}
}

// Hosts that know only where etcd is find each other's addresses and names; what is bound on one is refused on the
// other; and without etcd all that is known goes on, also in a daemon that is started again.
func TestHostsFindEachOther(t *testing.T) {
	s := etcdtest.Start(t, 1, nil)
	a, b := joinCluster(t, "a", s.Endpoints()), joinCluster(t, "b", s.Endpoints())
	from, to := a.bind("0.0.1.1"), b.bind("0.0.2.1")
	for _, h := range []*clustered{a, b} {
		soon(t, h.name+" knows both addresses", func() bool { return h.route("0.0.1.1") != nil && h.route("0.0.2.1") != nil })
		soon(t, h.name+" knows both hosts", func() bool { return len(h.report().Hosts) == 2 })
	}
	carry(t, from, to, 0, 100)
	carry(t, to, from, 0, 100)

	if _, err := a.dom.Bind(addr.MustParse("0.0.2.1")); !errors.Is(err, skybus.ErrBoundElsewhere) || !strings.Contains(fmt.Sprint(err), "host b") {
		t.Errorf("to bind what b has bound: %v", err)
	}
	na, nb := clusterNames(t, a), clusterNames(t, b)
	owner := names.Owner{Addr: 0x101, Handle: 7}
	if st, err := na.Request(t.Context(), "bank", owner, 0); err != nil || st != names.Owns {
		t.Fatalf("%v, %v", st, err)
	}
	soon(t, "b knows the name", func() bool {
		list, err := nb.Owners(t.Context(), "bank")
		return err == nil && len(list) == 1 && list[0] == owner
	})
	soon(t, "a reports the engine, its member and the name", func() bool { // who stood still is stale for a moment
		c := a.report()
		return c.Engine.Mode == report.ModeEtcd && c.Engine.Reached && len(c.Engine.Members) == 1 && c.Names == 1 && !c.Stale
	})

	s.Stop()
	s.Members[0].Proxy.Cut()
	carry(t, from, to, 100, 100)
	soon(t, "b says that it is stale", func() bool { return b.report().Stale })
	b.end()
	b.start()
	if r := b.route("0.0.1.1"); r == nil || !b.report().FromDisk {
		t.Errorf("a daemon that begins without etcd has the route %+v of %+v", r, b.report())
	}
	carry(t, to, from, 100, 100)

	s.Members[0].Proxy.Mend()
	s.Restart()
	for _, h := range []*clustered{a, b} {
		soon(t, h.name+" hears etcd again", func() bool { return !h.report().Stale })
	}
	soon(t, "the name is still there", func() bool {
		list, err := nb.Owners(t.Context(), "bank")
		return err == nil && len(list) == 1 && list[0] == owner
	})
	carry(t, from, to, 200, 100)
	_ = to.Close()
	soon(t, "the address is free again", func() bool { return a.route("0.0.2.1") == nil })
	var err error
	soon(t, "every process sees that", func() bool { // a moment later
		to, err = a.dom.Bind(addr.MustParse("0.0.2.1"))
		return !errors.Is(err, skybus.ErrBoundElsewhere)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	carry(t, from, to, 300, 10)
}

// What a configuration wants and cannot have is said before anything runs.
func TestWhatTheConfigurationCannotHave(t *testing.T) {
	root := testutil.Dir(t)
	file := filepath.Join(t.TempDir(), "skybusd.yaml")
	base := fmt.Sprintf("domain: 1\nroot: %s\nrelay_key: 1\nhost: a\nlisten: 127.0.0.1:0\ninsecure: true\ncluster:\n", root)
	for text, want := range map[string]string{
		"  mode: managed\n  state: s\n":                                                                                   "engine: this host is in no cluster yet: want --cluster-init NAME",
		"  mode: managed\n  state: s\n  engine: {binary: /nowhere/etcd}\n":                                                "cluster.engine.binary: stat /nowhere/etcd",
		"  mode: etcd\n  endpoints: ['127.0.0.1:1']\n  insecure: true\n  state: " + file + "\n":                           "cluster: the folder for its state (cluster.state)",
		"  mode: etcd\n  endpoints: ['127.0.0.1:1']\n  tls: {ca: " + file + "}\n  state: s\n":                             "cluster: tls.ca: " + file + " has no certificate",
		"  mode: etcd\n  endpoints: ['127.0.0.1:1']\n  insecure: true\n  user: u\n  password_file: nowhere\n  state: s\n": "cluster: password_file: open ",
	} {
		if err := os.WriteFile(file, []byte(base+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := call(t, "--config", file); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("exit code %d, %s\nwant %s", code, errOut, want)
		}
	}
}

// clusterNames joins the names of the cluster on a host.
func clusterNames(t *testing.T, h *clustered) names.Registry {
	t.Helper()
	return joinNames(t, h.root, "games")
}
