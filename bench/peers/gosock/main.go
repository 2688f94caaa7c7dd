// SPDX-License-Identifier: Apache-2.0

// Gosock is what a Go program does without a bus: messages with a length of 4 bytes in front, over a Unix
// socket or TCP on loopback, one write a message or through buffers of 64 KiB on both sides.
//
//	gosock unix|unix-64k|tcp|tcp-64k --mode throughput|latency --size 64
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
)

func main() {
	if len(os.Args) < 2 {
		peer.Die("usage: gosock unix|unix-64k|tcp|tcp-64k [flags]")
	}
	kind := os.Args[1]
	o := peer.Parse(os.Args[2:])
	o.Wait = "adaptive" // the runtime polls for a while before its threads sleep
	if o.Child {
		peer.EndWithParent()
		second(kind, o)
		return
	}
	first(kind, o)
}

// first listens, starts the second process and measures.
func first(kind string, o *peer.Options) {
	dir, err := os.MkdirTemp(o.Dir, "gosock")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	network, at := "unix", filepath.Join(dir, "s")
	if strings.HasPrefix(kind, "tcp") {
		network, at = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, at)
	peer.Must("listen", err)
	peer.Must("tell the address", os.Setenv("GOSOCK_ADDRESS", l.Addr().String()))
	other := peer.StartSecond(kind)
	conn, err := l.Accept()
	peer.Must("accept", err)

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
	other.Stop()
	o.Print("go-"+kind, rate, h)
}

// second connects and sends, or answers.
func second(kind string, o *peer.Options) {
	network := "unix"
	if strings.HasPrefix(kind, "tcp") {
		network = "tcp"
	}
	conn, err := net.Dial(network, os.Getenv("GOSOCK_ADDRESS"))
	peer.Must("dial", err)
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
