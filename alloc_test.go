// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"testing"

	"github.com/skybus-io/skybus"
)

// TestNoAllocations: no call allocates memory for a message.
func TestNoAllocations(t *testing.T) {
	ctx := context.Background()
	payload, buf := make([]byte, 100), make([]byte, 0, 100)
	list := [][]byte{payload, payload, payload}
	taken := 0
	count := func(skybus.Message) error { taken++; return nil }
	tests := map[string]func(from, to *skybus.Endpoint) error{
		"Send": func(from, _ *skybus.Endpoint) error { return from.Send(ctx, b, payload) },
		"TrySend": func(from, _ *skybus.Endpoint) error {
			return from.TrySend(b, payload)
		},
		"SendBatch": func(from, _ *skybus.Endpoint) error {
			_, err := from.SendBatch(ctx, b, list)
			return err
		},
		"Claim": func(from, _ *skybus.Endpoint) error {
			claim, err := from.Claim(ctx, b, 100)
			claim.Commit()
			return err
		},
		"TryClaim": func(from, _ *skybus.Endpoint) error {
			claim, err := from.TryClaim(b, 100)
			claim.Commit()
			return err
		},
		"Batch": func(from, _ *skybus.Endpoint) error {
			batch, err := from.Batch(b)
			for range 3 {
				_, err = batch.Claim(ctx, 100)
			}
			_ = batch.Commit()
			return err
		},
		"RecvWith": func(_, to *skybus.Endpoint) error {
			_, err := to.RecvWith(ctx, skybus.RecvOptions{Buf: buf})
			return err
		},
		"TryRecvWith": func(_, to *skybus.Endpoint) error {
			_, err := to.TryRecvWith(skybus.RecvOptions{Buf: buf, From: a})
			return err
		},
		"Poll": func(_, to *skybus.Endpoint) error { _, err := to.Poll(3, count); return err },
		"full": func(from, _ *skybus.Endpoint) error {
			for {
				if from.TrySend(b, payload) != nil {
					return nil
				}
			}
		},
		"empty": func(_, to *skybus.Endpoint) error {
			for {
				if _, err := to.TryRecvWith(skybus.RecvOptions{Buf: buf}); err != nil {
					return nil
				}
			}
		},
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 256 << 10}})
			from, to := pair(t, d)
			fill(t, from, b, 100)
			half := 0
			if _, err := to.Poll(1000, func(skybus.Message) error { half++; return nil }); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() {
				if err := call(from, to); err != nil {
					t.Error(err)
				}
			}); n != 0 {
				t.Errorf("%v allocations a call", n)
			}
		})
	}
}

// TestLoopsAllocateNothingPerMessage: Receive and Messages take memory once, not
// for each message, also when they park in between.
func TestLoopsAllocateNothingPerMessage(t *testing.T) {
	const messages = 1000
	loops := map[string]func(to *skybus.Endpoint) int{
		"Receive": func(to *skybus.Endpoint) (n int) {
			_ = to.Receive(soon(t), func(skybus.Message) error {
				if n++; n == messages {
					return errBoom
				}
				return nil
			})
			return n
		},
		"Messages": func(to *skybus.Endpoint) (n int) {
			for _, err := range to.Messages(soon(t)) {
				if n++; err != nil || n == messages {
					break
				}
			}
			return n
		},
		"Recv, waiting": func(to *skybus.Endpoint) (n int) {
			buf := make([]byte, 0, 100)
			for ; n < messages; n++ {
				if _, err := to.RecvWith(context.Background(), skybus.RecvOptions{Buf: buf}); err != nil {
					break
				}
			}
			return n
		},
	}
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			d := small(t) // both sides have to wait for each other
			from, to := bind(t, d, a, skybus.WithWait(skybus.WaitPark)), bind(t, d, b, skybus.WithWait(skybus.WaitPark))
			payload := make([]byte, 100)
			ctx, cancel := context.WithCancel(context.Background())
			sent := run(t, func() error {
				for {
					if err := from.Send(context.Background(), b, payload); err != nil || ctx.Err() != nil {
						return nil
					}
				}
			})
			n := testing.AllocsPerRun(5, func() {
				if n := loop(to); n != messages {
					t.Errorf("%d messages", n)
				}
			})
			if n > messages/20 {
				t.Errorf("%v allocations for %d messages", n, messages)
			}
			cancel()
			from.Close()
			if err := sent(); err != nil {
				t.Error(err)
			}
		})
	}
}
