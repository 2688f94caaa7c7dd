// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestFaultsOfAccept(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EMFILE: "exhausted", syscall.ENFILE: "exhausted", syscall.ENOBUFS: "exhausted", syscall.ENOMEM: "exhausted",
		syscall.ECONNABORTED: "aborted", syscall.EPROTO: "aborted", syscall.ENETDOWN: "aborted", syscall.EPERM: "aborted",
		syscall.EBADF: "", syscall.EINVAL: "", syscall.ENOTSOCK: "",
	} {
		err := fmt.Errorf("wrapped: %w", &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)})
		if got := Exhausted(err); got != (want == "exhausted") {
			t.Errorf("%v exhausted: %v", errno, got)
		}
		if got := Aborted(err); got != (want == "aborted") {
			t.Errorf("%v aborted: %v", errno, got)
		}
	}
	if Exhausted(io.EOF) || Aborted(nil) {
		t.Error("an error without a number was taken for one")
	}
}

func TestTurn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := Turn(raw); ok || err != nil {
		t.Errorf("of nobody: %v, %v", ok, err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ok, err := Turn(raw)
	for end := time.Now().Add(90 * time.Second); !ok && err == nil && time.Now().Before(end); ok, err = Turn(raw) {
		time.Sleep(time.Millisecond) // the last packet of the connection may be on its way
	}
	if !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v, want a reset", err)
	}
	l.Close()
	if ok, err := Turn(raw); ok || !errors.Is(err, net.ErrClosed) {
		t.Errorf("of a closed listener: %v, %v", ok, err)
	}
}
