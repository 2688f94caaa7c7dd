// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node"
)

const (
	visits   = 200       // calls of each shop
	mailed   = 1000      // orders to the name of a shop that is gone
	longWork = time.Hour // of an order whose shop is killed over it
)

// A ServicesSummary is what came out of the services: of one process, in another, and at the
// second host if that was there.
type ServicesSummary struct {
	Calls     uint64 `json:"calls"`          // answered by the shops that they were for
	P50       int64  `json:"p50_ns"`         // of a call to another process of the host
	FarP50    int64  `json:"far_p50_ns"`     // of one to the other host; 0: there was none
	FailAfter int64  `json:"fail_after_ns"`  // from the kill until the call that was under way failed
	Mailed    uint64 `json:"mailed"`         // messages to the name of the one that was killed
	Arrived   uint64 `json:"mailed_arrived"` // of them those that the next one got
	Verdict
}

// addServices makes the verdict one on the services, too, if they were shown.
func (v *Verdict) addServices(s *ServicesSummary) {
	if s == nil {
		return
	}
	for _, why := range s.Broken {
		v.fail("services: " + why)
	}
}

// services is the last act: a service calls others with one line of code, in a second process of
// the domain and at the far host, if that is there. It is not played if v has failed: nothing
// could be said of services over a bus that does not keep its promises.
func (s *stage) services(v *Verdict, sum **ServicesSummary, d *skybus.Domain, far *host) error {
	if !v.Pass {
		return nil
	}
	h, err := newHousehold(s.ctx, d)
	if err != nil {
		return err
	}
	defer h.node.Close()
	m := &market{stage: s, customer: h, far: far, sum: ServicesSummary{Verdict: Verdict{Broken: []string{}}}}
	if err := m.play(); err != nil {
		return err
	}
	m.report()
	s.shown, *sum = &m.sum, &m.sum
	v.addServices(s.shown)
	return nil
}

// A market is the act with services.
type market struct {
	*stage
	customer *household
	far      *host     // nil: there is none
	shop     actor.PID // in the second process
	sum      ServicesSummary
}

// play is the script.
func (m *market) play() error {
	m.say("services: a customer, at %v in this process, calls shops in others with the line", customerAddr)
	m.printf("            %s\n", theLine)
	err := run(m.callNear, m.callFar, m.killShop, m.mail, m.replaceShop, func() error { return m.stop(nearShop) })
	m.sum.Pass = len(m.sum.Broken) == 0
	return err
}

func (m *market) callNear() (err error) {
	if m.shop, err = m.open(nearShop, shopAddr, m.roots[producer]); err != nil {
		return err
	}
	m.sum.P50, err = m.call(nearShop, m.shop)
	return err
}

func (m *market) callFar() error {
	if m.far == nil {
		return nil
	}
	shop, err := m.open(farShop, farShopAddr, m.far.root)
	if err != nil {
		return err
	}
	if m.sum.FarP50, err = m.call(farShop, shop); err != nil {
		return err
	}
	return m.stop(farShop)
}

// open starts the process of a shop, and returns the shop.
func (m *market) open(role string, at addr.Addr, root string) (shop actor.PID, err error) {
	m.roots[role] = root
	if err := m.raise(role, 0); err != nil {
		return shop, err
	}
	err = m.wait(patience, "the "+role+" on the bus", func() (bool, error) {
		var missing error
		shop, missing = m.customer.find(m.ctx, at)
		return missing == nil, nil // it begins
	})
	return shop, err
}

// call has the customer call a shop, and returns the median of the times that took, in ns.
func (m *market) call(role string, shop actor.PID) (median int64, err error) {
	v, err := m.customer.visit(m.ctx, shop, &order{}, visits)
	if err != nil {
		return 0, m.blame(role, fmt.Errorf("call the %s, %v: %w", role, shop, err))
	}
	pid := m.parts[role].PID()
	for _, r := range v.receipts {
		if r.PID != pid {
			m.sum.fail(fmt.Sprintf("an answer is of pid %d, the %s is pid %d", r.PID, role, pid))
			break
		}
		m.sum.Calls++
	}
	slices.Sort(v.took)
	took := v.took[len(v.took)/2]
	m.say("%s %v: %d answers from pid %d, after %s in the median", role, shop, len(v.receipts), pid, short(took))
	return int64(took), nil
}

