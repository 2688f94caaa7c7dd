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

// A place is where a demonstration happens: its domain and its ledgers.
type place struct {
	root, ledgers string
	key           int
	domain        *skybus.Domain
	sent, seen    *os.File
}

// newPlace makes a domain of its own under root: with that key, or with a free
// one if key is 0.
func newPlace(root string, key int) (p *place, err error) {
	p = &place{root: root, key: key}
	if key == 0 {
		p.key = firstKey
	}
	for {
		err = p.claim()
		if key != 0 || !errors.Is(err, os.ErrExist) {
			break
		}
		p.key++
	}
	if err != nil {
		return nil, err
	}
	if err := p.build(); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// claim makes the folder of the ledgers, which nobody else then has: two
// demonstrations do not take the same domain.
func (p *place) claim() error {
	dir := channel.Dir(p.root, uint32(p.key))
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("domain %d: the demonstration makes its own: %w", p.key, os.ErrExist)
	}
	p.ledgers = filepath.Join(filepath.Dir(dir), fmt.Sprintf("skybus-demo-%d", p.key))
	return os.Mkdir(p.ledgers, 0o700)
}

func (p *place) build() (err error) {
	s := spec{Ledgers: p.ledgers}
	sent, err := openSent(s.sentPath())
	if err != nil {
		return err
	}
	sent.close()
	seen, err := openSeen(s.seenPath())
	if err != nil {
		return err
	}
	seen.close()
	if p.sent, err = os.Open(s.sentPath()); err != nil {
		return err
	}
	if p.seen, err = os.Open(s.seenPath()); err != nil {
		return err
	}
	p.domain, err = skybus.Open(p.key, skybus.Options{
		Root: p.root, AllowUnknown: true, Limits: skybus.Limits{GrowBytes: laneLimit},
	})
	return err
}

// remove takes everything away. The processes are gone by then.
func (p *place) remove() error {
	var errs []error
	if p.domain != nil {
		errs = append(errs, p.domain.Table().Destroy(true), p.domain.Close())
	}
	for _, f := range []*os.File{p.sent, p.seen} {
		if f != nil {
			f.Close()
		}
	}
	return errors.Join(append(errs, os.RemoveAll(p.ledgers))...)
}

// lane describes the lane that the messages go through.
func (p *place) lane() channel.LaneInfo {
	l, _ := p.domain.Table().Lane(channel.Pair{Src: producerAddr, Dst: consumerAddr})
	return l
}
