// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/relay"
)

// The hosts: the producer is at the near one, the consumer at the far one.
const (
	near = "east"
	far  = "west"
)

const (
	loopback = "127.0.0.1:0" // a free port

	// validCerts is as long as --keep may want them; the daemon warns of
	// certificates that expire within 30 days.
	validCerts = 90 * 24 * time.Hour

	// farLimit is how large the lanes may grow between two hosts, if there is
	// memory: what waits while a link is down is more than what waits for a
	// process. It may take five times as much, as old segments go after new ones
	// have come.
	farLimit  = 64 << 20
	plentiful = 8 * farLimit
)

// A host is a domain with its relay daemon. On one machine it is a folder.
type host struct {
	name   string
	role   string    // of its daemon
	addr   addr.Addr // that lives there
	nodes  string    // addresses of services that do, too, as a route has them
	root   string
	domain *skybus.Domain
}

// lane describes the lane that the messages go through, on this host.
func (h *host) lane() channel.LaneInfo { return laneOf(h.domain) }

// status is what the host's daemon says of itself.
func (h *host) status(key int) (*relay.Status, error) {
	return relay.Ask(channel.Dir(h.root, uint32(key)), "status")
}

// A pair is two hosts, near and far, and what is between them.
type pair struct {
	folder  string // of all that follows
	certs   string // folder of the certificates
	key     int    // of both domains
	hosts   [2]*host
	ledgers *ledgers
	cable   *cable
	program string // the daemons'
}

// newPair makes two hosts in a folder of their own below root.
func newPair(root string, key int, program string) (p *pair, err error) {
	p = &pair{program: program, hosts: [2]*host{
		{name: near, role: nearDaemon, addr: producerAddr, nodes: "0.0.1.*"},
		{name: far, role: farDaemon, addr: consumerAddr, nodes: "0.0.2.*"},
	}}
	p.key, err = claimKey(key, func(key int) error {
		p.folder = filepath.Join(root, fmt.Sprintf("skybus-demo-hosts-%d", key))
		return os.Mkdir(p.folder, 0o700)
	})
	if err != nil {
		return nil, err
	}
	if err := p.build(); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

func (p *pair) build() (err error) {
	if p.ledgers, err = newLedgers(p.folder); err != nil {
		return err
	}
	limit, err := p.laneLimit()
	if err != nil {
		return err
	}
	for _, h := range p.hosts {
		h.root = filepath.Join(p.folder, h.name)
		if err := os.Mkdir(h.root, 0o700); err != nil {
			return err
		}
		if h.domain, err = openDomain(h.root, p.key, limit); err != nil {
			return err
		}
	}
	p.certs = filepath.Join(p.folder, "certs")
	if err := certify(p.certs, near, far); err != nil {
		return err
	}
	p.cable, err = newCable()
	return err
}

// laneLimit leaves room for others where memory is short; then the producer
// waits the sooner.
func (p *pair) laneLimit() (uint64, error) {
	free, err := freeSpace(p.folder)
	if free < plentiful {
		return laneLimit, err
	}
	return farLimit, err
}

// certify makes an authority in a folder, and a certificate for each host.
func certify(folder string, hosts ...string) error {
	err := certs.MakeCA(folder)
	for _, h := range hosts {
		if err == nil {
			err = certs.MakeHost(folder, h, validCerts)
		}
	}
	return err
}

// arguments are those of the host's daemon, with the certificates of a folder, but for who its peers are.
func (h *host) arguments(key int, folder, listen string) []string {
	cert, keyFile := certs.HostFiles(folder, h.name)
	return []string{
		"--root", h.root, "-k", strconv.Itoa(key), "--relay-key", strconv.Itoa(key), "--host", h.name, "--listen", listen,
		"--ca", filepath.Join(folder, certs.CAFile), "--cert", cert, "--key-file", keyFile,
	}
}

// arguments are those of host i's daemon.
func (p *pair) arguments(i int) []string {
	own, other := p.hosts[i], p.hosts[1-i]
	return append(own.arguments(p.key, p.certs, loopback),
		"--peer", other.name+"="+p.cable.address(1-i), "--route", other.addr.String()+"="+other.name,
		"--route", other.nodes+"="+other.name)
}

// remove takes everything away. The processes are gone by then.
func (p *pair) remove() error {
	if p.cable != nil {
		p.cable.close()
	}
	var errs []error
	for _, h := range p.hosts {
		if h.domain != nil {
			errs = append(errs, h.domain.Close())
		}
	}
	p.ledgers.close()
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}
