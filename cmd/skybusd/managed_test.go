// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/engine"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/relay"
)

// TestMain has copies of the test be daemons and, as their children, engines.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		main()
	}
	killtest.Main(map[string]killtest.Role{"daemon": daemonRole})
	os.Exit(m.Run())
}

func daemonRole(args []byte) error {
	line, err := killtest.Args[[]string](args)
	if err != nil {
		return err
	}
	os.Args = append(os.Args[:1], line...)
	main()
	return nil
}

// A managedHost is a daemon in a process of its own, on a loopback address of its own.
type managedHost struct {
	t                         *testing.T
	name, ip, root, state, ca string
	p                         *killtest.Process
}

// A fleet makes hosts of one authority.
type fleet struct {
	t     *testing.T
	certs string
	n     int
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, certs: filepath.Join(t.TempDir(), "certs")}
	if err := certs.MakeCA(f.certs); err != nil {
		t.Fatal(err)
	}
	return f
}

// host makes a host, whose daemon does not run yet.
func (f *fleet) host(name string) *managedHost {
	f.t.Helper()
	if err := certs.MakeHost(f.certs, name, 24*time.Hour); err != nil {
		f.t.Fatal(err)
	}
	f.n++
	pid := os.Getpid() // other tests have other addresses
	return &managedHost{
		t: f.t, name: name, ip: fmt.Sprintf("127.77.%d.%d", pid>>5&0xff, pid&0x1f<<3|f.n), root: testutil.Dir(f.t),
		state: filepath.Join(f.t.TempDir(), "state"), ca: f.certs,
	}
}

func (h *managedHost) link() string { return h.ip + ":7100" }

// start starts the daemon and waits until it serves its domain.
func (h *managedHost) start(flags ...string) {
	h.t.Helper()
	cert, key := certs.HostFiles(h.ca, h.name)
	h.p = killtest.Start(h.t, "daemon", append([]string{
		"-k", "1", "--root", h.root, "--state", h.state, "--host", h.name, "--listen", h.link(),
		"--ca", filepath.Join(h.ca, certs.CAFile), "--cert", cert, "--key-file", key,
	}, flags...))
	soon(h.t, "the daemon of "+h.name+" serves its cluster", func() bool {
		if h.p.Gone() {
			h.t.Fatalf("the daemon of %s has ended: %v", h.name, h.p.Wait())
		}
		_, err := h.report()
		return err == nil
	})
}

// end has the daemon end in good order.
func (h *managedHost) end() {
	h.t.Helper()
	h.p.Signal(syscall.SIGTERM)
	if err := h.p.Wait(); err != nil {
		h.t.Error(err)
	}
}

func (h *managedHost) report() (c report.Cluster, err error) {
	ctx, stop := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer stop()
	err = relay.AskFor(ctx, channel.Dir(h.root, 1), report.AskCluster, nil, &c)
	return c, err
}

// replace asks the daemon to take the place of a member.
func (h *managedHost) replace(old string) error {
	ctx, stop := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer stop()
	return relay.AskFor(ctx, channel.Dir(h.root, 1), report.AskReplace, report.Replace{Old: old}, new(any))
}

// mayNotReplace wants the host to be told why it cannot take the place of a member. A slow machine may be told first
// that it took too long.
func (h *managedHost) mayNotReplace(old, want string) {
	h.t.Helper()
	soon(h.t, fmt.Sprintf("%s is told of %s: %s", h.name, old, want), func() bool {
		err := h.replace(old)
		if err == nil {
			h.t.Fatalf("%s replaces %s, want %q", h.name, old, want)
		}
		return strings.Contains(err.Error(), want)
	})
}

// takes has the host take the place of a member. A slow machine may be told that it took too long, while the old
// member is gone, or this one here.
func (h *managedHost) takes(old string) {
	h.t.Helper()
	soon(h.t, h.name+" takes the place of "+old, func() bool {
		err := h.replace(old)
		return err == nil || strings.Contains(err.Error(), engine.ErrHasMember.Error()) || strings.Contains(err.Error(), engine.ErrNoMember.Error())
	})
}

// engine waits until the host has a member that runs, and returns its process.
func (h *managedHost) engine() (pid int) {
	h.t.Helper()
	soon(h.t, h.name+" runs an engine", func() bool {
		c, err := h.report()
		pid = c.Engine.ChildPID
		return err == nil && pid != 0
	})
	return pid
}

