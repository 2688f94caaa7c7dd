// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/netlab"
	"github.com/skybus-io/skybus/internal/testutil"
)

const (
	// timeVariable sets for how long things go wrong: 3m, 1h. go test wants a
	// -timeout of some minutes more.
	timeVariable = "SKYBUS_HOSTS_TIME"
	usualTime    = 20 * time.Second
)

// TestHosts: three hosts, every one sends to both others, and for some time
// everything goes wrong that can. Afterwards, when everybody is up and the network
// is whole, everything arrives, once and in order.
func TestHosts(t *testing.T) {
	t.Run("TLS", func(t *testing.T) { runHosts(t, makeCerts(t)) })
	t.Run("insecure", func(t *testing.T) { runHosts(t, "") })
}

// runHosts runs the test for half of the time.
func runHosts(t *testing.T, certs string) {
	total := usualTime
	if s := os.Getenv(timeVariable); s != "" {
		var err error
		if total, err = time.ParseDuration(s); err != nil || total <= 0 {
			t.Fatalf("%s=%q: want a time such as 3m", timeVariable, s)
		}
	}
	testutil.NoLeaks(t)
	lab := netlab.New(t, hostNames...)
	c := newCluster(t, lab, daemonPath(t), certs)
	faults := schedule(rand.New(rand.NewPCG(testutil.Seed(t), 2)), total/2, len(hostNames), len(c.vessels))
	c.up()
	c.suffer(events(faults))
	c.mend()
	c.settle(c.watch)
	c.stop()
	c.judge()
	t.Logf("%d faults in %v", len(faults), total/2)
}

// A cluster is a fleet with its network and daemons.
type cluster struct {
	*fleet
	lab     *netlab.Lab
	daemons []*daemon
	start   time.Time
}

func newCluster(t *testing.T, lab *netlab.Lab, program, certs string) *cluster {
	t.Helper()
	p := &plan{Dir: t.TempDir(), Seed: testutil.Seed(t), Most: 48 << 10, Pace: 20 * time.Millisecond}
	for range hostNames {
		p.Roots = append(p.Roots, testutil.Dir(t))
	}
	c := &cluster{lab: lab, start: time.Now()}
	c.fleet = newFleet(t, p, func(host int) []killtest.StartOption {
		return []killtest.StartOption{killtest.StartOption(lab.Enter(hostNames[host]))}
	})
	c.trouble = func() string {
		text := []string{p.violations()}
		for _, d := range c.daemons {
			text = append(text, d.tail())
		}
		return strings.Join(text, "\n")
	}
	for host := range hostNames {
		d := newDaemon(t, lab, program, p, host, certs)
		c.daemons = append(c.daemons, d)
		d.start()
	}
	return c
}

// watch fails the test if a daemon has ended by itself.
func (c *cluster) watch() {
	c.t.Helper()
	for _, d := range c.daemons {
		if err := d.look(); err != nil {
			c.fatal("%v", err)
		}
	}
}

// suffer lets the faults happen, each at its time.
func (c *cluster) suffer(list []event) {
	c.t.Helper()
	c.start = time.Now()
	for _, e := range list {
		for {
			c.look()
			c.watch()
			wait := e.at - time.Since(c.start)
			if wait <= 0 {
				break
			}
			time.Sleep(min(wait, 20*time.Millisecond))
		}
		if e.begin {
			c.t.Log(e.fault)
			c.begin(&e.fault)
		} else {
			c.end(&e.fault)
		}
	}
}

// begin makes a fault.
func (c *cluster) begin(f *fault) {
	c.t.Helper()
	switch f.kind {
	case badWire:
		c.lab.Netem(hostNames[f.host], f.words...)
	case partitioned:
		c.lab.Partition(hostNames[f.host])
	case oneWay:
		c.lab.OneWay(hostNames[f.host])
	case cut:
		c.lab.Cut(hostNames[f.host], hostNames[f.other])
	case daemonDead:
		c.daemons[f.host].kill()
	case daemonStopped:
		c.daemons[f.host].signal(syscall.SIGSTOP)
	case vesselDead:
		c.vessels[f.host].kill()
	case vesselStopped:
		c.vessels[f.host].signal(syscall.SIGSTOP)
	}
}

// end mends what a fault has made.
func (c *cluster) end(f *fault) {
	c.t.Helper()
	switch f.kind {
	case badWire:
		c.lab.Calm(hostNames[f.host])
	case partitioned, oneWay, cut:
		c.lab.Heal(hostNames[f.host])
	case daemonDead, daemonStopped:
		d := c.daemons[f.host]
		if f.killed {
			d.kill()
		}
		d.signal(syscall.SIGCONT)
		d.start()
	case vesselDead, vesselStopped:
		v := c.vessels[f.host]
		if f.killed {
			v.kill()
		}
		v.signal(syscall.SIGCONT)
		v.start()
	}
}

// mend makes the network whole and starts all daemons anew.
func (c *cluster) mend() {
	c.t.Helper()
	for _, name := range hostNames {
		c.lab.Calm(name)
		c.lab.Heal(name)
	}
	c.stop()
	for _, d := range c.daemons {
		d.start()
	}
}

// stop ends the daemons that are up, the clean way.
func (c *cluster) stop() {
	c.t.Helper()
	for _, d := range c.daemons {
		if err := d.stop(); err != nil {
			c.fatal("%v", err)
		}
	}
}
