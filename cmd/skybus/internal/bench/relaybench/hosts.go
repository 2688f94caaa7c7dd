// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/certs"
)

const (
	domainKey = 1 // as in ipcbench: its parts open it
	relayKey  = 1
	linking   = 15 * time.Second // until both hosts see each other
	loopback  = "127.0.0.1"
	valid     = 24 * time.Hour // certificates; they go with the measurement
)

// hostNames are the two hosts: the first process is at a, the second at b.
var hostNames = []string{"a", "b"}

// routes are the addresses behind each host: those of ipcbench's two processes,
// and those of the lanes that RunMemory fills.
var routes = [...][]string{{"0.0.0.1", "0.0.1.*"}, {"0.0.0.2", "0.0.2.*"}}

// hosts are two domains below one folder, with a daemon each.
type hosts struct {
	dir     string
	roots   [2]string
	daemons [2]*daemon
	links   func(ctx context.Context, root string) error // nil when all are up
}

// onHosts makes two hosts that see each other, runs do, and removes them. limits
// are those of each domain.
func (o *Options) onHosts(ctx context.Context, limits [2]skybus.Limits, do func(h *hosts) error) (err error) {
	dir, err := os.MkdirTemp(o.Root, "skybus-bench-")
	if err != nil {
		return err
	}
	h := &hosts{dir: dir, links: o.linksUp}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	defer h.kill()
	if err := o.start(h, limits); err != nil {
		return err
	}
	if err := h.awaitLinks(ctx); err != nil {
		return err
	}
	return do(h)
}

// start makes the domains and starts the daemons.
func (o *Options) start(h *hosts, limits [2]skybus.Limits) error {
	err := both(func(i int) error {
		h.roots[i] = filepath.Join(h.dir, hostNames[i])
		return makeDomain(h.roots[i], limits[i])
	})
	if err != nil {
		return err
	}
	at, err := freePorts()
	if err != nil {
		return err
	}
	proofs, err := o.certify(h.dir)
	if err != nil {
		return err
	}
	return both(func(i int) (err error) {
		h.daemons[i], err = startDaemon(o.Daemon, append(h.arguments(i, at), proofs[i]...))
		return err
	})
}

// makeDomain makes the domain before the daemon would, which knows no limits. Its
// lanes are the measurement's own business: what is addressed need not be bound.
func makeDomain(root string, limits skybus.Limits) error {
	if err := os.Mkdir(root, 0o700); err != nil {
		return err
	}
	d, err := skybus.Open(domainKey, skybus.Options{Root: root, AllowUnknown: true, Limits: limits})
	if err != nil {
		return err
	}
	return d.Close()
}

// freePorts returns two addresses of loopback that nobody listens at. Somebody
// else may take one before the daemon does; the daemon then says so and ends.
func freePorts() (at [2]string, err error) {
	for i := range at {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return at, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // not before both are found
		at[i] = l.Addr().String()
	}
	return at, nil
}

// arguments are those of host i's daemon, but for what it proves itself with.
func (h *hosts) arguments(i int, at [2]string) []string {
	other := 1 - i
	args := []string{
		"--root", h.roots[i], "-k", strconv.Itoa(domainKey), "--relay-key", strconv.Itoa(relayKey),
		"--host", hostNames[i], "--listen", at[i], "--peer", hostNames[other] + "=" + at[other], "--log", "text",
	}
	for _, prefix := range routes[other] {
		args = append(args, "--route", prefix+"="+hostNames[other])
	}
	return args
}

// certify returns the arguments that make each daemon prove itself, or go without.
func (o *Options) certify(dir string) (args [2][]string, err error) {
	if !o.TLS {
		return [2][]string{{"--insecure"}, {"--insecure"}}, nil
	}
	dir = filepath.Join(dir, "certificates")
	if err := certs.MakeCA(dir); err != nil {
		return args, fmt.Errorf("make certificates: %w", err)
	}
	for i, host := range hostNames {
		if err := certs.MakeHost(dir, host, valid); err != nil {
			return args, fmt.Errorf("make certificates: %w", err)
		}
		cert, key := certs.HostFiles(dir, host)
		args[i] = []string{"--ca", filepath.Join(dir, certs.CAFile), "--cert", cert, "--key-file", key}
	}
	return args, nil
}

// awaitLinks returns when each host sees the other.
func (h *hosts) awaitLinks(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, linking)
	defer cancel()
	for {
		if err := h.alive(); err != nil {
			return err
		}
		err := both(func(i int) error { return h.links(limit, h.roots[i]) })
		if err == nil {
			return nil
		}
		select {
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			said := both(func(i int) error { return errors.New("daemon" + h.daemons[i].said()) })
			return fmt.Errorf("no link between the daemons after %v: %w", linking, errors.Join(err, said))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// alive returns an error if a daemon has ended.
func (h *hosts) alive() error { return both(func(i int) error { return h.daemons[i].alive() }) }

// stop ends both daemons, which must go well.
func (h *hosts) stop() error { return both(func(i int) error { return h.daemons[i].stop(patience) }) }

// kill ends what still runs.
func (h *hosts) kill() {
	for _, d := range h.daemons {
		if d != nil {
			d.kill()
		}
	}
}

// busy is how many processors each daemon kept busy. Both must have ended.
func (h *hosts) busy() (a, b float64) { return h.daemons[0].busy(), h.daemons[1].busy() }
