// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestWritesWaitForASlowPeer queues up to the limit, has more than that wait in order, and sees each byte
// arrive once.
func TestWritesWaitForASlowPeer(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{WriteLimit: 1000})
	block(t, rt, p, n)
	blocked := n.Stats().Queued
	var want bytes.Buffer
	var all []<-chan error
	rng := testutil.Rand(t)
	for i := range 50 {
		b := bytes.Repeat([]byte{byte('a' + i%26)}, 1+rng.IntN(3000))
		want.Write(b)
		all = append(all, start(rt, p, func(c *actor.Context) error {
			err := n.Write(c, b)
			clear(b) // it is ours again
			return err
		}))
		waits(t, rt, p, calls, i+1)
	}
	must(t, rt, p, func(*actor.Context) error { return nil }) // the service goes on
	if q := n.Stats().Queued; q != blocked {
		t.Errorf("%d bytes are queued, want the %d of the first write", q, blocked)
	}
	got := make([]byte, 8<<20+want.Len())
	if _, err := io.ReadFull(peer, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[8<<20:], want.Bytes()) {
		t.Error("what was written by those that waited has not come in their order")
	}
	for _, done := range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	must(t, rt, p, n.Flush)
	if s := n.Stats(); s.Queued != 0 || s.Written != uint64(len(got)) {
		t.Errorf("stats %+v, want %d written", s, len(got))
	}
}

func TestWriteDeadline(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{WriteLimit: 1000})
	block(t, rt, p, n)
	n.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Write(c, []byte("late")) }), os.ErrDeadlineExceeded)
	wantError(t, in(t, rt, p, n.Flush), os.ErrDeadlineExceeded)
	n.SetWriteDeadline(time.Time{})
	done := start(rt, p, func(c *actor.Context) error { return n.Write(c, []byte("then")) })
	all := make([]byte, 8<<20)
	if _, err := io.ReadFull(peer, all); err != nil {
		t.Fatal(err)
	}
	expect(t, peer, "then") // and nothing of "late"
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPutGoesAtOnce has many handlers put while the service is busy: what they put is read in one piece.
func TestPutGoesAtOnce(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	began, hold := make(chan struct{}), make(chan struct{})
	busy := start(rt, p, func(*actor.Context) error { close(began); <-hold; return nil })
	<-began
	var all []<-chan error
	for i := range 10 {
		all = append(all, start(rt, p, func(c *actor.Context) error { return n.Put(c, fmt.Appendf(nil, "%d.", i)) }))
	}
	eventually(t, func() bool { i, _ := rt.Info(p); return i.Waiting == 10 })
	close(hold)
	b := make([]byte, 100)
	size, err := peer.Read(b)
	if err != nil || size != 20 {
		t.Errorf("the first read of the peer: %q, %v, want 20 bytes", b[:size], err)
	}
	for _, done := range append(all, busy) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	must(t, rt, p, func(c *actor.Context) error { // what is put is sent before what is written
		return errors.Join(n.Put(c, []byte("one ")), n.Write(c, []byte("two ")), n.Put(c, []byte("three")))
	})
	expect(t, peer, "one two three")
	must(t, rt, p, func(c *actor.Context) error {
		err := n.Put(c, []byte("goodbye"))
		n.Close()
		return err
	})
	expect(t, peer, "goodbye")
}

// TestCloseSendsWhatWasWritten closes a connection whose peer has read nothing yet.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	block(t, rt, p, n)
	n.Close()
	got, err := io.ReadAll(peer)
	if err != nil || len(got) != 8<<20 {
		t.Errorf("the peer has read %d bytes, %v", len(got), err)
	}
}

func TestHalfClose(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	must(t, rt, p, func(c *actor.Context) error {
		return errors.Join(n.Put(c, []byte("question")), n.CloseWrite(c), n.CloseWrite(c))
	})
	got, err := io.ReadAll(peer)
	if string(got) != "question" || err != nil {
		t.Fatalf("the peer has read %q, %v", got, err)
	}
	if err := in(t, rt, p, func(c *actor.Context) error { return n.Write(c, []byte("more")) }); err == nil || !strings.Contains(err.Error(), "CloseWrite") {
		t.Errorf("write after CloseWrite: %v", err)
	}
	write(t, peer, "answer")
	peer.Close()
	must(t, rt, p, func(c *actor.Context) error {
		b, err := n.ReadAll(c, 0)
		if string(b) != "answer" {
			return fmt.Errorf("read %q", b)
		}
		return err
	})

	n, peer = pair(t, rt, p, Config{}) // and the peer closes its half first
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	must(t, rt, p, func(c *actor.Context) error {
		if _, err := n.Read(c, 0); !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %w", err)
		}
		return n.Write(c, []byte("still here"))
	})
	expect(t, peer, "still here")

	must(t, rt, p, func(c *actor.Context) error {
		n, err := Adopt(c, closedConn(t))
		if err != nil {
			return err
		}
		if err := n.CloseWrite(c); !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("close half of a pipe: %w", err)
		}
		return nil
	})
}

func TestPeerResets(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{WriteLimit: 1000})
	write(t, peer, "half a line")
	eventually(t, func() bool { return n.Stats().Buffered == 11 })
	block(t, rt, p, n)
	reading := start(rt, p, func(c *actor.Context) error {
		b, err := n.ReadLine(c, "\n", 0)
		if string(b) != "half a line" {
			t.Errorf("read %q", b)
		}
		return err
	})
	writing := start(rt, p, func(c *actor.Context) error { return n.Write(c, []byte("more")) })
	flushing := start(rt, p, n.Flush)
	waits(t, rt, p, calls, 3)
	_ = peer.SetLinger(0)
	peer.Close()
	err := <-reading
	if !is(err, syscall.ECONNRESET, syscall.EPIPE, io.ErrUnexpectedEOF) { // Linux tells one of the two sides
		t.Errorf("error %v, want a reset", err)
	}
	for _, done := range []<-chan error{writing, flushing} {
		if err := <-done; !is(err, syscall.ECONNRESET, syscall.EPIPE) {
			t.Errorf("error %v, want a reset", err)
		}
	}
	if err := in(t, rt, p, func(c *actor.Context) error { _, err := n.Read(c, 0); return err }); !is(err, syscall.ECONNRESET, syscall.EPIPE, io.EOF) {
		t.Errorf("read again: %v", err)
	}
	n.Close()
	if s := n.Stats(); s.Queued != 0 {
		t.Errorf("%d bytes wait for nobody", s.Queued)
	}
}

// TestAdoptedByOthers closes the socket below a connection.
func TestAdoptedByOthers(t *testing.T) {
	rt, p := world(t)
	n, _ := pair(t, rt, p, Config{})
	done := start(rt, p, func(c *actor.Context) error { _, err := n.Read(c, 0); return err })
	waits(t, rt, p, calls, 1)
	n.NetConn().Close()
	wantError(t, <-done, net.ErrClosed)
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Write(c, []byte("x")) }), net.ErrClosed)
}

// is reports whether err is one of those.
func is(err error, list ...error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
