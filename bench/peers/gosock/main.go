// SPDX-License-Identifier: Apache-2.0

// Gosock is what a Go program does without a bus: messages with a length of 4 bytes in front, over a Unix
// socket or TCP on loopback, one write a message or through buffers of 64 KiB on both sides.
//
//	gosock unix|unix-64k|tcp|tcp-64k|tcp-chain|tls-64k --mode throughput|latency --size 64
//
// tcp-chain has two processes more, which pass on what comes; tls-64k is tcp-64k below TLS 1.3.
//
// The buffered form is a throughput baseline; in a round trip it flushes after every message. Messages are
// read where the read buffer has them, so the largest has 64 KiB less its prefix.
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	prefix = 4
	buffer = 64 << 10

	addressVariable = "GOSOCK_ADDRESS" // where the second process connects to
)

// network is what the net package calls the kind's transport.
func network(kind string) string {
	if strings.HasPrefix(kind, "unix") {
		return "unix"
	}
	return "tcp"
}

func overTLS(kind string) bool { return strings.HasPrefix(kind, "tls") }

func main() {
	if len(os.Args) < 2 {
		peer.Die("usage: gosock unix|unix-64k|tcp|tcp-64k|tcp-chain|tls-64k [flags]")
	}
	kind := os.Args[1]
	o := peer.Parse(os.Args[2:])
	o.Wait = "adaptive" // the runtime polls for a while before its threads sleep
	if o.Child {
		peer.EndWithParent()
	}
	switch {
	case o.Role == forwarder:
		forward()
	case o.Child:
		second(kind, o)
	default:
		first(kind, o)
	}
}

// first listens, starts the second process and measures.
func first(kind string, o *peer.Options) {
	dir, err := os.MkdirTemp(o.Dir, "gosock")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "s")
	if network(kind) == "tcp" {
		at, o.TLS = "127.0.0.1:0", "off"
	}
	l, err := net.Listen(network(kind), at)
	peer.Must("listen", err)
	peer.Must("tell the address", os.Setenv(addressVariable, l.Addr().String()))
	var others []*peer.Second
	if kind == chain {
		others = startChain(l.Addr().String())
	}
	if overTLS(kind) {
		o.TLS = "1.3"
		peer.MakeCertificate()
	}
	others = append(others, peer.StartSecond(kind))
	conn, err := l.Accept()
	peer.Must("accept", err)
	if overTLS(kind) {
		conn = secured(conn, true)
	}

	o.PinThread()
	var rate float64
	var h *peer.Histogram
	link := open(conn, kind)
	if o.Latency() {
		h = peer.NewHistogram()
		rate = ask(link, o, h)
	} else {
		rate = consume(link, o)
	}
	_ = conn.Close()
	for _, other := range others {
		other.Stop()
	}
	o.Print("go-"+kind, rate, h)
}

// second connects and sends, or answers.
func second(kind string, o *peer.Options) {
	conn, err := net.Dial(network(kind), os.Getenv(addressVariable))
	peer.Must("dial", err)
	if overTLS(kind) {
		conn = secured(conn, false)
	}
	o.PinThread()
	link := open(conn, kind)
	if o.Latency() {
		answer(link)
		return
	}
	produce(link, o)
}

// link reads and writes whole messages.
type link struct {
	r     *bufio.Reader
	w     io.Writer
	flush func() error
}

// open gives the plain form a read buffer too: a careful program does not spend a system call on 4 bytes.
func open(conn net.Conn, kind string) link {
	r := bufio.NewReaderSize(conn, buffer)
	if strings.HasSuffix(kind, "-64k") {
		w := bufio.NewWriterSize(conn, buffer)
		return link{r, w, w.Flush}
	}
	return link{r, conn, func() error { return nil }}
}

// send writes frame, whose first 4 bytes are room for the length.
func (l link) send(frame []byte) error {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-prefix))
	_, err := l.w.Write(frame)
	return err
}

// receive returns the next frame where the buffer has it: a third faster at 64 B than reading it out. It is
// there until the next call.
func (l link) receive() (frame []byte, err error) {
	head, err := l.r.Peek(prefix)
	if err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	if n < 8 || n > buffer-prefix {
		peer.Die("a message of %d bytes", n)
	}
	frame, err = l.r.Peek(prefix + n)
	if err != nil {
		return nil, err
	}
	_, err = l.r.Discard(len(frame))
	return frame, err
}

func produce(l link, o *peer.Options) {
	frame := make([]byte, prefix+o.Size)
	for n := uint64(1); ; n++ {
		peer.Stamp(frame[prefix:], n)
		if l.send(frame) != nil {
			return // the receiver has enough
		}
	}
}

func consume(l link, o *peer.Options) float64 {
	m := peer.NewMeter(o)
	for n := uint64(1); ; n++ {
		frame, err := l.receive()
		peer.Must("receive", err)
		peer.Check(frame[prefix:], n)
		if !m.Add() {
			return m.PerSecond()
		}
	}
}

func answer(l link) {
	for {
		frame, err := l.receive()
		if err != nil {
			return // the asker has enough
		}
		if l.send(frame) != nil || l.flush() != nil {
			return
		}
	}
}

func ask(l link, o *peer.Options, h *peer.Histogram) float64 {
	frame := make([]byte, prefix+o.Size)
	return peer.PingPong(o, h, func(n uint64) {
		peer.Stamp(frame[prefix:], n)
		peer.Must("send", l.send(frame))
		peer.Must("flush", l.flush())
		reply, err := l.receive()
		peer.Must("receive", err)
		peer.Check(reply[prefix:], n)
	})
}
