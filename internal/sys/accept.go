// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"syscall"
)

// Exhausted reports whether err of an accept says that the process or the system has
// no descriptor or no memory for one more connection. The listener is sound, and
// accepts again when there is.
func Exhausted(err error) bool {
	return isOneOf(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM)
}

// Aborted reports whether err of an accept is about the one connection that was to
// be accepted, which is gone, and not about the listener. On Linux faults of the network
// that wait for a connection are told in this way; see accept(2).
func Aborted(err error) bool {
	return isOneOf(err, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EINTR, syscall.ENETDOWN,
		syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH,
		syscall.EPERM, syscall.ETIMEDOUT)
}

func isOneOf(err error, list ...syscall.Errno) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	for _, e := range list {
		if errno == e {
			return true
		}
	}
	return false
}
