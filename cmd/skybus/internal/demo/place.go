// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// firstKey is the first domain key that is tried where the user names none.
const firstKey = 9000

// laneLimit is how large the lane may grow: so much waits for a consumer that
// is down before the producer has to wait too.
const laneLimit = 16 << 20

// A place is where the part on one host happens: its domain and its ledgers.
type place struct {
	root    string
	key     int
	folder  string // of the ledgers
	ledgers *ledgers
	domain  *skybus.Domain
}

// newPlace makes a domain of its own under root: with that key, or with a free
// one if key is 0.
func newPlace(root string, key int) (p *place, err error) {
	p = &place{root: root}
	if p.key, err = claimKey(key, p.claim); err != nil {
		return nil, err
	}
	if err := p.build(); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// claimKey calls claim with key, or, if that is 0, with one after the other until
// it finds one that nobody has.
func claimKey(key int, claim func(key int) error) (claimed int, err error) {
	if key != 0 {
		return key, claim(key)
	}
	for key = firstKey; ; key++ {
		if err := claim(key); !errors.Is(err, os.ErrExist) {
			return key, err
		}
	}
}

// claim makes the folder of the ledgers, which nobody else then has: two
// demonstrations do not take the same domain.
func (p *place) claim(key int) error {
	dir := channel.Dir(p.root, uint32(key))
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("domain %d: the demonstration makes its own: %w", key, os.ErrExist)
	}
	p.folder = filepath.Join(filepath.Dir(dir), fmt.Sprintf("skybus-demo-%d", key))
	return os.Mkdir(p.folder, 0o700)
}

func (p *place) build() (err error) {
	if p.ledgers, err = newLedgers(p.folder); err != nil {
		return err
	}
	p.domain, err = openDomain(p.root, p.key, laneLimit)
	return err
}

// openDomain makes a domain whose lanes grow up to limit, in bytes.
func openDomain(root string, key int, limit uint64) (*skybus.Domain, error) {
	return skybus.Open(key, skybus.Options{Root: root, AllowUnknown: true, Limits: skybus.Limits{GrowBytes: limit}})
}

// remove takes everything away. The processes are gone by then.
func (p *place) remove() error {
	var errs []error
	if p.domain != nil {
		errs = append(errs, p.domain.Table().Destroy(true), p.domain.Close())
	}
	p.ledgers.close()
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}

// lane describes the lane that the messages go through.
func (p *place) lane() channel.LaneInfo { return laneOf(p.domain) }

func laneOf(d *skybus.Domain) channel.LaneInfo {
	l, _ := d.Table().Lane(channel.Pair{Src: producerAddr, Dst: consumerAddr})
	return l
}

// lastSeq returns the sequence of the last message sent through a lane, 0 for none.
func lastSeq(l channel.LaneInfo) uint64 { return max(l.NextSeq, 1) - 1 }

// inLane returns how many messages are in a lane; if it could not be looked into,
// there are some.
func inLane(l channel.LaneInfo) uint64 {
	if l.Err != nil {
		return 1
	}
	return l.Messages
}
