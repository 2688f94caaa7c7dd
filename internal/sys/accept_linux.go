// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Turn accepts one connection that waits at a listener and resets it. It never
// waits: false without an error says that none is there. The connection takes a
// descriptor for that moment.
func Turn(listener RawConn) (bool, error) {
	var fd int
	var aerr error
	err := listener.Control(func(l uintptr) {
		for {
			fd, _, aerr = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if !errors.Is(aerr, unix.EINTR) {
				return
			}
		}
	})
	if err != nil || aerr != nil {
		if errors.Is(aerr, unix.EAGAIN) {
			aerr = nil
		}
		return false, errors.Join(err, aerr)
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a Unix socket has none
	return true, unix.Close(fd)
}
