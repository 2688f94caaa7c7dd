// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/actor/actortest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// call is what a service of these tests runs.
type call func(c *actor.Context) error

// newService makes a handler that runs what it is sent, and drops the rest.
func newService() actor.Handler {
	m := new(actor.Mux)
	actor.Do(m, func(c *actor.Context, f call) error { return f(c) })
	m.Other(func(*actor.Context, *actor.Message) error { return nil })
	return m
}

// world is a runtime with a service, and a check that nothing is left of it.
func world(t testing.TB) (*actor.Runtime, actor.PID) {
	t.Helper()
	testutil.NoLeaks(t)
	noDescriptors(t)
	rt := actortest.New(t, actor.Config{})
	return rt, service(t, rt)
}

func service(t testing.TB, rt *actor.Runtime) actor.PID {
	t.Helper()
	p, err := rt.Start(t.Context(), actor.Spec{New: newService})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noDescriptors fails the test if at its end more descriptors are open than now.
func noDescriptors(t testing.TB) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		var after []string
		for range 4500 {
			if after = descriptors(t); len(after) <= len(before) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("descriptors were %v, are %v", before, after)
	})
}

// descriptors lists the process's sockets.
func descriptors(t testing.TB) (list []string) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no list of descriptors: %v", err)
	}
	for _, e := range dir {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && bytes.HasPrefix([]byte(to), []byte("socket:")) {
			list = append(list, e.Name()+" "+to)
		}
	}
	return list
}

// in runs f as a handler of the service and returns its error.
func in(t testing.TB, rt *actor.Runtime, p actor.PID, f call) error {
	t.Helper()
	_, err := rt.Call(context.Background(), p, f)
	return err
}

// must is in for an f that succeeds.
func must(t testing.TB, rt *actor.Runtime, p actor.PID, f call) {
	t.Helper()
	if err := in(t, rt, p, f); err != nil {
		t.Fatal(err)
	}
}

// start is in for an f that waits: its error comes later.
func start(rt *actor.Runtime, p actor.PID, f call) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := rt.Call(context.Background(), p, f)
		done <- err
	}()
	return done
}

// pair returns a connection of the service over TCP, and the peer's end.
func pair(t testing.TB, rt *actor.Runtime, p actor.PID, g Config) (*Conn, *net.TCPConn) {
	t.Helper()
	mine, peer := tcpPair(t)
	var n *Conn
	must(t, rt, p, func(c *actor.Context) (err error) {
		n, err = g.Adopt(c, mine)
		return err
	})
	return n, peer
}

// tcpPair returns two ends of a connection over loopback. The second is closed with the test.
func tcpPair(t testing.TB) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	const room = 256 << 10 // or a system with much of it would take all that tests write
	if err := errors.Join(mine.(*net.TCPConn).SetWriteBuffer(room), peer.(*net.TCPConn).SetWriteBuffer(room),
		mine.(*net.TCPConn).SetReadBuffer(room), peer.(*net.TCPConn).SetReadBuffer(room)); err != nil {
		t.Fatal(err)
	}
	return mine.(*net.TCPConn), peer.(*net.TCPConn)
}

// waits returns when n handlers of the service wait, and nothing else is to be done in it.
func waits(t testing.TB, rt *actor.Runtime, p actor.PID, what string, n int) {
	t.Helper()
	eventually(t, func() bool {
		got := 0
		for _, task := range rt.Tasks(p, false) {
			if task.Message == what {
				got++
			}
		}
		return got == n
	})
}

const calls = "conn.call" // what a Task says that handles one

// eventually waits until f is true.
func eventually(t testing.TB, f func() bool) {
	t.Helper()
	for range 18_000 {
		if f() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it does not come true")
}

func wantError(t testing.TB, err error, wants ...error) {
	t.Helper()
	for _, want := range wants {
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
	}
}

// write has the peer send.
func write(t testing.TB, peer io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(peer, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, peer io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(peer, b); err != nil || string(b) != want {
		t.Fatalf("the peer has read %q, %v, want %q", b, err, want)
	}
}
