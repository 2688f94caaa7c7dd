// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"runtime"
	"syscall"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	loopBuffer = 64 << 10
	backlog    = 4096 // as package net has it; syscall.SOMAXCONN is that of old kernels
)

// loop is one thread that waits for all sockets.
type loop struct {
	*gateserver.Server
	at             *net.TCPAddr
	poll, listener int
	all            map[int]*gateserver.Half // of fan
	orders         gateserver.Orders
	buffer         []byte
}

func newLoop(s *gateserver.Server) *loop {
	l := &loop{Server: s, all: map[int]*gateserver.Half{}, buffer: make([]byte, loopBuffer)}
	var err error
	l.poll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	peer.Must("epoll_create1", err)
	l.listener, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	peer.Must("socket", err)
	peer.Must("bind", syscall.Bind(l.listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	peer.Must("listen", syscall.Listen(l.listener, backlog))
	name, err := syscall.Getsockname(l.listener)
	peer.Must("getsockname", err)
	l.at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}
	l.add(l.listener)
	return l
}

func (l *loop) add(fd int) {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	peer.Must("epoll_ctl", syscall.EpollCtl(l.poll, syscall.EPOLL_CTL_ADD, fd, &e))
}

func (l *loop) run() {
	runtime.LockOSThread()
	events := make([]syscall.EpollEvent, 512)
	for {
		n, err := syscall.EpollWait(l.poll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			peer.Must("epoll_wait", err)
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd == l.listener {
				l.accept()
			} else {
				l.read(fd)
			}
		}
	}
}

// accept takes all who wait.
func (l *loop) accept() {
	for {
		fd, _, err := syscall.Accept4(l.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if errors.Is(err, syscall.EAGAIN) {
			return
		}
		if errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EINTR) {
			continue
		}
		peer.Must("accept", err)
		l.Accepted.Add(1)
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) // it may be gone already
		if l.Fans() {
			l.all[fd] = new(gateserver.Half)
		}
		l.add(fd)
	}
}

// read reads once; what is left makes the next wait return at once.
func (l *loop) read(fd int) {
	n, err := syscall.Read(fd, l.buffer)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
	case n <= 0:
		_ = syscall.Close(fd)
		delete(l.all, fd)
	case l.Fans():
		l.all[fd].Take(l.buffer[:n], func(frame []byte) { l.packet(fd, frame) })
	default:
		write(fd, l.buffer[:n])
	}
}

// write waits where the socket has no room. Who is gone is noticed by the next read.
func write(fd int, b []byte) {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			runtime.Gosched()
			continue
		}
		if err != nil {
			return
		}
		b = b[n:]
	}
}

func (l *loop) packet(fd int, frame []byte) {
	if !gateserver.IsOrder(frame[gateserver.Head:]) {
		write(fd, frame)
		return
	}
	b := l.orders.Frames(frame[gateserver.Head:])
	for other := range l.all {
		write(other, b)
	}
}
