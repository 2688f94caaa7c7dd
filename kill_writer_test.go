// SPDX-License-Identifier: Apache-2.0

package skybus_test

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

func init() { roles["kill writer"] = killWriter }

// killWriter sends to every reader, in all ways, until it is told to stop.
func killWriter(args []byte) error {
	p, err := startKillProcess(args, writerAddr)
	if err != nil {
		return err
	}
	sent, err := p.Plan.sent()
	if err != nil {
		return err
	}
	results := make(chan error, p.Plan.Readers)
	for reader := range p.Plan.Readers {
		w := laneWriter{
			p: p, sent: sent, lane: p.Plan.lane(p.Index, reader), dst: readerAddr(reader),
			rng: rand.New(rand.NewPCG(p.Life, uint64(reader))),
		}
		go func() { results <- w.run() }()
	}
	for range p.Plan.Readers {
		err = errors.Join(err, <-results)
	}
	if err != nil {
		p.Plan.violation(err)
	}
	return errors.Join(err, p.d.Close())
}

// A laneWriter writes one lane.
type laneWriter struct {
	p    *killProcess
	sent *killtest.Sent
	lane int
	dst  addr.Addr
	rng  *rand.Rand
	next uint64 // number of the next message
}

func (w *laneWriter) run() error {
	last, err := w.p.e.LastSeq(w.dst)
	if err != nil {
		return fmt.Errorf("lane %d: %w", w.lane, err)
	}
	if err := w.sent.Resume(w.lane, last); err != nil {
		return err
	}
	for w.next = last + 1; w.p.orders.Get(stopWriters) == 0; {
		n := min(uint64(1+w.rng.IntN(1+w.rng.IntN(40))), w.p.Plan.Numbers+1-w.next)
		if n == 0 {
			time.Sleep(time.Millisecond) // the ledger is full
			continue
		}
		w.sent.Attempt(w.lane, w.next+n-1)
		accepted, err := w.send(n)
		w.next += accepted
		w.sent.Accept(w.lane, w.next-1)
		if err != nil {
			return fmt.Errorf("lane %d, message %d: %w", w.lane, w.next, err)
		}
		w.rest()
	}
	return w.check()
}

// rest makes the writer slow now and then, so that the readers sleep, and lets
// its lane become idle in plans that give lanes back.
func (w *laneWriter) rest() {
	nap(w.rng, 20, 2*time.Millisecond)
	if idle := w.p.Plan.Idle; idle > 0 && w.rng.IntN(10) == 0 {
		time.Sleep(idle + time.Duration(w.rng.Int64N(int64(idle))))
	}
}

// check compares the lane's last number with what was accepted.
func (w *laneWriter) check() error {
	if last, err := w.p.e.LastSeq(w.dst); err != nil || last != w.next-1 {
		return fmt.Errorf("lane %d: the last message is %d, %d were accepted: %w", w.lane, last, w.next-1, err)
	}
	return nil
}

func (w *laneWriter) payload(n uint64) []byte {
	return killtest.Payload(w.p.Plan.Seed, w.lane, n, w.p.Plan.Most)
}

// send sends up to n messages and returns how many were accepted.
func (w *laneWriter) send(n uint64) (uint64, error) {
	ctx, e := context.Background(), w.p.e
	switch w.rng.IntN(6) {
	case 0:
		return one(e.Send(ctx, w.dst, w.payload(w.next)))
	case 1:
		return one(e.TrySend(w.dst, w.payload(w.next)))
	case 2:
		var list [][]byte
		for i := range n {
			list = append(list, w.payload(w.next+i))
		}
		k, err := e.SendBatch(ctx, w.dst, list)
		return uint64(k), err
	case 3:
		return w.batch(ctx, n)
	case 4:
		claim, err := e.Claim(ctx, w.dst, w.rng.IntN(1000))
		claim.Abort()
		return 0, err
	}
	claim, err := e.Claim(ctx, w.dst, len(w.payload(w.next)))
	if err != nil {
		return 0, err
	}
	copy(claim.Data, w.payload(w.next))
	nap(w.rng, 50, time.Millisecond)
	claim.Commit()
	return 1, nil
}

// one is the result of sending one message, which may also be refused.
func one(err error) (uint64, error) {
	switch {
	case err == nil:
		return 1, nil
	case errors.Is(err, skybus.ErrFull):
		time.Sleep(100 * time.Microsecond)
		return 0, nil
	}
	return 0, err
}

// batch writes messages in place and publishes them together, or in parts where
// the lane has no room for all.
func (w *laneWriter) batch(ctx context.Context, n uint64) (uint64, error) {
	batch, err := w.p.e.Batch(w.dst)
	if err != nil {
		return 0, err
	}
	for i := range n {
		p := w.payload(w.next + i)
		buf, err := batch.Claim(ctx, len(p))
		if err != nil {
			_ = batch.Commit()
			return i, err
		}
		copy(buf, p)
	}
	_ = batch.Commit()
	return n, nil
}
