// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// signalled waits for a value of Ready.
func signalled(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("Ready is silent")
	}
}

func silent(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
		t.Error("Ready has a value")
	case <-time.After(20 * time.Millisecond):
	}
}

func TestReady(t *testing.T) {
	testutil.NoLeaks(t)
	d := dynamic(t)
	from, to := pair(t, d)
	send(t, from, b, "before")
	ready := to.Ready()
	signalled(t, ready)
	send(t, from, b, "unread yet")
	silent(t, ready) // nobody has found the inbox empty
	wantTexts(t, to, "before unread yet")
	silent(t, ready)
	send(t, from, b, "after")
	signalled(t, ready)
	if to.Ready() != ready {
		t.Error("another channel")
	}
}

// TestReadyLoop: an event loop as the documentation has it gets every message,
// whenever it comes.
func TestReadyLoop(t *testing.T) {
	const messages = 20_000
	d := dynamic(t)
	from, to := pair(t, d)
	rng := testutil.Rand(t)
	sent := run(t, func() error {
		for i := range messages {
			if err := from.Send(soon(t), b, number(uint64(i))); err != nil {
				return err
			}
			if rng.IntN(50) == 0 {
				time.Sleep(time.Duration(rng.IntN(200)) * time.Microsecond)
			}
		}
		return nil
	})
	for next, ready := uint64(0), to.Ready(); next < messages; {
		signalled(t, ready)
		for {
			m, err := to.TryRecv()
			if errors.Is(err, skybus.ErrEmpty) {
				break
			}
			if err != nil || numberOf(m) != next {
				t.Fatalf("received %+v, %v, want %d", m, err, next)
			}
			next++
		}
	}
	if err := sent(); err != nil {
		t.Fatal(err)
	}
}

// TestReadyAfterReceive: the loops arm it too.
func TestReadyAfterReceive(t *testing.T) {
	d := dynamic(t)
	from, to := pair(t, d)
	ready := to.Ready()
	for range 3 {
		send(t, from, b, "text")
		send(t, from, b, "text")
		signalled(t, ready)
		if n, err := to.Poll(10, func(skybus.Message) error { return nil }); n != 2 || err != nil {
			t.Fatalf("Poll returned %d, %v", n, err)
		}
	}
}

// TestEventFD waits by epoll, as an event loop in C would.
func TestEventFD(t *testing.T) {
	testutil.NoLeaks(t)
	d := dynamic(t)
	from, to := pair(t, d)
	event, err := to.EventFD()
	if err != nil {
		t.Fatal(err)
	}
	again, err := to.EventFD()
	if again != event || err != nil {
		t.Errorf("another file: %v", err)
	}
	poll := newEpoll(t, event)
	poll.reset(t, event) // it may be readable at first
	wantTexts(t, to, "")
	if poll.wait(t, 20*time.Millisecond) {
		t.Error("readable, and there is nothing")
	}
	for i := range 5 {
		later := time.AfterFunc(time.Duration(i)*time.Millisecond, func() { _ = from.Send(soon(t), b, []byte("text")) })
		defer later.Stop()
		if !poll.wait(t, patience) {
			t.Fatal("not readable")
		}
		poll.reset(t, event)
		wantTexts(t, to, "text")
	}
	to.Close()
	if err := event.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("it was open after Close: %v", err)
	}
	_, err = to.EventFD()
	want(t, err, skybus.ErrClosed)
}

// epoll is one epoll instance with one descriptor in it.
type epoll int

func newEpoll(t *testing.T, f *os.File) epoll {
	t.Helper()
	p, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p) })
	fd := int(f.Fd())
	if err := unix.EpollCtl(p, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		t.Fatal(err)
	}
	return epoll(p)
}

// wait reports whether the descriptor became readable in time.
func (p epoll) wait(t *testing.T, limit time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(limit); ; {
		events := make([]unix.EpollEvent, 1)
		n, err := unix.EpollWait(int(p), events, max(int(time.Until(end).Milliseconds()), 0))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	}
}

// reset reads the counter; it may be 0.
func (p epoll) reset(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := unix.Read(int(f.Fd()), make([]byte, 8)); err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
}
