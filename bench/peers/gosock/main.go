// SPDX-License-Identifier: Apache-2.0

// Gosock is what a Go program does without a bus: messages with a length of 4 bytes in front, over a Unix
// socket or TCP on loopback, one write a message or through buffers of 64 KiB on both sides.
//
//	gosock unix|unix-64k|tcp|tcp-64k --mode throughput|latency --size 64
//
// The buffered form is a throughput baseline; in a round trip it flushes after every message.
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
	o.Wait = "park"
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
		answer(link, o)
		return
	}
	produce(link, o)
}

// link reads and writes whole messages.
type link struct {
	r     io.Reader
	w     io.Writer
	flush func() error
}

// open gives the plain form a read buffer too: a careful program does not spend a system call on 4 bytes.
func open(conn net.Conn, kind string) link {
	if strings.HasSuffix(kind, "-64k") {
		w := bufio.NewWriterSize(conn, buffer)
		return link{bufio.NewReaderSize(conn, buffer), w, w.Flush}
	}
	return link{bufio.NewReaderSize(conn, buffer), conn, func() error { return nil }}
}

// send writes frame, whose first 4 bytes are room for the length.
func (l link) send(frame []byte) error {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-prefix))
	_, err := l.w.Write(frame)
	return err
}

// receive fills frame with the next message and returns its payload.
func (l link) receive(frame []byte) ([]byte, error) {
	if _, err := io.ReadFull(l.r, frame[:prefix]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(frame)
	if int(n) > len(frame)-prefix {
		peer.Die("a message of %d bytes", n)
	}
	payload := frame[prefix : prefix+n]
	_, err := io.ReadFull(l.r, payload)
	return payload, err
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
	frame := make([]byte, prefix+o.Size)
	m := peer.NewMeter(o)
	for n := uint64(1); ; n++ {
		payload, err := l.receive(frame)
		peer.Must("receive", err)
		peer.Check(payload, n)
		if !m.Add() {
			return m.PerSecond()
		}
	}
}

func answer(l link, o *peer.Options) {
	frame := make([]byte, prefix+o.Size)
	for {
		payload, err := l.receive(frame)
		if err != nil {
			return // the asker has enough
		}
		if l.send(frame[:prefix+len(payload)]) != nil || l.flush() != nil {
			return
		}
	}
}

func ask(l link, o *peer.Options, h *peer.Histogram) float64 {
	frame, reply := make([]byte, prefix+o.Size), make([]byte, prefix+o.Size)
	return peer.PingPong(o, h, func(n uint64) {
		peer.Stamp(frame[prefix:], n)
		peer.Must("send", l.send(frame))
		peer.Must("flush", l.flush())
		payload, err := l.receive(reply)
		peer.Must("receive", err)
		peer.Check(payload, n)
	})
}
