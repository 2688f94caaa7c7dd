// SPDX-License-Identifier: Apache-2.0

// Netpoll is CloudWeGo's netpoll as a server of the area gate, with its defaults.
//
//	netpoll AS echo|fan DIR
package main

import (
	"context"
	"net"
	"os"
	"sync"

	"github.com/cloudwego/netpoll"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

func main() {
	s := &server{Server: gateserver.Parse(os.Args[1:]), all: map[net.Conn]*gateserver.Half{}}
	l, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
	peer.Must("listen", err)
	loop, err := netpoll.NewEventLoop(s.request, netpoll.WithOnPrepare(s.prepare), netpoll.WithOnDisconnect(s.gone))
	peer.Must("make the loop", err)
	go func() { peer.Must("serve", loop.Serve(l)) }()
	s.Run(l.Addr())
}

type server struct {
	*gateserver.Server

	mu     sync.Mutex // guards what follows, and keeps the packets of two orders apart
	all    map[net.Conn]*gateserver.Half
	orders gateserver.Orders
}

// prepare is called for each connection before it is read.
func (s *server) prepare(c netpoll.Connection) context.Context {
	s.Accepted.Add(1)
	if s.Fans() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all[c] = new(gateserver.Half)
	}
	return context.Background()
}

func (s *server) gone(_ context.Context, c netpoll.Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// request is called when bytes are there, for one connection at a time.
func (s *server) request(_ context.Context, c netpoll.Connection) error {
	r := c.Reader()
	b, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if s.Fans() {
		s.packets(c, b)
	} else {
		err = put(c, b)
	}
	if err != nil {
		return err
	}
	return r.Release()
}

// put sends b without a copy if it is large, and returns when the socket has taken it.
func put(c netpoll.Connection, b []byte) error {
	if _, err := c.Writer().WriteBinary(b); err != nil {
		return err
	}
	return c.Writer().Flush()
}

// packets returns packets, or does what they order. Who does not take it has been disconnected.
func (s *server) packets(c netpoll.Connection, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	half := s.all[c]
	if half == nil {
		return
	}
	half.Take(b, func(frame []byte) {
		if !gateserver.IsOrder(frame[gateserver.Head:]) {
			_ = put(c, append([]byte(nil), frame...))
			return
		}
		all := s.orders.Frames(frame[gateserver.Head:])
		for c := range s.all {
			_ = put(c.(netpoll.Connection), all)
		}
	})
}
