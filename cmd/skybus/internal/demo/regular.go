// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
)

const (
	orderPause  = time.Millisecond      // between two orders
	repeatPause = 20 * time.Millisecond // before one is asked for again
)

// A regular is a customer who buys one thing after the other, from whoever has the shop's name.
// Its orders are numbered from 1.
type regular struct {
	*member
	cancel context.CancelFunc
	enough chan struct{} // closed: no more orders
	bought chan struct{} // closed: the last one is answered
	done   sync.WaitGroup

	mu sync.Mutex // guards sales
	sales
}

// sales are what a regular has bought.
type sales struct {
	account
	delays   delays
	longest  time.Duration // an order has taken; reset takes it away
	repeated int64         // orders that were asked for again
	passedOn int64         // orders that another process has answered than that of the shop that was asked
	trouble  error         // why an order was asked for again last
	shop     actor.PID     // who has the name
	by       int           // process that has answered last
	asked    actor.PID     // who was asked last
	home     int           // and its process
}

// An account compares numbers of orders with what a shop has counted with them.
type account struct {
	orders      int64 // that were answered: 1 to orders
	lost, twice int64
	ahead       int64 // what was counted beyond orders
}

func (a *account) note(number, counted int64) {
	ahead := counted - number
	a.lost += max(a.ahead-ahead, 0)
	a.twice += max(ahead-a.ahead, 0)
	a.orders, a.ahead = number, ahead
}

func newRegular(d *skybus.Domain) (*regular, error) {
	m, err := joinCluster(d, regularAddr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &regular{member: m, cancel: cancel, enough: make(chan struct{}), bought: make(chan struct{})}
	r.done.Go(func() {
		err := r.follow(ctx, func(ch node.NameChanged) error {
			r.turnTo(ch.New)
			return nil
		})
		r.note(func(s *sales) { s.trouble = errors.Join(s.trouble, err) })
	})
	r.done.Go(func() { r.buy(ctx) })
	return r, nil
}

// close ends it at once.
func (r *regular) close() error {
	r.cancel()
	r.done.Wait()
	return r.member.close()
}

func (r *regular) note(f func(s *sales)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.sales)
}

// look returns what was bought so far.
func (r *regular) look() (s sales) {
	r.note(func(now *sales) { s = *now })
	return s
}

// reset begins anew with the longest order.
func (r *regular) reset() { r.note(func(s *sales) { s.longest = 0 }) }

// turnTo has the customer buy elsewhere. While nobody has the name it stays where it is.
func (r *regular) turnTo(shop actor.PID) {
	if !shop.IsZero() {
		r.note(func(s *sales) { s.shop = shop })
	}
}

// buy orders until it has enough, once there is a shop.
func (r *regular) buy(ctx context.Context) {
	defer close(r.bought)
	for n := int64(1); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-r.enough:
			return
		case <-time.After(orderPause):
		}
		if !r.look().shop.IsZero() && r.order(ctx, n) {
			n++
		}
	}
}

// order gives an order, again and again until it is answered.
func (r *regular) order(ctx context.Context, n int64) (answered bool) {
	for began := time.Now(); ctx.Err() == nil; {
		shop := r.look().shop
		got, err := actor.AskRuntime[*receipt](ctx, r.Runtime(), shop, &order{Number: n})
		took := time.Since(began)
		if err == nil {
			r.note(func(s *sales) { s.answer(n, got, took, shop) })
			return true
		}
		r.note(func(s *sales) { s.repeated, s.trouble = s.repeated+1, err })
		select {
		case <-ctx.Done():
		case <-time.After(repeatPause):
		}
	}
	return false
}

func (s *sales) answer(n int64, r *receipt, took time.Duration, asked actor.PID) {
	s.account.note(n, r.Counted)
	s.delays[bucketOf(int64(took))]++
	s.longest = max(s.longest, took)
	s.by = r.PID
	if asked != s.asked { // the first order that it gets
		s.asked, s.home = asked, r.PID
	}
	if r.PID != s.home {
		s.passedOn++
	}
}
