// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/internal/killtest"
)

func init() { roles["kill creator"] = killCreator }

// killCreator binds one address after the other, sends a few messages from each
// to every reader, and gives it back. The next process of the same index goes on
// with the address that this one was killed at.
func killCreator(args []byte) error {
	p, err := startKillProcess(args, nil)
	if err != nil {
		return err
	}
	sent, err := p.Plan.sent()
	if err != nil {
		return err
	}
	progress, err := killtest.OpenWords(p.Plan.path("progress"), p.Plan.Creators)
	if err != nil {
		return err
	}
	// At first it looks at the address where the one before it was killed, also if
	// no more are wanted: a message may have been accepted there and not noted.
	for first := true; first || p.orders.Get(stopWriters) == 0; first = false {
		writer := int(progress.Get(p.Index))*p.Plan.Creators + p.Index
		if writer >= p.Plan.Writers {
			time.Sleep(time.Millisecond) // no addresses left
			continue
		}
		if err := p.create(sent, writer); err != nil {
			p.Plan.violation(err)
			return err
		}
		progress.Add(p.Index, 1)
		nap(p.rng, 2, 4*time.Millisecond)
	}
	return p.d.Close()
}

// create makes all lanes of one address.
func (p *killProcess) create(sent *killtest.Sent, writer int) error {
	e, err := p.d.Bind(writerAddr(writer))
	if err != nil {
		return err
	}
	for reader := range p.Plan.Readers {
		lane := p.Plan.lane(writer, reader)
		last, err := e.LastSeq(readerAddr(reader))
		if err == nil {
			err = sent.Resume(lane, last)
		}
		few := 1 + uint64(writer)%3
		for n := last + 1; n <= few && err == nil; n++ {
			sent.Attempt(lane, n)
			payload := killtest.Payload(p.Plan.Seed, lane, n, p.Plan.Most)
			if err = e.Send(context.Background(), readerAddr(reader), payload); err == nil {
				sent.Accept(lane, n)
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("lane %d: %w", lane, err), e.Close())
		}
	}
	return e.Close()
}
