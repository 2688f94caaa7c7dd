// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus/internal/testutil"
)

// manager listens as a service manager does.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, socket string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return &manager{t, conn}
}

// next returns the next message.
func (m *manager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(90 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

// empty wants no message to be there.
func (m *manager) empty() {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if n, err := m.conn.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		m.t.Errorf("there is %q, %v", buf[:n], err)
	}
}

// sockets are one of each kind. A test's folder may be too deep for a socket.
func sockets(t *testing.T) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return []string{filepath.Join(dir, "s"), fmt.Sprintf("@skybus-test-%d-%s", os.Getpid(), t.Name())}
}

func TestMessages(t *testing.T) {
	for _, socket := range sockets(t) {
		m := listen(t, socket)
		n := FromEnv()
		for _, test := range []struct {
			send func() error
			want string
		}{
			{n.Ready, "READY=1"},
			{n.Stopping, "STOPPING=1"},
			{func() error { return n.Status("2 links up") }, "STATUS=2 links up"},
			{func() error { return n.Status("a\nREADY=1\r\x00b") }, "STATUS=a READY=1  b"},
			{func() error { return n.Status("") }, "STATUS="},
		} {
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			if got := m.next(); got != test.want {
				t.Errorf("%s: got %q, want %q", socket, got, test.want)
			}
		}
	}
}

// TestReloadingSaysWhen compares with the clock that the manager has.
func TestReloadingSaysWhen(t *testing.T) {
	m := listen(t, sockets(t)[0])
	before := clock(t)
	if err := FromEnv().Reloading(); err != nil {
		t.Fatal(err)
	}
	after := clock(t)
	first, second, _ := strings.Cut(m.next(), "\n")
	digits, ok := strings.CutPrefix(second, "MONOTONIC_USEC=")
	when, err := strconv.ParseInt(digits, 10, 64)
	if first != "RELOADING=1" || !ok || err != nil || when < before || when > after {
		t.Errorf("got %q, %q, want a time from %d to %d", first, second, before, after)
	}
}

func clock(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000")
	for _, n := range []*Notifier{nil, FromEnv()} {
		if err := errors.Join(n.Ready(), n.Reloading(), n.Stopping(), n.Status("x")); err != nil {
			t.Error(err)
		}
		n.Watch(t.Context(), func() bool { t.Error("asked whether it lives"); return true })
	}
}

func TestSocketsThatAreNone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "vsock:2:9999")
	if err := FromEnv().Ready(); err == nil || !strings.Contains(err.Error(), `NOTIFY_SOCKET is "vsock:2:9999"`) {
		t.Errorf("got %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := FromEnv().Ready(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestManagerThatDoesNotRead fills the manager's queue: a message is given up.
func TestManagerThatDoesNotRead(t *testing.T) {
	m := listen(t, sockets(t)[0])
	n := FromEnv()
	var err error
	for i := 0; i < 100_000 && err == nil; i++ {
		err = n.Ready()
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	m.next()
	if err := n.Ready(); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func TestSignsOfLife(t *testing.T) {
	testutil.NoLeaks(t)
	m := listen(t, sockets(t)[0])
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var alive atomic.Bool
	var asked atomic.Int64
	alive.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		FromEnv().Watch(ctx, func() bool { asked.Add(1); return alive.Load() })
	}()
	for range 3 {
		if got := m.next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	alive.Store(false)
	// One may be on its way; when it was asked twice more, none is.
	for from := asked.Load(); asked.Load() < from+3; {
		time.Sleep(time.Millisecond)
	}
	for drained := false; !drained; {
		drained = m.drained()
	}
	m.empty()
	cancel()
	<-done
}

// drained takes a message if there is one. It goes by no clock: a deadline may pass beside a message.
func (m *manager) drained() bool {
	m.t.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	var taken error
	if err := raw.Control(func(fd uintptr) { _, taken = unix.Read(int(fd), make([]byte, 4096)) }); err != nil {
		m.t.Fatal(err)
	}
	return errors.Is(taken, unix.EAGAIN)
}

func TestSignsOfLifeThatNobodyWants(t *testing.T) {
	m := listen(t, sockets(t)[0])
	for _, env := range [][2]string{{"", ""}, {"0", ""}, {"x", ""}, {"-5", ""}, {"99999999999999999999", ""}, {"1000", "1"}} {
		t.Setenv("WATCHDOG_USEC", env[0])
		t.Setenv("WATCHDOG_PID", env[1])
		FromEnv().Watch(t.Context(), func() bool { return true })
	}
	m.empty()
}

func TestHalfTheTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30000000": 15 * time.Second, "1": 500 * time.Nanosecond, "": 0, "1.5": 0, "18446744073709551615": 0, "9223372036854775": 4611686018427387500,
	} {
		if got := half(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
