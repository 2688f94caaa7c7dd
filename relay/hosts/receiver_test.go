// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

// errBoom is what a handler returns now and then: its message comes again.
var errBoom = errors.New("boom")

// receiver takes messages in its style until it is told to stop, and writes each
// into its log.
func receiver(args []byte) error {
	a, err := killtest.Args[loadArgs](args)
	if err != nil {
		return err
	}
	r := hostReceiver{loadArgs: a, id: receiverID{a.Host, a.Style}, rng: rand.New(rand.NewPCG(a.Life, 0))}
	if err := r.run(); err != nil {
		err = fmt.Errorf("receiver %v: %w", receiverAddr(r.id), err)
		a.Plan.violation(err)
		return err
	}
	return nil
}

type hostReceiver struct {
	loadArgs
	id  receiverID
	rng *rand.Rand
	e   *skybus.Endpoint
	log *os.File
	buf []byte // the log's next line
	mem []byte // for Recv
}

func (r *hostReceiver) run() error {
	orders, err := r.Plan.orders()
	if err != nil {
		return err
	}
	d, err := r.Plan.open(r.Host)
	if err != nil {
		return err
	}
	if r.e, err = d.Bind(receiverAddr(r.id)); err != nil {
		return err
	}
	if r.log, err = openLog(r.Plan.logPath(r.id)); err != nil {
		return err
	}
	defer r.log.Close()
	for orders.Get(stopReceivers) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.rng.IntN(100))*time.Millisecond)
		if r.Style == byRecv {
			err = r.take(ctx)
		} else {
			err = r.e.Receive(ctx, r.handle)
		}
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errBoom) {
			return err
		}
	}
	return d.Close()
}

// take takes messages for good until ctx ends.
func (r *hostReceiver) take(ctx context.Context) error {
	for ctx.Err() == nil {
		m, err := r.e.RecvWith(ctx, skybus.RecvOptions{Buf: r.mem})
		if err != nil {
			return err
		}
		r.mem = m.Data
		if err := r.note(m); err != nil {
			return err
		}
	}
	return nil
}

// handle notes a message before it is released. Now and then it is slow, or
// fails afterwards, so that the message comes again.
func (r *hostReceiver) handle(m skybus.Message) error {
	if err := r.note(m); err != nil {
		return err
	}
	switch r.rng.IntN(2000) {
	case 0:
		return errBoom
	case 1:
		time.Sleep(time.Duration(r.rng.Int64N(int64(5 * time.Millisecond))))
	}
	return nil
}

// note writes a message into the log. When it has returned, the line outlives
// this process.
func (r *hostReceiver) note(m skybus.Message) error {
	e := entry{kind: kindMessage, src: m.Src, seq: m.Seq, flagged: m.Redelivered}
	host := int(m.Src>>8) - 1
	switch l := (laneID{host, r.id}); {
	case host < 0 || host >= len(r.Plan.Roots) || m.Src != senderAddr(host):
		e.kind, e.text = kindTorn, fmt.Sprintf("from %v, which sends nothing", m.Src)
	case m.Dst != r.e.Addr():
		e.kind, e.text = kindTorn, fmt.Sprintf("for %v", m.Dst)
	default:
		number, err := r.Plan.read(l, m.Data)
		if e.number = number; err != nil {
			e.kind, e.text = kindTorn, err.Error()
		}
	}
	r.buf = e.append(r.buf[:0])
	if _, err := r.log.Write(r.buf); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// openLog opens a receiver's log, to which another life of it may have written.
func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o660)
	if err != nil {
		return nil, err
	}
	line := append([]byte{'\n'}, entry{kind: kindStart, src: addr.None}.append(nil)...) // the last life may have died within a line
	if _, err := f.Write(line); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
