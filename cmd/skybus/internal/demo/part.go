// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
	"github.com/skybus-io/skybus/names"
)

// The processes. The relay daemons are there in the part between two hosts only, the shops
// while services are shown.
const (
	producer   = "producer"
	consumer   = "consumer"
	nearDaemon = "skybusd of " + near
	farDaemon  = "skybusd of " + far
	nearShop   = "shop"
	farShop    = "shop of " + far
	firstShop  = "first shop"  // in the cluster: it has the name in the beginning,
	secondShop = "second shop" // and this one gets it
)

// roles are those that are there all the time.
var roles = []string{producer, consumer, nearDaemon, farDaemon}

// The addresses of the two that exchange messages.

var (
	producerAddr = addr.MustParse("0.0.0.1")
	consumerAddr = addr.MustParse("0.0.0.2")
)

// spec is what one of the processes has to do.
type spec struct {
	Role    string
	Root    string // of the domain
	Key     int
	Ledgers string // folder of the ledgers
	Rate    int    // messages a second; 0: as fast as it goes
}

func (s *spec) sentPath() string { return filepath.Join(s.Ledgers, "sent") }
func (s *spec) seenPath() string { return filepath.Join(s.Ledgers, "seen") }

// handler handles one message.
type handler func(m skybus.Message) error

// Part is what the processes do that Run starts.
func Part() error { return part(between{}) }

// between lets tests put something between the bus and who receives; nil is nothing.
type between struct {
	consumer func(handler) handler
	shop     func(actor.Handler) actor.Handler
}

func (b between) ofConsumer(h handler) handler {
	if b.consumer == nil {
		return h
	}
	return b.consumer(h)
}

func (b between) ofShop(h actor.Handler) actor.Handler {
	if b.shop == nil {
		return h
	}
	return b.shop(h)
}

func part(b between) error {
	var s spec
	ctx, err := child.Begin(&s)
	if err != nil {
		return err
	}
	d, err := skybus.Open(s.Key, skybus.Options{Root: s.Root, MustExist: true})
	if err != nil {
		return err
	}
	defer d.Close()
	switch s.Role {
	case producer:
		err = s.produce(ctx, d)
	case consumer:
		err = s.consume(ctx, d, b.ofConsumer)
	case nearShop:
		err = trade(ctx, d, shopAddr, b.ofShop)
	case farShop:
		err = trade(ctx, d, farShopAddr, b.ofShop)
	case firstShop:
		err = tradeInCluster(ctx, d, firstShopAddr, names.AllowReplacement|names.NoQueue, b.ofShop)
	case secondShop:
		err = tradeInCluster(ctx, d, secondShopAddr, names.Replace|names.AllowReplacement|names.NoQueue, b.ofShop)
	default:
		err = fmt.Errorf("role %q", s.Role)
	}
	if errors.Is(err, context.Canceled) { // the parent wants it so
		return nil
	}
	return err
}

// consume records every message before it is released.
func (s *spec) consume(ctx context.Context, d *skybus.Domain, between func(handler) handler) error {
	ledger, err := openSeen(s.seenPath())
	if err != nil {
		return err
	}
	defer ledger.close()
	e, err := d.Bind(consumerAddr)
	if err != nil {
		return err
	}
	return e.Receive(ctx, between(func(m skybus.Message) error {
		if m.Src != producerAddr { // somebody else tries the bus
			return nil
		}
		return ledger.note(m, time.Now().UnixNano())
	}))
}

// produce goes on where the last producer stopped.
func (s *spec) produce(ctx context.Context, d *skybus.Domain) error {
	ledger, err := openSent(s.sentPath())
	if err != nil {
		return err
	}
	defer ledger.close()
	e, err := d.Bind(producerAddr)
	if err != nil {
		return err
	}
	last, err := e.LastSeq(consumerAddr)
	if err != nil {
		return err
	}
	if err := ledger.resume(last); err != nil {
		return err
	}
	buf := make([]byte, largestSize)
	return s.pace(ctx, func() error {
		n := ledger.begin()
		m := compose(buf, n, time.Now().UnixNano())
		if err := e.Send(ctx, consumerAddr, m); err != nil {
			return err
		}
		ledger.end(n, len(m))
		return nil
	})
}

// pace calls send as often as the rate says, in bursts of a millisecond, until
// ctx ends.
func (s *spec) pace(ctx context.Context, send func() error) error {
	const burst = 1000 // without a rate
	start, sent := time.Now(), 0
	for ctx.Err() == nil {
		due := sent + burst
		if s.Rate > 0 {
			time.Sleep(time.Millisecond)
			due = int(time.Since(start).Seconds() * float64(s.Rate))
		}
		for ; sent < due; sent++ {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
