// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	buffer = 4 << 10
	pause  = 5 * time.Millisecond // after an accept that has failed, as net/http has it
)

// netServer has a goroutine for each connection.
type netServer struct {
	*gateserver.Server
	l net.Listener

	mu     sync.Mutex // guards what follows, and keeps the packets of two orders apart
	all    map[net.Conn]struct{}
	orders gateserver.Orders
}

func newNetServer(s *gateserver.Server) *netServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	peer.Must("listen", err)
	return &netServer{Server: s, l: l, all: map[net.Conn]struct{}{}}
}

func (n *netServer) accept() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			time.Sleep(pause)
			continue
		}
		n.Accepted.Add(1)
		go n.serve(c)
	}
}

func (n *netServer) serve(c net.Conn) {
	defer c.Close()
	if n.Fans() {
		n.join(c)
		defer n.leave(c)
	}
	b := make([]byte, buffer)
	var half gateserver.Half
	for {
		k, err := c.Read(b)
		if err != nil {
			return
		}
		if n.Fans() {
			half.Take(b[:k], func(frame []byte) { n.packet(c, frame) })
		} else if _, err := c.Write(b[:k]); err != nil {
			return
		}
	}
}

func (n *netServer) join(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[c] = struct{}{}
}

func (n *netServer) leave(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, c)
}

// packet returns a packet, or does what it orders. Who does not take it is noticed by his own goroutine.
func (n *netServer) packet(c net.Conn, frame []byte) {
	if !gateserver.IsOrder(frame[gateserver.Head:]) {
		_, _ = c.Write(frame)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.orders.Frames(frame[gateserver.Head:])
	for c := range n.all {
		_, _ = c.Write(b)
	}
}
