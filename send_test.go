// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

// senders are the ways to send one message.
var senders = map[string]func(ctx context.Context, e *skybus.Endpoint, p []byte) error{
	"Send":    func(ctx context.Context, e *skybus.Endpoint, p []byte) error { return e.Send(ctx, b, p) },
	"TrySend": func(_ context.Context, e *skybus.Endpoint, p []byte) error { return e.TrySend(b, p) },
	"SendBatch": func(ctx context.Context, e *skybus.Endpoint, p []byte) error {
		_, err := e.SendBatch(ctx, b, [][]byte{p})
		return err
	},
	"Claim": func(ctx context.Context, e *skybus.Endpoint, p []byte) error {
		claim, err := e.Claim(ctx, b, len(p))
		if err == nil {
			copy(claim.Data, p)
			claim.Commit()
		}
		return err
	},
	"TryClaim": func(_ context.Context, e *skybus.Endpoint, p []byte) error {
		claim, err := e.TryClaim(b, len(p))
		if err == nil {
			copy(claim.Data, p)
			claim.Commit()
		}
		return err
	},
	"Batch": func(ctx context.Context, e *skybus.Endpoint, p []byte) error {
		batch, err := e.Batch(b)
		if err != nil {
			return err
		}
		defer func() { _ = batch.Commit() }()
		buf, err := batch.Claim(ctx, len(p))
		copy(buf, p)
		return err
	},
}

// TestSizes sends messages of all kinds of sizes in all ways: the lane grows to
// what it needs, and no byte is changed.
func TestSizes(t *testing.T) {
	const most = 300_000
	rng := testutil.Rand(t)
	data := make([]byte, most+1)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for name, send := range senders {
		t.Run(name, func(t *testing.T) {
			d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{MaxMessage: most}})
			from, to := pair(t, d)
			for _, size := range []int{0, 1, 15, 16, 17, 2031, 2032, 2033, 4096, 70_000, most - 1, most, 0, 3} {
				if err := send(soon(t), from, data[:size]); err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if m := recv(t, to); !bytes.Equal(m.Data, data[:size]) {
					t.Fatalf("%d bytes became %d other ones", size, len(m.Data))
				}
			}
			want(t, send(soon(t), from, data), skybus.ErrTooBig)
			if last, err := from.LastSeq(b); last != 14 || err != nil {
				t.Errorf("LastSeq %d, %v", last, err)
			}
		})
	}
}

// TestConfiguredLaneKeepsItsSize: half of it is the largest message.
func TestConfiguredLaneKeepsItsSize(t *testing.T) {
	d := open(t, skybus.Options{Strict: true})
	configure(t, d, channel.Channel{A: a, B: b, SendSize: 5000, RecvSize: 1})
	from, to := pair(t, d)
	l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
	if l.Size != 8192 || l.AskedSize != 5000 {
		t.Errorf("a lane of %d bytes was asked for, it has %d", l.AskedSize, l.Size)
	}
	most := int(l.Size)/2 - 16
	for name, send := range senders {
		if err := send(soon(t), from, make([]byte, most)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := send(soon(t), from, make([]byte, most+1)); err == nil {
			t.Errorf("%s sent more than the lane takes", name)
		} else {
			want(t, err, skybus.ErrTooBig)
		}
		recv(t, to)
	}
	fill(t, from, b, 100)
	if l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b}); l.Grown != 0 || l.Size != 8192 {
		t.Errorf("it grew to %d bytes", l.Size)
	}
}

// TestClaimOfNegativeSize: it must not grow the lane until memory runs out.
func TestClaimOfNegativeSize(t *testing.T) {
	d := dynamic(t)
	from, _ := pair(t, d)
	_, err := from.TryClaim(b, -1)
	want(t, err, skybus.ErrTooBig)
	_, err = from.Claim(soon(t), b, -1<<62)
	want(t, err, skybus.ErrTooBig)
	if n := d.Table().Info().Bytes; n > 8<<10 {
		t.Errorf("the lane takes %d bytes", n)
	}
	send(t, from, b, "it goes on")
}

