// SPDX-License-Identifier: Apache-2.0

// Package gateserver is what the Go servers of the area gate have in common: how they are run and asked, and
// the packets that they know. It is the other end of load/server.hpp and of load/idle.
//
//	PROGRAM AS MODE DIR
//
// AS is what the server is measured as, MODE is echo or fan, DIR is for files. A packet has two bytes of length in
// front, big-endian. In echo every packet comes back. In fan one of a single byte comes back, which lets a client in, and one of 8
// is an order: see Orders.
package gateserver

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// The modes.
const (
	Echo = "echo"
	Fan  = "fan"
)

// Head is how long the length in front of a packet is.
const Head = 2

// A Server is the process that is measured.
type Server struct {
	As, Mode, Dir string
	Accepted      atomic.Uint64 // connections, where the server counts them here
	Count         func() uint64 // connections accepted, where it counts them itself; nil: Accepted. Set before Run
}

// Parse reads the arguments behind the program's name.
func Parse(args []string) *Server {
	if len(args) != 3 || args[1] != Echo && args[1] != Fan {
		peer.Die("usage: %s AS echo|fan DIR", os.Args[0])
	}
	return &Server{As: args[0], Mode: args[1], Dir: args[2]}
}

// Fans says whether the server gets orders.
func (s *Server) Fans() bool { return s.Mode == Fan }

// Run tells the load where the server listens, answers it, and returns when the load has ended.
func (s *Server) Run(at net.Addr) { s.run(at, os.Stdin, os.Stdout) }

func (s *Server) run(at net.Addr, in io.Reader, out io.Writer) {
	accepted := s.Count
	if accepted == nil {
		accepted = s.Accepted.Load
	}
	fmt.Fprintf(out, "ready %s\n", at)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() == "memory" {
			runtime.GC() // what finalizers have let go of is collected by the next one
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(out, "accepted=%d allocs=%d heap=%d stack=%d\n", accepted(), m.Mallocs, m.HeapInuse, m.StackInuse)
	}
}

// Orders makes the packets that orders ask for, and numbers them. One goroutine at a time uses it.
type Orders struct{ number uint64 }

// IsOrder says whether a packet is an order, where the mode is fan.
func IsOrder(packet []byte) bool { return len(packet) == 8 }

// Each calls f for each packet of an order, which is how many there are to be and of how many bytes, 4 bytes each,
// little-endian. Each packet has memory of its own.
func (o *Orders) Each(order []byte, f func(packet []byte)) {
	size := binary.LittleEndian.Uint32(order[4:])
	for range binary.LittleEndian.Uint32(order) {
		o.number++
		packet := make([]byte, size)
		peer.Stamp(packet, o.number)
		f(packet)
	}
}

// Frames returns all packets of an order in one piece, each with its length in front.
func (o *Orders) Frames(order []byte) (all []byte) {
	o.Each(order, func(packet []byte) {
		all = binary.BigEndian.AppendUint16(all, uint16(len(packet)))
		all = append(all, packet...)
	})
	return all
}

// A Half is what has come of a packet of fan, which is short.
type Half struct {
	b [Head + 8]byte
	n int
}

// Take cuts packets out of b. frame has the length in front and is valid until the next one.
func (h *Half) Take(b []byte, f func(frame []byte)) {
	for _, c := range b {
		h.b[h.n] = c
		h.n++
		if h.n < Head {
			continue
		}
		size := int(binary.BigEndian.Uint16(h.b[:]))
		if size > len(h.b)-Head {
			peer.Die("a packet of %d bytes in fan", size)
		}
		if h.n == Head+size {
			h.n = 0
			f(h.b[:Head+size])
		}
	}
}
