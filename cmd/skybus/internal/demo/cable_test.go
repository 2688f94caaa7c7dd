// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// lay makes a cable whose host 1 returns what it gets.
func lay(t *testing.T) *cable {
	t.Helper()
	testutil.NoLeaks(t)
	c, err := newCable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	c.lead(1, l.Addr().String())
	return c
}

func dial(t *testing.T, c *cable, i int) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", c.address(i))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// echo reports whether b comes back.
func echo(conn net.Conn, b []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(b)
		sent <- err
	}()
	got := make([]byte, len(b))
	_, err := io.ReadFull(conn, got)
	if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, b) {
		err = errors.New("other bytes came back")
	}
	return err
}

// broken returns nil if the connection was reset, and did not end in good order.
func broken(conn net.Conn) error {
	_, err := conn.Read(make([]byte, 1))
	return wantReset(err)
}

// refused returns nil if a new connection is reset. The system has accepted it by
// then, mostly.
func refused(c *cable, i int) error {
	conn, err := net.DialTimeout("tcp", c.address(i), patience)
	if err != nil {
		return wantReset(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return broken(conn)
}

func wantReset(err error) error {
	if !errors.Is(err, syscall.ECONNRESET) {
		return errors.Join(errors.New("want a reset"), err)
	}
	return nil
}

func TestCableCarriesBytesAndOrderlyEnds(t *testing.T) {
	c := lay(t)
	rng := rand.New(rand.NewPCG(testutil.Seed(t), 0))
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	conn := dial(t, c, 1)
	if err := echo(conn, b); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(b); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v; want the end", n, err)
	}
}

func TestCutCableDropsAndRefuses(t *testing.T) {
	c := lay(t)
	var conns []*net.TCPConn
	for range 3 {
		conn := dial(t, c, 1)
		if err := echo(conn, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if n := c.cut(); n != 3 {
		t.Errorf("%d connections cut, want 3", n)
	}
	if err := refused(c, 1); err != nil {
		t.Error(err)
	}
	for i, conn := range conns {
		if err := broken(conn); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	c.mend()
	if err := echo(dial(t, c, 1), []byte("hello again")); err != nil {
		t.Error(err)
	}
}

func TestCableToNobodyRefuses(t *testing.T) {
	c := lay(t)
	c.lead(1, "")
	for i := range 2 {
		if err := refused(c, i); err != nil {
			t.Errorf("host %d: %v", i, err)
		}
	}
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c.lead(1, address) // a daemon that has just died
	if err := refused(c, 1); err != nil {
		t.Error(err)
	}
}

func TestClosedCableKeepsNothingOpen(t *testing.T) {
	c := lay(t)
	conn := dial(t, c, 1)
	if err := echo(conn, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	c.close()
	if err := broken(conn); err != nil {
		t.Error(err)
	}
	if again, err := net.Dial("tcp", c.address(1)); err == nil {
		again.Close()
		t.Error("the closed cable accepts")
	}
}