func TestTrySendToFullLane(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	n := fill(t, from, b, 100)
	if n == 0 {
		t.Fatal("no message fits")
	}
	_, err := from.TryClaim(b, 100)
	want(t, err, skybus.ErrFull)
	l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
	if l.Full == 0 || l.Messages != uint64(n) || l.HighWater == 0 {
		t.Errorf("the counters say full %d times, %d messages, %d bytes at most", l.Full, l.Messages, l.HighWater)
	}
	recv(t, to)
	if err := from.TrySend(b, make([]byte, 100)); err != nil {
		t.Errorf("no room after a message was taken: %v", err)
	}
	if got := len(drain(t, to)); got != n {
		t.Errorf("received %d messages, want %d", got, n)
	}
}

// TestLaneGrowsWhenFull: fourfold, up to the domain's limit, and the messages
// stay in order.
func TestLaneGrowsWhenFull(t *testing.T) {
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 64 << 10}})
	from := bind(t, d, a)
	n := 0
	for from.TrySend(b, number(uint64(n))) == nil {
		n++
	}
	l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
	if l.Grown != 2 || l.Messages != uint64(n) || n < 64<<10/32 {
		t.Errorf("grew %d times and holds %d messages of %d", l.Grown, l.Messages, n)
	}
	to := bind(t, d, b)
	for i := range n {
		if m := recv(t, to); numberOf(m) != uint64(i) || m.Seq != uint64(i+1) {
			t.Fatalf("received number %d with sequence %d as message %d", numberOf(m), m.Seq, i+1)
		}
	}
	noViolations(t, d)
}

// TestLaneGrowsForLargeMessages: whether its reader is there, or comes when all
// have been sent, or restarts in between.
func TestLaneGrowsForLargeMessages(t *testing.T) {
	sizes := []int{10, 5000, 100, 70_000, 1, 0, 300_000, 20, 2_000_000, 7}
	texts := func() (list [][]byte) {
		for i, n := range sizes {
			list = append(list, bytes.Repeat([]byte{byte('a' + i)}, n))
		}
		return list
	}()
	for _, readers := range []int{0, 1, 3} { // while messages are sent
		t.Run(fmt.Sprint(readers, " readers"), func(t *testing.T) {
			d := dynamic(t)
			from, next := bind(t, d, a), 0
			receive := func(n int) {
				to := bind(t, d, b)
				defer to.Close()
				for ; n > 0; n-- {
					if m := recv(t, to); !bytes.Equal(m.Data, texts[next]) || m.Seq != uint64(next+1) || m.Redelivered {
						t.Fatalf("received %d bytes as message %d", len(m.Data), m.Seq)
					}
					next++
				}
			}
			for i, text := range texts {
				if err := from.Send(soon(t), b, text); err != nil {
					t.Fatal(err)
				}
				if readers > 0 && (i+1)%readers == 0 {
					receive(readers)
				}
			}
			receive(len(texts) - next)
			if notes := noViolations(t, d); len(notes) > 0 {
				t.Errorf("the domain is left with %v", notes)
			}
			if l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b}); l.Generation == 1 || l.Bytes != l.Size+4096 {
				t.Errorf("generation %d has %d bytes, the lane %d", l.Generation, l.Size, l.Bytes)
			}
		})
	}
}

// noViolations checks everything in the domain. What a crash may leave is no
// violation, but must be explained by the caller.
func noViolations(t testing.TB, d *skybus.Domain) (notes []string) {
	t.Helper()
	for _, v := range d.Table().Check() {
		if v.Note {
			notes = append(notes, fmt.Sprint(v))
		} else {
			t.Errorf("violation: %v", v)
		}
	}
	return notes
}

func TestLastSeqAfterRestart(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	last := func(e *skybus.Endpoint) uint64 {
		n, err := e.LastSeq(b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := last(from); n != 0 {
		t.Errorf("%d before the first message", n)
	}
	send(t, from, b, "1")
	send(t, from, b, "2")
	recv(t, to)
	batch, err := from.Batch(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Claim(soon(t), 10); err != nil {
		t.Fatal(err)
	}
	batch.Abort()
	from.Close()
	from = bind(t, d, a)
	if n := last(from); n != 2 {
		t.Errorf("%d after two messages and one that was given up", n)
	}
	send(t, from, b, "3")
	for _, want := range []uint64{2, 3} {
		if m := recv(t, to); m.Seq != want || string(m.Data) != fmt.Sprint(want) {
			t.Errorf("received %+v", m)
		}
	}
	to.Close()
	from.Close()
	if n := last(bind(t, d, a)); n != 3 {
		t.Errorf("%d after all were received", n)
	}
}
