// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// RawConn is the standard library's.
type RawConn = syscall.RawConn

// maxVectors is how many pieces one Writev takes at most.
const maxVectors = 1024

// Writev writes the pieces to the socket as far as it takes them now, and returns
// how many bytes that were. A socket that takes nothing is no error.
func Writev(c RawConn, pieces [][]byte) (n int, err error) {
	var werr error
	err = c.Write(func(fd uintptr) bool {
		for {
			n, werr = unix.Writev(int(fd), pieces[:min(len(pieces), maxVectors)])
			if !errors.Is(werr, unix.EINTR) {
				return true
			}
		}
	})
	if errors.Is(werr, unix.EAGAIN) {
		werr = nil
	}
	return max(n, 0), errors.Join(err, werr)
}

// SetNotSentLowat keeps the kernel from taking more than n bytes that cannot be
// sent yet: what waits in the socket cannot be overtaken.
func SetNotSentLowat(c RawConn, n int) error {
	var serr error
	err := c.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n)
	})
	return errors.Join(err, serr)
}
