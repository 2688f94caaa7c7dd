// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/killtest"
)

func init() { roles["kill reader"] = killReader }

// killReader receives in all ways until it is told to stop, and marks in its
// ledger what it gets.
func killReader(args []byte) error {
	p, err := startKillProcess(args, readerAddr)
	if err != nil {
		return err
	}
	ledger, err := p.Plan.received()
	if err != nil {
		return err
	}
	r := laneReader{p: p, ledger: ledger}
	for p.orders.Get(stopReaders) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+p.rng.IntN(100))*time.Millisecond)
		err := r.receive(ctx)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, skybus.ErrEmpty) && !errors.Is(err, errBoom) {
			p.Plan.violation(err)
			return err
		}
	}
	return p.d.Close()
}

type laneReader struct {
	p      *killProcess
	ledger *killtest.Received
	buf    []byte
}

// receive takes messages in one of the ways until ctx ends.
func (r *laneReader) receive(ctx context.Context) error {
	if r.p.Plan.Recv {
		return r.take(ctx)
	}
	switch r.p.rng.IntN(4) {
	case 0:
		return r.p.e.Receive(ctx, r.handle)
	case 3:
		return r.hold(ctx)
	case 1:
		for ctx.Err() == nil {
			if n, err := r.p.e.Poll(1+r.p.rng.IntN(100), r.handle); err != nil {
				return err
			} else if n == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		return nil
	}
	for m, err := range r.p.e.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := r.handle(m); err != nil || r.p.rng.IntN(1000) == 0 {
			return nil // it was marked, and is released
		}
	}
	return nil
}

// hold marks messages as they come and releases them in any order, some of them never.
func (r *laneReader) hold(ctx context.Context) error {
	var held []skybus.Hold
	return r.p.e.ReceiveHeld(ctx, func(m skybus.Message, h skybus.Hold) error {
		if err := r.handle(m); err != nil {
			return err
		}
		if held = append(held, h); len(held) > 1+r.p.rng.IntN(50) {
			for range 1 + r.p.rng.IntN(len(held)) {
				i := r.p.rng.IntN(len(held))
				held[i].Release()
				held[i] = held[len(held)-1]
				held = held[:len(held)-1]
			}
		}
		return nil
	})
}

// take takes messages for good.
func (r *laneReader) take(ctx context.Context) error {
	for ctx.Err() == nil {
		o := skybus.RecvOptions{Buf: r.buf}
		switch r.p.rng.IntN(20) {
		case 0:
			o.From = writerAddr(r.p.rng.IntN(r.p.Plan.Writers))
		case 1:
			o.Peek = true
		}
		m, err := r.p.e.TryRecvWith(o)
		if errors.Is(err, skybus.ErrEmpty) {
			o.From = 0
			m, err = r.p.e.RecvWith(ctx, o)
		}
		if err != nil {
			return err
		}
		r.buf = m.Data
		if !o.Peek {
			r.mark(m)
		}
	}
	return nil
}

// handle marks a message; now and then it fails afterwards, so that the message
// comes again.
func (r *laneReader) handle(m skybus.Message) error {
	r.mark(m)
	nap(r.p.rng, 5000, 5*time.Millisecond)
	if r.p.rng.IntN(1000) == 0 {
		return errBoom
	}
	return nil
}

// mark checks a message and notes it.
func (r *laneReader) mark(m skybus.Message) {
	plan := &r.p.Plan
	lane := plan.lane(int(m.Src-writerAddr(0)), r.p.Index)
	err := killtest.CheckPayload(m.Data, plan.Seed, lane, m.Seq, plan.Most)
	if err == nil && m.Dst != r.p.e.Addr() {
		err = fmt.Errorf("a message to %v came to %v", m.Dst, r.p.e.Addr())
	}
	if err == nil {
		err = r.ledger.Mark(lane, m.Seq, m.Redelivered, plan.Recv)
	}
	if err != nil {
		plan.violation(err)
		os.Exit(1)
	}
}