// voters waits until the host sees that these members vote and are well, and no other is there; it returns who leads.
func (h *managedHost) voters(want ...string) (leader string) {
	h.t.Helper()
	last := report.Cluster{}
	defer func() {
		if h.t.Failed() {
			h.t.Logf("host %s sees %+v", h.name, last.Engine)
		}
	}()
	soon(h.t, fmt.Sprintf("%s sees the voters %v", h.name, want), func() bool {
		c, err := h.report()
		if err != nil {
			return false
		}
		last, leader = c, ""
		well := map[string]bool{}
		for _, m := range c.Engine.Members {
			well[m.Name] = m.Healthy && !m.Learner
			if m.Leader {
				leader = m.Name
			}
		}
		for _, name := range want {
			if !well[name] {
				return false
			}
		}
		return len(c.Engine.Members) == len(want) && leader != "" && c.Engine.Reached
	})
	return leader
}

// isGone says whether a process is not there, or only its name.
func isGone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// aName is one that is asked for on one host, and has to be seen on others.
type aName struct {
	t     *testing.T
	views map[string]names.Registry
	next  int
}

// on opens the host's view of the names.
func (a *aName) on(h *managedHost) { a.views[h.name] = joinNames(a.t, h.root, "games") }

// new registers a name by a host; all others see it.
func (a *aName) new(by *managedHost) {
	a.t.Helper()
	a.next++
	name, owner := fmt.Sprintf("name%d", a.next), names.Owner{Addr: addr.Addr(0x100 + a.next), Handle: 7}
	soon(a.t, by.name+" registers "+name, func() bool {
		ctx, stop := context.WithTimeout(a.t.Context(), 30*time.Second)
		defer stop()
		_, err := a.views[by.name].Request(ctx, name, owner, 0)
		return err == nil
	})
	for host, view := range a.views {
		soon(a.t, host+" sees "+name, func() bool {
			list, err := view.Owners(a.t.Context(), name)
			return err == nil && len(list) == 1 && list[0] == owner
		})
	}
}

// Three hosts make a cluster with nothing but each other's link address; it goes on while engines and daemons are killed,
// a disk is wiped, and a host is lost; what was lost is replaced.
func TestManagedCluster(t *testing.T) {
	f := newFleet(t)
	a, b, c, d := f.host("a"), f.host("b"), f.host("c"), f.host("d")
	a.start("--cluster-init", "games")
	a.voters("a")
	b.start("--cluster-join", a.link())
	c.start("--cluster-join", b.link())
	hosts := map[string]*managedHost{"a": a, "b": b, "c": c}
	ns := &aName{t: t, views: map[string]names.Registry{}}
	for _, h := range hosts {
		ns.on(h)
		h.voters("a", "b", "c")
	}
	ns.new(b)

	// An engine is killed, the one that leads: another leads, and its daemon starts it again.
	leader := hosts[a.voters("a", "b", "c")]
	before := leader.engine()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ns.new(c)
	soon(t, "the engine runs again", func() bool { return leader.engine() != before })
	b.voters("a", "b", "c")

	// A daemon is killed and takes its engine along; started again it needs no flag.
	before = b.engine()
	b.p.Kill()
	soon(t, "the engine of a killed daemon is gone", func() bool { return isGone(before) })
	b.start()
	b.voters("a", "b", "c")
	ns.new(a)

	// A fourth host is a client of the engine, and a wiped one; it may take its own place.
	d.start("--cluster-join", b.link())
	ns.on(d)
	before = c.engine()
	c.p.Kill()
	soon(t, "the engine is gone that writes to the disk", func() bool { return isGone(before) })
	if err := os.RemoveAll(c.state); err != nil {
		t.Fatal(err)
	}
	c.start("--cluster-join", a.link())
	ns.new(d)
	d.mayNotReplace("a", "only a lost member is replaced")
	b.mayNotReplace("c", "has a member of the engine already")
	d.mayNotReplace("e", `no such member of the engine: "e"; there are a, b, c`)
	c.takes("c")
	c.voters("a", "b", "c")

	// A host is lost, and the fourth one takes its place. When it is back it is a client.
	a.end()
	d.takes("a")
	d.voters("b", "c", "d")
	a.start()
	soon(t, "the host that was replaced has put its data away", func() bool {
		_, err := os.Stat(filepath.Join(a.state, "engine.old", "member", "wal"))
		return err == nil
	})
	a.voters("b", "c", "d")
	ns.new(a)
	var last report.Cluster
	defer func() {
		if t.Failed() {
			t.Logf("host a says %+v", last)
		}
	}()
	soon(t, "host a is one of four, and a client", func() bool { // a host that was slow may be missed for a moment
		var err error
		last, err = a.report()
		return err == nil && last.Engine.ChildPID == 0 && last.Engine.Child == "" && last.Name == "games" && len(last.Hosts) == 4
	})
	for _, h := range []*managedHost{a, b, c, d} {
		h.end()
	}
}

