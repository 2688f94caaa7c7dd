// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxVectors is how many pieces WriteVectors takes at most.
const MaxVectors = 64

// Vectors is memory for WriteVectors, to be used again.
type Vectors struct {
	list [MaxVectors]unix.Iovec
}

// Hint is memory for Recv, to be used again.
type Hint struct {
	head    unix.Msghdr
	vector  unix.Iovec
	control [hintSize]byte
}

const (
	// tcpInq is TCP_INQ: a recvmsg says how many bytes it has left in the socket.
	tcpInq = 36

	// hintSize is the size of a control message with an int.
	hintSize = unix.SizeofCmsghdr + 8
)

// WantHint has Recv tell what is left in a TCP socket.
func WantHint(c RawConn) error { return setInt(c, unix.IPPROTO_TCP, tcpInq, 1) }

// Recv reads what a socket has, and says whether that was all: that nothing was left, and the peer had
// not closed its side. (An error of the connection that has come meanwhile is not told.) It never waits;
// again means that there was nothing. The socket was given to WantHint; of another drained is false. b is not empty.
func Recv(fd uintptr, b []byte, h *Hint) (n int, drained, again bool, err error) {
	h.vector.Base = &b[0]
	h.vector.SetLen(len(b))
	h.head = unix.Msghdr{Iov: &h.vector, Iovlen: 1, Control: &h.control[0]}
	h.head.SetControllen(hintSize)
	var r uintptr
	errno := unix.EINTR
	for errno == unix.EINTR {
		r, _, errno = syscall.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h.head)), unix.MSG_DONTWAIT)
	}
	drained = h.head.Controllen >= unix.SizeofCmsghdr+4 && h.isEmpty()
	h.head, h.vector = unix.Msghdr{}, unix.Iovec{}
	if errno != 0 {
		return 0, false, errno == unix.EAGAIN, failed(errno)
	}
	return int(r), drained, false, nil
}

// isEmpty reads the control message: one of TCP_INQ with the value 0.
func (h *Hint) isEmpty() bool {
	c := (*unix.Cmsghdr)(unsafe.Pointer(&h.control[0]))
	return c.Level == unix.IPPROTO_TCP && c.Type == tcpInq &&
		*(*int32)(unsafe.Pointer(&h.control[unix.SizeofCmsghdr])) == 0
}

// RecvNow is Recv for any socket, without a hint.
func RecvNow(fd uintptr, b []byte) (n int, again bool, err error) {
	return recv(fd, b, unix.MSG_DONTWAIT)
}

// PeekNow is RecvNow, and leaves the bytes where they are.
func PeekNow(fd uintptr, b []byte) (n int, again bool, err error) {
	return recv(fd, b, unix.MSG_DONTWAIT|unix.MSG_PEEK)
}

// NothingYet reports whether a socket has neither bytes nor an end or an error. It needs little stack.
func NothingYet(fd uintptr) bool {
	var b byte
	errno := unix.EINTR
	for errno == unix.EINTR {
		_, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_DONTWAIT|unix.MSG_PEEK, 0, 0)
	}
	return errno == unix.EAGAIN
}

func recv(fd uintptr, b []byte, flags uintptr) (n int, again bool, err error) {
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), flags, 0, 0)
		if errno == 0 {
			return int(r), false, nil
		}
		if errno != unix.EINTR {
			return 0, errno == unix.EAGAIN, failed(errno)
		}
	}
}

// SendNow writes as much of b as a socket takes without waiting; again means
// that it takes nothing.
func SendNow(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		r, _, errno := syscall.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(r), false, nil
		}
		if errno != unix.EINTR {
			return 0, errno == unix.EAGAIN, failed(errno)
		}
	}
}

// WriteVectors is SendNow for at most MaxVectors pieces, none of them empty. The descriptor
// does not block.
func WriteVectors(fd uintptr, pieces [][]byte, v *Vectors) (n int, again bool, err error) {
	for i, b := range pieces {
		v.list[i].Base = &b[0]
		v.list[i].SetLen(len(b))
	}
	for {
		r, _, errno := syscall.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.list[0])), uintptr(len(pieces)))
		if errno == unix.EINTR {
			continue
		}
		clear(v.list[:len(pieces)])
		if errno != 0 {
			return 0, errno == unix.EAGAIN, failed(errno)
		}
		return int(r), false, nil
	}
}

// failed returns no error for EAGAIN, which is told in another way.
func failed(errno syscall.Errno) error {
	if errno == unix.EAGAIN {
		return nil
	}
	return errno
}

// disconnect is connect(2) to AF_UNSPEC: a TCP socket forgets its connection, and
// resets it.
func disconnect(fd int) error {
	unspec := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	errno := unix.EINTR
	for errno == unix.EINTR {
		_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspec)), unsafe.Sizeof(unspec))
	}
	if errno != 0 {
		return errno
	}
	return nil
}
