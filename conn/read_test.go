// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestReadsDoNotDependOnHowDataComes sends the same bytes in two pieces, cut at every byte, and byte by byte.
func TestReadsDoNotDependOnHowDataComes(t *testing.T) {
	rt, p := world(t)
	const text = "one\r\n\r\ntwo\rthree\r\nABCDEFGrest of it"
	read := func(c *actor.Context, n *Conn) error {
		var got []string
		for range 3 {
			line, err := n.ReadLine(c, "\r\n", 20)
			if err != nil {
				return err
			}
			got = append(got, string(line))
		}
		seven, err := n.ReadN(c, 7)
		if err != nil {
			return err
		}
		none, err := n.ReadN(c, 0)
		if err != nil {
			return err
		}
		all, err := n.ReadAll(c, 0)
		if err != nil {
			return err
		}
		got = append(got, string(seven), string(none), string(all))
		if s := strings.Join(got, "|"); s != "one||two\rthree|ABCDEFG||rest of it" {
			return fmt.Errorf("read %q", s)
		}
		if _, err := n.Read(c, 0); !errors.Is(err, io.EOF) {
			return fmt.Errorf("at the end: %w", err)
		}
		n.Close()
		return nil
	}
	send := func(pieces ...string) {
		t.Helper()
		mine, peer := net.Pipe() // each Write is a Read of its own
		var n *Conn
		must(t, rt, p, func(c *actor.Context) (err error) {
			n, err = Adopt(c, mine)
			return err
		})
		done := start(rt, p, func(c *actor.Context) error { return read(c, n) })
		for _, s := range pieces {
			write(t, peer, s)
		}
		peer.Close()
		if err := <-done; err != nil {
			t.Fatalf("sent as %q: %v", pieces, err)
		}
	}
	for i := range len(text) + 1 {
		send(text[:i], text[i:])
	}
	send(strings.Split(text, "")...)
}

func TestLimitsOfLinesAndAll(t *testing.T) {
	rt, p := world(t)
	tests := []struct {
		name, sent string
		read       func(c *actor.Context, n *Conn) ([]byte, error)
		want       string
		err        error
		left       int // bytes that are there afterwards
	}{
		{"a line as long as the limit", "12345\nrest", lineOf("\n", 5), "12345", nil, 4},
		{"a line longer than the limit", "123456\nrest", lineOf("\n", 5), "", ErrTooLong, 11},
		{"no separator within the limit", "12345678", lineOf("\n", 5), "", ErrTooLong, 8},
		{"a long separator at the limit", "12345END", lineOf("END", 5), "12345", nil, 0},
		{"a long separator past the limit", "123456END", lineOf("END", 5), "", ErrTooLong, 9},
		{"a separator that begins and does not end", "1EN2END", lineOf("END", 5), "1EN2", nil, 0},
		{"an empty line", "\n", lineOf("", 0), "", nil, 0},
		{"half a line", "half", lineOf("\n", 0), "half", io.ErrUnexpectedEOF, 0},
		{"no line", "", lineOf("\n", 0), "", io.EOF, 0},
		{"all", "12345", allOf(5), "12345", nil, 0},
		{"more than all", "123456", allOf(5), "", ErrTooLong, 6},
		{"nothing at all", "", allOf(5), "", nil, 0},
		{"some", "12345", someOf(3), "123", nil, 2},
		{"what there is", "12345", someOf(0), "12345", nil, 0},
		{"fewer bytes", "12345", bytesN(6), "12345", io.ErrUnexpectedEOF, 0},
		{"no bytes", "", bytesN(6), "", io.EOF, 0},
	}
	for _, test := range tests {
		n, peer := pair(t, rt, p, Config{})
		write(t, peer, test.sent)
		if err := peer.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool {
			n.rd.mu.Lock()
			defer n.rd.mu.Unlock()
			return n.rd.err != nil
		})
		var got []byte
		err := in(t, rt, p, func(c *actor.Context) (err error) {
			got, err = test.read(c, n)
			return err
		})
		if string(got) != test.want || !errors.Is(err, test.err) || test.err == nil && err != nil {
			t.Errorf("%s: got %q, %v, want %q, %v", test.name, got, err, test.want, test.err)
		}
		if left := n.Stats().Buffered; left != test.left {
			t.Errorf("%s: %d bytes are left, want %d", test.name, left, test.left)
		}
		n.Close()
	}
	if err := in(t, rt, p, func(c *actor.Context) error {
		n, err := Adopt(c, closedConn(t))
		if err != nil {
			return err
		}
		_, err = n.ReadN(c, -1)
		return err
	}); err == nil || !strings.Contains(err.Error(), "-1 bytes") {
		t.Errorf("-1 bytes: %v", err)
	}
}

