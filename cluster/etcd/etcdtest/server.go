// SPDX-License-Identifier: Apache-2.0

// Package etcdtest runs etcd servers inside a test, or as processes of a test, with proxies in front that tests can cut.
package etcdtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// A Cluster is some servers of a test. Its methods are called by the test's goroutine.
type Cluster struct {
	t       testing.TB
	Members []*Member
	token   string
	adjust  func(*embed.Config)
	program string // that is run; empty: the servers are in this process
}

// A Member is one server. Clients reach it through a proxy.
type Member struct {
	c            *Cluster
	name, dir    string
	client, peer string // HOST:PORT
	e            *embed.Etcd
	process      *process
	Proxy        *Proxy
}

// Start starts n servers in a folder of the test, and ends them with it. adjust may change their
// configuration; nil: nothing.
func Start(t testing.TB, n int, adjust func(*embed.Config)) *Cluster {
	t.Helper()
	return start(&Cluster{t: t, token: "test", adjust: adjust}, n)
}

// StartProgram is Start with processes of an etcd program. Without one the test is skipped.
func StartProgram(t testing.TB, n int) *Cluster {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("no program etcd (Debian: etcd-server) in PATH: the servers of the other tests are in this process")
	}
	return start(&Cluster{t: t, token: "test", program: path}, n)
}

func start(c *Cluster, n int) *Cluster {
	c.t.Helper()
	dir := c.t.TempDir()
	c.t.Cleanup(func() {
		for _, m := range c.Members {
			m.Proxy.Close()
			m.Stop()
		}
	})
	for i := range n {
		m := &Member{c: c, name: fmt.Sprintf("m%d", i), dir: filepath.Join(dir, fmt.Sprintf("m%d", i)), client: free(c.t), peer: free(c.t)}
		m.Proxy = NewProxy(c.t, m.client)
		c.Members = append(c.Members, m)
	}
	c.each(func(m *Member) error { return m.start("new") })
	return c
}

// Endpoints are those of the proxies.
func (c *Cluster) Endpoints() (list []string) {
	for _, m := range c.Members {
		list = append(list, m.Proxy.Addr())
	}
	return list
}

// Direct are the endpoints of the servers themselves, which no proxy cuts.
func (c *Cluster) Direct() (list []string) {
	for _, m := range c.Members {
		list = append(list, m.client)
	}
	return list
}

// each does something with all members at once: a majority has to be there for one to be ready.
func (c *Cluster) each(f func(m *Member) error) {
	c.t.Helper()
	errs := make(chan error, len(c.Members))
	for _, m := range c.Members {
		go func() { errs <- f(m) }()
	}
	for range c.Members {
		if err := <-errs; err != nil {
			c.t.Fatal(err)
		}
	}
}

// Stop ends all servers; what they hold stays on disk.
func (c *Cluster) Stop() {
	c.t.Helper()
	c.each(func(m *Member) error {
		m.Stop()
		return nil
	})
}

// Restart starts all servers again.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.each(func(m *Member) error { return m.start("existing") })
}

// Wipe ends all servers, throws away what they hold, and starts them with nothing.
func (c *Cluster) Wipe() {
	c.t.Helper()
	c.Stop()
	c.each(func(m *Member) error {
		if err := os.RemoveAll(m.dir); err != nil {
			return err
		}
		return m.start("new")
	})
}

// Leader returns the index of the member that leads.
func (c *Cluster) Leader() int {
	c.t.Helper()
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for i, m := range c.Members {
			if m.e != nil && m.e.Server.Leader() == m.e.Server.MemberID() {
				return i
			}
		}
	}
	c.t.Fatalf("no member leads within %v", hang)
	return -1
}

// Etcd is the server itself; nil while it is stopped.
func (m *Member) Etcd() *embed.Etcd { return m.e }

// Stop ends the server at once, and its connections.
func (m *Member) Stop() {
	m.Proxy.serves(false)
	if m.e != nil {
		m.e.Close()
		m.e = nil
	}
	if m.process != nil {
		m.process.kill()
		m.process = nil
	}
}

// Restart starts the server again, with what it has on disk.
func (m *Member) Restart() error { return m.start("existing") }

func (m *Member) start(state string) (err error) {
	m.Proxy.serves(true)
	var all []string
	for _, other := range m.c.Members {
		all = append(all, other.name+"=http://"+other.peer)
	}
	initial := strings.Join(all, ",")
	if m.c.program == "" {
		m.e, err = m.embedded(state, initial)
	} else {
		m.process, err = m.run(state, initial)
	}
	if err != nil {
		return fmt.Errorf("etcd %s: %w", m.name, err)
	}
	return nil
}

// embedded starts a server in this process.
func (m *Member) embedded(state, initial string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = m.name, m.dir
	cfg.LogLevel, cfg.Logger, cfg.LogOutputs = "fatal", "zap", []string{"/dev/null"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls(m.client), urls(m.client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls(m.peer), urls(m.peer)
	cfg.InitialClusterToken, cfg.ClusterState, cfg.InitialCluster = m.c.token, state, initial
	cfg.TickMs, cfg.ElectionMs = tickMS, electionMS
	cfg.UnsafeNoFsync = true
	if m.c.adjust != nil {
		m.c.adjust(cfg)
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err = <-e.Err():
	case <-time.After(hang):
		err = fmt.Errorf("it is not ready within %v", hang)
	}
	e.Close()
	return nil, err
}

// How quick servers are to elect a leader, in milliseconds: a busy machine must not have them do it all the time.
const (
	tickMS     = 50
	electionMS = 500
)

// hang is how long a server may take to be ready.
const hang = 2 * time.Minute

func urls(at string) []url.URL { return []url.URL{{Scheme: "http", Host: at}} }

// free returns a loopback address with a port that nobody has. A server has it again and again; so it is none of those that the
// system gives to whoever wants any, 32768 to 60999 on Linux: somebody would have it by then.
func free(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal(err)
	return ""
}
