// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func TestTryRecvOfEmptyInbox(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	_, err := to.TryRecv()
	want(t, err, skybus.ErrEmpty)
	_, err = to.TryRecvWith(skybus.RecvOptions{From: a, Peek: true})
	want(t, err, skybus.ErrEmpty)
	send(t, bind(t, d, a), b, "one")
	if m, err := to.TryRecv(); err != nil || string(m.Data) != "one" || m.Src != a || m.Dst != b || m.Seq != 1 || m.Redelivered {
		t.Errorf("received %+v, %v", m, err)
	}
	_, err = to.TryRecv()
	want(t, err, skybus.ErrEmpty)
}

// TestRecvGivesBytesAway: Data is the caller's, whatever comes later.
func TestRecvGivesBytesAway(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	send(t, from, b, "first")
	m := recv(t, to)
	for range 10 {
		fill(t, from, b, 100)
		drain(t, to)
	}
	if string(m.Data) != "first" {
		t.Errorf("it became %q", m.Data)
	}
}

func TestRecvUsesBuffer(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	buf := make([]byte, 3, 10)
	send(t, from, b, "1234567890")
	m, err := to.RecvWith(soon(t), skybus.RecvOptions{Buf: buf})
	if err != nil || string(m.Data) != "1234567890" || &m.Data[0] != &buf[0] {
		t.Errorf("received %q, %v, not in the buffer", m.Data, err)
	}
	send(t, from, b, "12345678901")
	m, err = to.RecvWith(soon(t), skybus.RecvOptions{Buf: m.Data})
	if err != nil || string(m.Data) != "12345678901" || string(buf[:10]) != "1234567890" {
		t.Errorf("received %q, %v; the buffer has %q", m.Data, err, buf[:10])
	}
	send(t, from, b, "")
	m, err = to.RecvWith(soon(t), skybus.RecvOptions{Buf: m.Data})
	if err != nil || len(m.Data) != 0 || cap(m.Data) == 0 {
		t.Errorf("received %q, %v: the buffer is gone", m.Data, err)
	}
}

// TestRecvFrom takes from one lane and leaves the others.
func TestRecvFrom(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	got := run(t, func() error { // before there is any lane
		m, err := to.RecvFrom(soon(t), c)
		if err == nil && (m.Src != c || string(m.Data) != "c1") {
			err = fmt.Errorf("received %+v", m)
		}
		return err
	})
	parked(t, d, b)
	from, other := bind(t, d, a), bind(t, d, c)
	send(t, from, b, "a1")
	send(t, from, b, "a2")
	send(t, other, b, "c1")
	if err := got(); err != nil {
		t.Fatal(err)
	}
	send(t, other, b, "c2")
	if m, err := to.TryRecvWith(skybus.RecvOptions{From: c}); err != nil || string(m.Data) != "c2" {
		t.Errorf("received %q, %v", m.Data, err)
	}
	_, err := to.TryRecvWith(skybus.RecvOptions{From: c})
	want(t, err, skybus.ErrEmpty)
	if texts := fmt.Sprint(drain(t, to)); texts != "[a1 a2]" {
		t.Errorf("left %s", texts)
	}
}

// TestPeekLeavesTheMessage: the next receive gets it, unflagged, although other
// lanes have messages too.
func TestPeekLeavesTheMessage(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	for i, at := range []*skybus.Endpoint{bind(t, d, a), bind(t, d, c), bind(t, d, c+1)} {
		for k := range 5 {
			send(t, at, b, fmt.Sprintf("%d-%d", i, k))
		}
	}
	for i := range 15 {
		var seen skybus.Message
		for range 1 + i%3 {
			var err error
			if seen, err = to.TryRecvWith(skybus.RecvOptions{Peek: true}); err != nil {
				t.Fatal(err)
			}
		}
		m := recv(t, to)
		if m.Src != seen.Src || m.Seq != seen.Seq || !bytes.Equal(m.Data, seen.Data) || m.Redelivered {
			t.Errorf("looked at %+v and then received %+v", seen, m)
		}
	}
	if l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b}); l.Received != 5 {
		t.Errorf("counted %d messages of 5", l.Received)
	}
	_, err := to.TryRecvWith(skybus.RecvOptions{Peek: true})
	want(t, err, skybus.ErrEmpty)
}

