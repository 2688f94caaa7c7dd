// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"context"
	"encoding/binary"

	"github.com/skybus-io/skybus"
)

func stamp(message []byte, n uint64) { binary.LittleEndian.PutUint64(message, n) }

func number(message []byte) uint64 { return binary.LittleEndian.Uint64(message) }

// send sends as fast as it goes until ctx ends: with the receiver gone the lane
// fills up, and a sender that waits for room sees it.
func (s *spec) send(ctx context.Context, e *skybus.Endpoint) error {
	switch s.API {
	case Batch:
		return s.sendBatches(ctx, e)
	case Claim:
		return s.sendClaims(ctx, e)
	}
	message := make([]byte, s.Size)
	for n := uint64(1); ; n++ {
		stamp(message, n)
		if err := e.Send(ctx, addresses[second], message); err != nil {
			return err
		}
	}
}

func (s *spec) sendBatches(ctx context.Context, e *skybus.Endpoint) error {
	messages := make([][]byte, BatchSize)
	for i := range messages {
		messages[i] = make([]byte, s.Size)
	}
	for n := uint64(1); ; n += BatchSize {
		for i, m := range messages {
			stamp(m, n+uint64(i))
		}
		if _, err := e.SendBatch(ctx, addresses[second], messages); err != nil {
			return err
		}
	}
}

// sendClaims writes messages in place. What it writes comes from a pattern: a
// program that makes its messages in place writes as many bytes.
func (s *spec) sendClaims(ctx context.Context, e *skybus.Endpoint) error {
	pattern := make([]byte, s.Size)
	b, err := e.Batch(addresses[second])
	if err != nil {
		return err
	}
	for n := uint64(1); ; n += BatchSize {
		for i := range uint64(BatchSize) {
			message, err := b.Claim(ctx, s.Size)
			if err != nil {
				return err
			}
			copy(message[MinSize:], pattern[MinSize:])
			stamp(message, n+i)
		}
		if err := b.Commit(); err != nil {
			return err
		}
	}
}
