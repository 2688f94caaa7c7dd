// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// A chain has as many processes and hops as a message that two daemons relay: one that asks, two that only
// pass on, one that answers. Nothing of a message is looked at on the way.
const (
	chain        = "tcp-chain"
	forwarder    = "forwarder"
	nextVariable = "GOSOCK_NEXT" // where a forwarder connects to
)

// startChain puts two forwarders before the address of the listener and makes the second process connect to
// the first of them.
func startChain(address string) []*peer.Second {
	var hops []*peer.Second
	for range 2 {
		peer.Must("tell the address", os.Setenv(nextVariable, address))
		hop := peer.StartRole(forwarder, chain)
		address = hop.Told()
		hops = append(hops, hop)
	}
	peer.Must("tell the address", os.Setenv(addressVariable, address))
	return hops
}

// forward connects a process that comes with the next of the chain.
func forward() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	peer.Must("listen", err)
	peer.Tell(l.Addr().String())
	near, err := l.Accept()
	peer.Must("accept", err)
	far, err := net.Dial("tcp", os.Getenv(nextVariable))
	peer.Must("dial", err)
	go pass(near, far)
	pass(far, near)
}

// pass copies by plain reads and writes, 64 KiB at most. io.Copy would splice through a pipe: two more
// system calls a message.
func pass(from, to net.Conn) {
	b := make([]byte, buffer)
	for {
		n, err := from.Read(b)
		if errors.Is(err, io.EOF) {
			os.Exit(0) // the ends have enough
		}
		peer.Must("read", err)
		_, err = to.Write(b[:n])
		peer.Must("write", err)
	}
}