func TestPeekFromOneLane(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	send(t, bind(t, d, a), b, "a")
	send(t, bind(t, d, c), b, "c")
	for range 2 {
		m, err := to.RecvWith(soon(t), skybus.RecvOptions{From: c, Peek: true})
		if err != nil || string(m.Data) != "c" || m.Redelivered {
			t.Errorf("looked at %+v, %v", m, err)
		}
	}
	if n := len(drain(t, to)); n != 2 {
		t.Errorf("%d messages left", n)
	}
}

// TestSeveralReceive: each message goes to exactly one goroutine, and each of
// them sees a lane's messages in order.
func TestSeveralReceive(t *testing.T) {
	const readers, each = 4, 3000
	d := dynamic(t)
	to := bind(t, d, b)
	got := make(chan skybus.Message, 100)
	var results []func() error
	for range readers {
		results = append(results, run(t, func() error {
			last := map[any]uint64{}
			for {
				m, err := to.Recv(soon(t))
				if err != nil {
					return err
				}
				if m.Seq <= last[m.Src] {
					return fmt.Errorf("%v: %d after %d", m.Src, m.Seq, last[m.Src])
				}
				last[m.Src] = m.Seq
				got <- m
			}
		}))
	}
	for _, from := range []*skybus.Endpoint{bind(t, d, a), bind(t, d, c)} {
		results = append(results, run(t, func() error {
			for i := range each {
				if err := from.Send(soon(t), b, number(uint64(i))); err != nil {
					return err
				}
			}
			return skybus.ErrClosed
		}))
	}
	seen := map[string]bool{}
	for range 2 * each {
		select {
		case m := <-got:
			if id := fmt.Sprint(m.Src, m.Seq); seen[id] {
				t.Errorf("message %s came twice", id)
			} else {
				seen[id] = true
			}
		case <-time.After(patience):
			t.Fatalf("%d messages of %d came", len(seen), 2*each)
		}
	}
	to.Close()
	for _, result := range results {
		want(t, result(), skybus.ErrClosed)
	}
}

// TestGiveBackLeavesNoMapping: a lane that was given back and made anew is
// mapped once, whatever calls receive from it, and not at all when it has moved on.
func TestGiveBackLeavesNoMapping(t *testing.T) {
	t.Parallel()
	d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{IdleAfter: time.Second}})
	from, to := pair(t, d)
	send(t, from, b, "one")
	if _, err := to.RecvFrom(soon(t), a); err != nil {
		t.Fatal(err)
	}
	idle := func() bool {
		_, err := to.TryRecvWith(skybus.RecvOptions{From: a})
		l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b})
		return errors.Is(err, skybus.ErrEmpty) && l.Idle
	}
	eventually(t, "the lane is given back", idle)
	send(t, from, b, "two")
	if m, err := to.RecvFrom(soon(t), a); err != nil || string(m.Data) != "two" || m.Seq != 2 {
		t.Fatalf("received %+v, %v", m, err)
	}
	send(t, from, b, "three")
	if m := recv(t, to); string(m.Data) != "three" || m.Seq != 3 || m.Redelivered {
		t.Errorf("received %+v", m)
	}
	send(t, from, b, string(make([]byte, 10_000))) // the lane grows, and leaves what it had
	if m := recv(t, to); len(m.Data) != 10_000 || m.Seq != 4 {
		t.Errorf("received %d bytes as message %d", len(m.Data), m.Seq)
	}
	drain(t, to)
	m := mappings(t, d.Table().Folder()+"/l-00000101-00000201")
	l, _ := d.Table().Lane(channel.Pair{Src: a, Dst: b}) // it is given back once more, if that took a second
	if m != 1 && !(m == 0 && l.Idle) {
		t.Errorf("the lane is mapped %d times (given back: %v)", m, l.Idle)
	}
}

// What was handled makes room for its sender while the rest is being handled.
func TestReceiveReleasesWithinABatch(t *testing.T) {
	d := small(t)
	from, to := pair(t, d)
	sent, k, room := fill(t, from, b, 500), 0, 0
	n, err := to.Poll(sent, func(m skybus.Message) error {
		if k++; k > 1 && from.TrySend(b, m.Data[:1]) == nil {
			room++
		}
		return nil
	})
	if n != sent || err != nil || room == 0 {
		t.Errorf("%d of %d messages handled, %v; room for %d more meanwhile", n, sent, err, room)
	}
}