// killShop kills the shop of the second process while it works for the customer.
func (m *market) killShop() error {
	failed := make(chan error, 1)
	go func() {
		_, err := m.customer.visit(m.ctx, m.shop, &order{Work: longWork}, 1)
		failed <- err
	}()
	select {
	case <-m.customer.begun:
	case err := <-failed:
		return m.blame(nearShop, fmt.Errorf("call the shop for long: %w", errors.Join(err, m.ctx.Err())))
	}
	began := time.Now()
	pid := m.kill(nearShop)
	m.say("shop pid %d killed with -9 while it works for the customer", pid)
	err := <-failed
	took := time.Since(began)
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	m.sum.FailAfter = int64(took)
	m.say("the call ends after %s: %v", short(took), errorIs(err, "node.ErrPeerDied", node.ErrPeerDied))
	m.expect("the call that was under way", err, node.ErrPeerDied)
	return nil
}

// mail sends orders to a name that nobody has.
func (m *market) mail() error {
	if err := m.customer.mail(m.ctx, shopAddr, mailed); err != nil {
		return fmt.Errorf("send to the name %q at %v: %w", shopName, shopAddr, err)
	}
	m.sum.Mailed = mailed
	m.say("%s sent to the name %q at %v, where no process is", messages(mailed), shopName, shopAddr)
	return nil
}

// replaceShop starts a shop under the name of the one that was killed.
func (m *market) replaceShop() error {
	shop, err := m.open(nearShop, shopAddr, m.roots[producer])
	if err != nil {
		return err
	}
	v, err := m.customer.visit(m.ctx, shop, &order{}, 1)
	if err != nil {
		return m.blame(nearShop, fmt.Errorf("call the shop that was started again, %v: %w", shop, err))
	}
	r := v.receipts[0]
	m.sum.Calls++
	m.sum.Arrived = uint64(r.Counted)
	if r.Counted != mailed || r.Astray != 0 {
		m.sum.fail(fmt.Sprintf("%s to the name of the shop, %s arrived, %d of them out of order", messages(mailed), grouped(m.sum.Arrived), r.Astray))
	}
	m.say("shop back as pid %d, %v: %s have arrived, %d of them out of order", r.PID, shop, messages(m.sum.Arrived), r.Astray)
	_, err = m.customer.visit(m.ctx, m.shop, &order{}, 1)
	m.say("a call of %v, which has ended: %v", m.shop, errorIs(err, "actor.ErrStalePID", actor.ErrStalePID))
	m.expect("a call of the shop that has ended", err, actor.ErrStalePID)
	return m.ctx.Err()
}

// blame returns how the process of a shop has ended, if it has, or else err.
func (m *market) blame(role string, err error) error {
	select {
	case <-m.done(role):
		return m.died(role)
	default:
		return err
	}
}

// expect notes an error that is not the one that was promised.
func (m *market) expect(what string, err, want error) {
	if !errors.Is(err, want) {
		m.sum.fail(fmt.Sprintf("%s: got the error %v, want %v", what, err, want))
	}
}

// errorIs writes what the customer has got with what a program tells it by.
func errorIs(err error, name string, kind error) string {
	if far := (*node.CallError)(nil); errors.As(err, &far) {
		err = far
	}
	if errors.Is(err, kind) {
		return fmt.Sprintf("%q, %s", err, name)
	}
	return fmt.Sprintf("%q, not %s", fmt.Sprint(err), name)
}

func (m *market) report() {
	m.printf("\n")
	if m.sum.Pass {
		m.printf("PASS: %s calls answered by whom they were for, with the same line; the one that was under way has its error; %s have reached the name\n\n",
			grouped(m.sum.Calls), messages(m.sum.Arrived))
		return
	}
	m.printf("FAIL: %s\n\n", strings.Join(m.sum.Broken, "; "))
}