// linkTLS is how a host connects.
func linkTLS(t *testing.T, dir, host string) *relay.TLS {
	t.Helper()
	cert, key := certs.HostFiles(dir, host)
	id, err := certs.Load(filepath.Join(dir, certs.CAFile), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &relay.TLS{Client: id.Client}
}

// All hosts of a cluster are killed at once, and find each other again by what they remember.
func TestManagedClusterIsStartedAgain(t *testing.T) {
	f := newFleet(t)
	a, b := f.host("a"), f.host("b")
	a.start("--cluster-init", "games")
	b.start("--cluster-join", a.link())
	pids := []int{a.engine(), b.engine()}
	a.p.Kill()
	b.p.Kill()
	soon(t, "no engine is left", func() bool { return isGone(pids[0]) && isGone(pids[1]) })
	b.start() // first, and alone it is none
	a.start("--cluster-init", "games")
	ns := &aName{t: t, views: map[string]names.Registry{}}
	ns.on(a)
	ns.on(b)
	ns.new(b)
	soon(t, "two hosts have a voter and a learner", func() bool {
		c, err := b.report()
		return err == nil && len(c.Engine.Members) == 2 && strings.Contains(c.Engine.Child, "learner")
	})
	// Only a host of the authority is told of the cluster, and only as itself.
	stranger := newFleet(t)
	stranger.host("b")
	for _, test := range []struct{ dir, name, want string }{
		{b.ca, "zone", `it calls itself "zone", its certificate "b"`},
		{stranger.certs, "b", "not trusted"},
	} {
		secured := linkTLS(t, test.dir, "b")
		soon(t, "who joins as "+test.name+" is told: "+test.want, func() bool { // the daemon hangs up on who is slow
			_, err := relay.Join(t.Context(), a.link(), test.name, secured)
			if err == nil {
				t.Fatalf("to join as %s: no error, want %q", test.name, test.want)
			}
			return strings.Contains(err.Error(), test.want)
		})
	}
	a.end()
	b.end()

	// Another name is no other cluster.
	h := &managedHost{t: t, name: a.name, ip: a.ip, root: a.root, state: a.state, ca: a.ca}
	cert, key := certs.HostFiles(h.ca, h.name)
	code, _, text := call(t, "-k", "1", "--root", h.root, "--state", h.state, "--host", h.name, "--listen", h.link(),
		"--ca", filepath.Join(h.ca, certs.CAFile), "--cert", cert, "--key-file", key, "--cluster-init", "other")
	if code != 1 || !strings.Contains(text, `this host is in cluster "games", not "other"`) {
		t.Errorf("another name: exit code %d: %s", code, text)
	}
}

// Whoever cannot join is told why, at once where that will not change.
func TestWhoCannotJoin(t *testing.T) {
	root, other := testutil.Dir(t), testutil.Dir(t)
	stop, _ := start(t, root, "--host", "a", "--listen", "127.0.0.1:0")
	defer stop()
	at := status(t, root).Listen
	state := filepath.Join(t.TempDir(), "state")
	// A daemon without a cluster may be in one later: this goes on until it is ended.
	ctx, cancel := context.WithCancel(t.Context())
	log, code := &lockedBuffer{}, make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-k", "1", "--root", other, "--host", "b", "--listen", "127.0.0.1:0", "--insecure", "--state", state, "--cluster-join", at}, log, log)
	}()
	soon(t, "the log says why", func() bool { return strings.Contains(log.String(), "no managed cluster: host \\\"a\\\"") })
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d: %s", got, log)
	}
}