func closedConn(t *testing.T) net.Conn {
	t.Helper()
	a, b := net.Pipe()
	b.Close()
	return a
}

func lineOf(sep string, limit int) func(c *actor.Context, n *Conn) ([]byte, error) {
	return func(c *actor.Context, n *Conn) ([]byte, error) { return n.ReadLine(c, sep, limit) }
}

func allOf(limit int) func(c *actor.Context, n *Conn) ([]byte, error) {
	return func(c *actor.Context, n *Conn) ([]byte, error) { return n.ReadAll(c, limit) }
}

func someOf(limit int) func(c *actor.Context, n *Conn) ([]byte, error) {
	return func(c *actor.Context, n *Conn) ([]byte, error) { return n.Read(c, limit) }
}

func bytesN(size int) func(c *actor.Context, n *Conn) ([]byte, error) {
	return func(c *actor.Context, n *Conn) ([]byte, error) { return n.ReadN(c, size) }
}

// TestReadingStopsAtTheLimit has a peer send all it can to a service that does not read: little more
// than the limit is taken from the kernel. A read of more than the limit is served, and goes through all sizes of the buffer.
func TestReadingStopsAtTheLimit(t *testing.T) {
	rt, p := world(t)
	const limit = 10_000
	n, peer := pair(t, rt, p, Config{ReadLimit: limit})
	_ = peer.SetWriteBuffer(1 << 16)
	rng := testutil.Rand(t)
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	sent := make(chan error, 1)
	go func() {
		_, err := peer.Write(data)
		sent <- err
	}()
	eventually(t, func() bool { return n.Stats().Buffered == limit })
	time.Sleep(20 * time.Millisecond)
	if s := n.Stats(); s.Read != limit {
		t.Errorf("%d bytes were read, the limit is %d", s.Read, limit)
	}
	must(t, rt, p, func(c *actor.Context) error {
		for at := 0; at < len(data); {
			size := min(1+rng.IntN(10*limit), len(data)-at)
			b, err := n.ReadN(c, size)
			if err != nil {
				return err
			}
			if !bytes.Equal(b, data[at:at+size]) {
				return fmt.Errorf("%d bytes at %d are others", size, at)
			}
			at += size
			if held := n.Stats().Buffered; held > 11*limit {
				return fmt.Errorf("%d bytes are kept", held)
			}
		}
		return nil
	})
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestReadersAreServedInOrder has handlers with different wishes wait for one connection.
func TestReadersAreServedInOrder(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	const readers = 60
	got, done := make([]string, readers), make(chan error, readers)
	for i := range readers {
		d := start(rt, p, func(c *actor.Context) error {
			var b []byte
			var err error
			if i%2 == 0 {
				b, err = n.ReadLine(c, "\n", 0)
			} else {
				b, err = n.ReadN(c, 3)
			}
			got[i] = string(b)
			return err
		})
		go func() { done <- <-d }()
		waits(t, rt, p, calls, i+1)
	}
	var sent, want []string
	for i := range readers {
		s := fmt.Sprintf("%03d", i)
		want = append(want, s)
		if i%2 == 0 {
			s += "\n"
		}
		sent = append(sent, s)
	}
	text := strings.Join(sent, "")
	rng := testutil.Rand(t)
	for len(text) > 0 {
		size := min(1+rng.IntN(5), len(text))
		write(t, peer, text[:size])
		text = text[size:]
	}
	for range readers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

// TestServiceGoesOnWhileAHandlerReads asks a service that waits for its peer.
func TestServiceGoesOnWhileAHandlerReads(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	done := start(rt, p, func(c *actor.Context) error {
		b, err := n.ReadN(c, 2)
		if string(b) != "hi" {
			t.Errorf("read %q", b)
		}
		return err
	})
	waits(t, rt, p, calls, 1)
	for range 100 {
		must(t, rt, p, func(*actor.Context) error { return nil })
	}
	write(t, peer, "hi")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitsThatEndEarlyLoseNothing(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{})
	write(t, peer, "half a ")

	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1000)
	go func() {
		_, err := rt.Call(ctx, p, call(func(c *actor.Context) error {
			_, err := n.ReadLine(c, "\n", 0)
			gone <- err
			return err
		}))
		_ = err
	}()
	waits(t, rt, p, calls, 1)
	second := start(rt, p, func(c *actor.Context) error {
		b, err := n.ReadLine(c, "\n", 0)
		if string(b) != "half a line" {
			t.Errorf("the second has read %q", b)
		}
		return err
	})
	waits(t, rt, p, calls, 2)
	cancel()
	wantError(t, <-gone, actor.ErrGivenUp)
	write(t, peer, "line\n")
	if err := <-second; err != nil {
		t.Fatal(err)
	}

	write(t, peer, "la")
	for began, limit := false, 20*time.Millisecond; !began; limit *= 2 { // until it is enough for the handler to begin
		begun := new(atomic.Bool)
		_, err := rt.Call(within(t, limit), p, call(func(c *actor.Context) error {
			begun.Store(true)
			_, err := n.ReadLine(c, "\n", 0)
			gone <- err
			return err
		}))
		wantError(t, err, context.DeadlineExceeded)
		began = begun.Load()
	}
	wantError(t, <-gone, context.DeadlineExceeded)

	n.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	err := in(t, rt, p, func(c *actor.Context) error {
		_, err := n.ReadLine(c, "\n", 0)
		return err
	})
	wantError(t, err, os.ErrDeadlineExceeded)
	var netErr net.Error
	if !errors.As(err, &netErr) || !netErr.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	must(t, rt, p, func(c *actor.Context) error { // what is there is read in spite of the deadline
		b, err := n.ReadN(c, 2)
		if string(b) != "la" {
			t.Errorf("read %q", b)
		}
		return err
	})
	waiting := start(rt, p, func(c *actor.Context) error {
		n.SetDeadline(time.Time{})
		_, err := n.Read(c, 0)
		return err
	})
	waits(t, rt, p, calls, 1)
	n.SetReadDeadline(time.Now()) // while it waits
	wantError(t, <-waiting, os.ErrDeadlineExceeded)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestCloseEndsAllThatWait(t *testing.T) {
	rt, p := world(t)
	n, peer := pair(t, rt, p, Config{WriteLimit: 10})
	_ = peer.SetReadBuffer(4096)
	var all []<-chan error
	for range 20 {
		all = append(all, start(rt, p, func(c *actor.Context) error { _, err := n.ReadN(c, 1); return err }))
	}
	block(t, rt, p, n)
	for range 20 {
		all = append(all, start(rt, p, func(c *actor.Context) error { return n.Write(c, []byte("more")) }))
		all = append(all, start(rt, p, n.Flush))
	}
	waits(t, rt, p, calls, 60)
	closed := start(rt, p, n.WaitClosed)
	waits(t, rt, p, calls, 61)
	n.Abort()
	for _, done := range all {
		wantError(t, <-done, net.ErrClosed)
	}
	if err := <-closed; err != nil {
		t.Errorf("closed: %v", err)
	}
	err := in(t, rt, p, func(c *actor.Context) error { _, err := n.Read(c, 0); return err })
	wantError(t, err, net.ErrClosed)
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Write(c, []byte("x")) }), net.ErrClosed)
	n.Close() // again
	if _, err := io.Copy(io.Discard, peer); err == nil {
		t.Error("the peer sees an orderly end after Abort")
	}
}

// block fills the socket's buffers until writes are queued.
func block(t *testing.T, rt *actor.Runtime, p actor.PID, n *Conn) {
	t.Helper()
	b := make([]byte, 8<<20)
	must(t, rt, p, func(c *actor.Context) error { return n.Write(c, b) })
	if s := n.Stats(); s.Queued == 0 {
		t.Fatal("the kernel has taken 8 MiB")
	}
}
