// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/relay"
)

const middle = "north" // a third host

const (
	// fleetPatience is for each thing that is waited for: many processes take part in it.
	fleetPatience = 3 * time.Minute
	fleetPoll     = 20 * time.Millisecond
	asking        = 10 * time.Second // that a daemon may take to say what it knows
)

// A fleet are three hosts that make a cluster by themselves, and the stage that they are on.
type fleet struct {
	*stage
	program string // the daemons'
	folder  string // of the domains and the certificates
	state   string // of the engines' data: not in memory, as they are larger than what they hold
	hosts   [3]*host
}

// newFleet makes three hosts, whose daemons do not run yet.
func newFleet(ctx context.Context, o *Options, program string) (f *fleet, err error) {
	f = &fleet{program: program}
	key, err := claimKey(o.Key, func(key int) error {
		f.folder = filepath.Join(o.Root, fmt.Sprintf("skybus-demo-cluster-%d", key))
		return os.Mkdir(f.folder, 0o700)
	})
	if err != nil {
		return nil, err
	}
	f.stage = newStage(ctx, o, &ledgers{}, key) // the customer has the account
	if err := f.build(); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

func (f *fleet) build() (err error) {
	if f.state, err = os.MkdirTemp("", "skybus-demo-cluster-"); err != nil {
		return err
	}
	if err := certify(f.certs(), near, middle, far); err != nil {
		return err
	}
	for i, name := range []string{near, middle, far} {
		h := &host{name: name, role: "skybusd of " + name, root: filepath.Join(f.folder, name)}
		f.hosts[i] = h
		if err := os.Mkdir(h.root, 0o700); err != nil {
			return err
		}
		if h.domain, err = openDomain(h.root, f.key, laneLimit); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) certs() string { return filepath.Join(f.folder, "certs") }

// link is where the daemon of host i listens; its engine is at the two ports behind that. Each host
// has a loopback address of its own, which no other demonstration has at this time.
func (f *fleet) link(i int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:7100", pid>>14&0xff, pid>>6&0xff, pid<<2&0xff|(i+1))
}

// startDaemon starts host i's daemon.
func (f *fleet) startDaemon(i int, flags ...string) error {
	h := f.hosts[i]
	d, err := startDaemon(f.program, append(append(h.arguments(f.key, f.certs(), f.link(i)), "--state", filepath.Join(f.state, h.name)), flags...))
	if err != nil {
		return err
	}
	f.parts[h.role] = d
	return nil
}

// ask asks a host for what it knows of the cluster.
func (f *fleet) ask(h *host) (c report.Cluster, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, asking)
	defer cancel()
	err = relay.AskFor(ctx, channel.Dir(h.root, uint32(f.key)), report.AskCluster, nil, &c)
	return c, err
}

// soon waits until so has no error.
func (f *fleet) soon(what string, so func() error) error {
	var missing error
	err := f.wait(fleetPatience, what, func() (bool, error) {
		if missing = so(); missing == nil {
			return true, nil
		}
		return false, f.sleep(fleetPoll)
	})
	if err != nil && f.ctx.Err() == nil {
		return fmt.Errorf("%w; at last: %w", err, missing)
	}
	return err
}

// known says whether each host knows all of them.
func (f *fleet) known() error {
	for _, h := range f.hosts {
		c, err := f.ask(h)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.name, err)
		}
		n := 0
		for i := range c.Hosts {
			if s := c.Hosts[i].State; s == report.HostHere || s == report.HostKnown {
				n++
			}
		}
		if n != len(f.hosts) {
			return fmt.Errorf("host %s knows %d hosts", h.name, n)
		}
	}
	return nil
}

// A leader is the host whose member of the engine leads, and its process.
type leader struct {
	host *host
	pid  int
}

// leads returns who leads, once all members vote and are well.
func (f *fleet) leads() (l leader, err error) {
	c, err := f.ask(f.hosts[0])
	if err != nil {
		return l, err
	}
	voters := 0
	for i := range c.Engine.Members {
		m := &c.Engine.Members[i]
		if m.Healthy && !m.Learner {
			voters++
		}
		for _, h := range f.hosts {
			if m.Leader && h.name == m.Name {
				l.host = h
			}
		}
	}
	if voters != len(f.hosts) || l.host == nil {
		return l, fmt.Errorf("the engine has %d members that vote and are well, of %d; one leads: %t %s", voters, len(f.hosts), l.host != nil, c.Engine.Error)
	}
	if c, err = f.ask(l.host); err != nil {
		return l, err
	}
	if l.pid = c.Engine.ChildPID; l.pid == 0 {
		err = fmt.Errorf("the member of host %s does not run", l.host.name)
	}
	return l, err
}

// stopAll ends the processes: those of services at once; the daemons in good order, so that their
// engines end with them, and one after the other, so that a leader finds somebody to hand over to.
func (f *fleet) stopAll() (err error) {
	for _, h := range f.hosts {
		if f.parts[h.role] != nil {
			err = errors.Join(err, f.stop(h.role))
		}
	}
	f.killAll()
	return err
}

// remove takes everything away. The processes are gone by then.
func (f *fleet) remove() error {
	var errs []error
	for _, h := range f.hosts {
		if h != nil && h.domain != nil {
			errs = append(errs, h.domain.Close())
		}
	}
	if f.state != "" {
		errs = append(errs, os.RemoveAll(f.state))
	}
	return errors.Join(append(errs, os.RemoveAll(f.folder))...)
}
