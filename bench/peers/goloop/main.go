// SPDX-License-Identifier: Apache-2.0

// Goloop is what a Go program does without a gate, as a server of the area gate: it keeps no queue for anybody.
//
//	goloop epoll|net echo|fan DIR
//
// epoll is one goroutine that does what yardstick/epoll.cpp does; net is package net as it is used: a goroutine and a
// buffer of 4 KiB for each connection.
package main

import (
	"os"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

func main() {
	s := gateserver.Parse(os.Args[1:])
	switch s.As {
	case "epoll":
		l := newLoop(s)
		go l.run()
		s.Run(l.at)
	case "net":
		n := newNetServer(s)
		go n.accept()
		s.Run(n.l.Addr())
	default:
		peer.Die("there is no %q, only epoll and net", s.As)
	}
}
