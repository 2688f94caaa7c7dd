// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

// patience is how long something may take that should come soon.
const patience = 90 * time.Second

// loadArgs are what a process of the load is started with.
type loadArgs struct {
	Plan  plan
	Host  int
	Style style  // of a receiver
	Life  uint64 // random
}

// sender sends to the receivers of all other hosts until it is told to stop.
func sender(args []byte) error {
	a, err := killtest.Args[loadArgs](args)
	if err != nil {
		return err
	}
	s := hostSender{loadArgs: a}
	if err := s.run(); err != nil {
		err = fmt.Errorf("sender of host %d: %w", a.Host, err)
		a.Plan.violation(err)
		return err
	}
	return nil
}

type hostSender struct {
	loadArgs
	e      *skybus.Endpoint
	orders *killtest.Words
	sent   *killtest.Sent
}

func (s *hostSender) run() (err error) {
	if s.orders, err = s.Plan.orders(); err != nil {
		return err
	}
	if s.sent, err = s.Plan.sent(); err != nil {
		return err
	}
	d, err := s.Plan.open(s.Host)
	if err != nil {
		return err
	}
	if s.e, err = d.Bind(senderAddr(s.Host)); err != nil {
		return err
	}
	lanes := s.Plan.outOf(s.Host)
	results := make(chan error, len(lanes))
	for i, l := range lanes {
		w := laneSender{hostSender: s, lane: l, number: s.Plan.number(l), dst: receiverAddr(l.to), rng: rand.New(rand.NewPCG(s.Life, uint64(i)))}
		go func() { results <- w.run() }()
	}
	for range lanes {
		err = errors.Join(err, <-results)
	}
	return errors.Join(err, d.Close())
}

// A laneSender sends through one lane.
type laneSender struct {
	*hostSender
	lane   laneID
	number int // of the lane, in the ledger
	dst    addr.Addr
	rng    *rand.Rand
	next   uint64 // number of the next message
}

func (w *laneSender) run() error {
	last, err := w.routed()
	if err != nil {
		return fmt.Errorf("lane to %v: %w", w.dst, err)
	}
	if err := w.sent.Resume(w.number, last); err != nil {
		return err
	}
	for w.next = last + 1; w.next == 1 || w.orders.Get(stopSenders) == 0; { // no lane is left without a message
		n := uint64(1 + w.rng.IntN(1+w.rng.IntN(30)))
		w.sent.Attempt(w.number, w.next+n-1)
		accepted, err := w.send(n)
		w.next += accepted
		w.sent.Accept(w.number, w.next-1)
		if err != nil {
			return fmt.Errorf("message %d to %v: %w", w.next, w.dst, err)
		}
		time.Sleep(time.Duration(w.rng.ExpFloat64() * float64(w.Plan.Pace)))
	}
	if last, err := w.e.LastSeq(w.dst); err != nil || last != w.next-1 {
		return fmt.Errorf("lane to %v: the last message is %d, %d were accepted: %w", w.dst, last, w.next-1, err)
	}
	return nil
}

// routed returns the number of the last message. At the start of all the address
// may not be known yet.
func (w *laneSender) routed() (last uint64, err error) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		last, err = w.e.LastSeq(w.dst)
		first := w.sent.Attempted(w.number) == 0
		if err == nil || !errors.Is(err, skybus.ErrNoRoute) || !first || time.Now().After(end) {
			return last, err
		}
	}
}

// send sends up to n messages, in one of the ways, and returns how many were
// accepted. It does not wait long for room: there may be none for minutes.
func (w *laneSender) send(n uint64) (accepted uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	switch w.rng.IntN(4) {
	case 0:
		accepted, err = count(w.e.Send(ctx, w.dst, w.payload(0)))
	case 1:
		accepted, err = count(w.e.TrySend(w.dst, w.payload(0)))
	case 2:
		var list [][]byte
		for i := range n {
			list = append(list, w.payload(i))
		}
		var k int
		k, err = w.e.SendBatch(ctx, w.dst, list)
		accepted = uint64(k)
	case 3:
		accepted, err = w.claim(ctx)
	}
	if errors.Is(err, skybus.ErrFull) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return accepted, err
}

// payload returns the bytes of a message: 0 is the next one.
func (w *laneSender) payload(ahead uint64) []byte { return w.Plan.payload(w.lane, w.next+ahead) }

// claim writes a message in place.
func (w *laneSender) claim(ctx context.Context) (uint64, error) {
	data := w.payload(0)
	c, err := w.e.Claim(ctx, w.dst, len(data))
	if err != nil {
		return 0, err
	}
	copy(c.Data, data)
	c.Commit()
	return 1, nil
}

// count is how many messages a call has sent that sends one.
func count(err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	return 1, nil
}
