// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestManySendersToMany: several goroutines of several endpoints send to several
// addresses. What one goroutine sends to one address stays in order, and all of
// it arrives.
func TestManySendersToMany(t *testing.T) {
	testutil.NoLeaks(t)
	const goroutines, each, ends = 3, 2000, 3
	d := dynamic(t)
	var results []func() error
	for i := range addr.Addr(ends) {
		to := bind(t, d, b+i)
		results = append(results, run(t, func() error { return receiveAll(t, to, goroutines*2, each) }))
	}
	for i := range addr.Addr(2) {
		from := bind(t, d, a+i)
		for g := range goroutines {
			results = append(results, run(t, func() error { return sendAll(t, from, uint64(g), each, ends) }))
		}
	}
	for _, result := range results {
		if err := result(); err != nil {
			t.Error(err)
		}
	}
	for _, l := range d.Table().Lanes() {
		if l.Sent != goroutines*each || l.Received != l.Sent || l.Messages != 0 {
			t.Errorf("lane %v -> %v: %d sent, %d received, %d left", l.Src, l.Dst, l.Sent, l.Received, l.Messages)
		}
	}
	noViolations(t, d)
}

// sendAll sends the numbers 0 to each to every address, in batches of all kinds.
func sendAll(t *testing.T, e *skybus.Endpoint, who, each uint64, ends addr.Addr) error {
	for n := uint64(0); n < each; {
		k := min(1+n%7, each-n)
		var list [][]byte
		for i := range k {
			list = append(list, binary.LittleEndian.AppendUint64(number(who), n+i))
		}
		for i := range ends {
			if sent, err := e.SendBatch(soon(t), b+i, list); err != nil || sent != len(list) {
				return fmt.Errorf("%d sent: %w", sent, err)
			}
		}
		n += k
	}
	return nil
}

func receiveAll(t *testing.T, e *skybus.Endpoint, senders int, each uint64) error {
	type sender struct {
		src addr.Addr
		who uint64
	}
	next := map[sender]uint64{}
	for left := senders * int(each); left > 0; left-- {
		m, err := e.Recv(soon(t))
		if err != nil {
			return fmt.Errorf("%d messages are missing: %w", left, err)
		}
		from, n := sender{m.Src, numberOf(m)}, binary.LittleEndian.Uint64(m.Data[8:])
		if n != next[from] {
			return fmt.Errorf("%v: number %d, want %d", from, n, next[from])
		}
		next[from]++
	}
	return nil
}

// TestManyLanes: one inbox with far more lanes than are polled.
func TestManyLanes(t *testing.T) {
	const lanes = 300
	d := dynamic(t)
	to := bind(t, d, b)
	rng := testutil.Rand(t)
	froms := make([]*skybus.Endpoint, lanes)
	sent := make([]uint64, lanes)
	for i := range froms {
		froms[i] = bind(t, d, 0x1000+addr.Addr(i))
	}
	for range 3000 {
		i := rng.IntN(lanes)
		for range 1 + rng.IntN(3) {
			if err := froms[i].TrySend(b, number(sent[i])); err != nil {
				t.Fatal(err)
			}
			sent[i]++
		}
		for range rng.IntN(4) {
			if m, err := to.TryRecv(); err == nil && m.Seq != numberOf(m)+1 {
				t.Fatalf("received %+v", m)
			}
		}
	}
	drain(t, to)
	for i, l := range d.Table().Lanes() {
		if l.Received != sent[l.Src-0x1000] || l.Messages != 0 {
			t.Errorf("lane %d: %d of %d messages received", i, l.Received, sent[l.Src-0x1000])
		}
	}
}

// TestSendWhileInboxIsBeingMade: many endpoints send to one that binds at the
// same moment; all lanes are made and all messages come.
func TestSendWhileInboxIsBeingMade(t *testing.T) {
	const senders = 30
	d := dynamic(t)
	var results []func() error
	for i := range addr.Addr(senders) {
		from := bind(t, d, 0x1000+i)
		results = append(results, run(t, func() error { return from.Send(soon(t), b, number(uint64(i))) }))
	}
	to := bind(t, d, b)
	seen := map[uint64]bool{}
	for range senders {
		seen[numberOf(recv(t, to))] = true
	}
	for _, result := range results {
		if err := result(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != senders {
		t.Errorf("%d different messages of %d", len(seen), senders)
	}
}
