// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WaitWritable waits until a socket takes bytes, has failed, or c is closed, which is the error.
func WaitWritable(c RawConn) error {
	looked := false
	return c.Write(func(fd uintptr) bool {
		if looked {
			return true
		}
		looked = true // what happens from now on ends the wait
		return writable(fd)
	})
}

func writable(fd uintptr) bool {
	list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(list, 0)
		if !errors.Is(err, unix.EINTR) {
			return n != 0 || err != nil
		}
	}
}

// Cut ends a connection at once: the peer of a TCP socket gets a reset, that of another
// the end of the stream. What the kernel holds for it is let go of. The descriptor stays open.
func Cut(c RawConn) error {
	return control(c, func(fd int) error {
		// connect to "no address", which package unix has no form for, is disconnect.
		if err := disconnect(fd); err == nil {
			return nil
		}
		return unix.Shutdown(fd, unix.SHUT_RDWR)
	})
}

// ShutdownBoth ends both directions of a connection in order: what was written still arrives. The
// descriptor stays open.
func ShutdownBoth(c RawConn) error {
	return control(c, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// ShutdownWrite ends the direction to the peer.
func ShutdownWrite(c RawConn) error {
	return control(c, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// SetUserTimeout ends a TCP connection whose peer does not acknowledge what was sent for d.
func SetUserTimeout(c RawConn, d time.Duration) error {
	return setInt(c, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// Rights returns the control message that gives descriptors to another process.
func Rights(fds ...int) []byte { return unix.UnixRights(fds...) }

// RightsSize is the room that ParseRights needs for one descriptor.
var RightsSize = unix.CmsgSpace(4)

// ParseRights returns the descriptors of control messages, closed on exec.
func ParseRights(control []byte) ([]int, error) {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("control messages: %w", err)
	}
	var fds []int
	for i := range list {
		more, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			continue // one of another type
		}
		fds = append(fds, more...)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds, nil
}

// SocketPair returns the two ends of a stream between them.
func SocketPair() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// CloseFD closes a descriptor that no file has.
func CloseFD(fd int) error { return unix.Close(fd) }

func setInt(c RawConn, level, name, value int) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) })
}

func control(c RawConn, f func(fd int) error) error {
	var ferr error
	err := c.Control(func(fd uintptr) { ferr = f(int(fd)) })
	return errors.Join(err, ferr)
}
