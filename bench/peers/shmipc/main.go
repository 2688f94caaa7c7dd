// SPDX-License-Identifier: Apache-2.0

// Shmipc measures shmipc-go: one stream of one session between two processes, its synchronous calls, each
// message flushed by itself (peers wake each other only when the other side is idle, so bursts still share
// a wake-up).
//
// When its queue is full the library sleeps 10 ms, and when its memory runs out it turns to the socket for
// good. Both would spoil the figure, so the receiver grants credit and the sender stays below both limits.
// Messages are copied in and read in place. Its slices of memory are made to fit the messages, as its documentation advises.
//
//	shmipc --mode throughput|latency --size 64
package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/cloudwego/shmipc-go"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	maxWindow   = 4096     // messages under way; the library's queue takes 8,192
	windowBytes = 32 << 20 // bytes under way
	grant       = 8        // bytes of a grant; its content does not matter
	silent      = 5        // the library's "no print" level; it has no name outside
)

// window is how many messages may be under way; half of them are granted at a time.
func window(o *peer.Options) uint64 { return uint64(min(maxWindow, windowBytes/o.Size)) }

func main() {
	o := peer.Parse(os.Args[1:])
	o.Wait = "adaptive"        // the runtime polls for a while before its threads sleep
	shmipc.SetLogLevel(silent) // it prints to standard output
	if o.Child {
		peer.EndWithParent()
		second(o)
		return
	}
	first(o)
}

// first listens, starts the second process and measures.
func first(o *peer.Options) {
	dir, err := os.MkdirTemp(o.Dir, "shmipc")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	peer.Must("listen", err)
	peer.Must("tell the address", os.Setenv("SHMIPC_ADDRESS", path))
	other := peer.StartSecond()
	conn, err := l.Accept()
	peer.Must("accept", err)
	session, err := shmipc.Server(conn, config(path, o.Size))
	peer.Must("open the session", err)
	stream, err := session.AcceptStream()
	peer.Must("accept the stream", err)
	receive(stream, grant) // the client's greeting

	o.PinThread()
	var rate float64
	var h *peer.Histogram
	if o.Latency() {
		h = peer.NewHistogram()
		rate = ask(stream, o, h)
	} else {
		rate = consume(stream, o)
	}
	other.Stop()
	o.Print("shmipc-go", rate, h)
}

// second connects, and sends or answers.
func second(o *peer.Options) {
	path := os.Getenv("SHMIPC_ADDRESS")
	c := shmipc.DefaultSessionManagerConfig()
	c.Config = config(path, o.Size)
	c.Network, c.Address, c.SessionNum = "unix", path, 1
	manager, err := shmipc.NewSessionManager(c)
	peer.Must("open the session", err)
	stream, err := manager.GetStream()
	peer.Must("open the stream", err)
	send(stream, make([]byte, grant)) // a stream exists for the other side at its first message
	o.PinThread()
	if o.Latency() {
		answer(stream, o)
	}
	produce(stream, o)
}

// config keeps the memory in memfds: nothing to clean up.
func config(path string, size int) *shmipc.Config {
	c := shmipc.DefaultConfig()
	c.LogOutput = os.Stderr
	c.MemMapType = shmipc.MemMapTypeMemFd
	c.ShareMemoryPathPrefix, c.QueuePath = path+"-memory", path+"-queue"
	c.ShareMemoryBufferCap = 256 << 20
	c.BufferSliceSizes = []*shmipc.SizePercentPair{
		{Size: uint32(size) + 256, Percent: 70},
		{Size: 32 << 10, Percent: 20},
		{Size: 128 << 10, Percent: 10},
	}
	return c
}

func send(s *shmipc.Stream, payload []byte) {
	_, err := s.BufferWriter().WriteBytes(payload)
	peer.Must("write", err)
	peer.Must("flush", s.Flush(false))
}

// receive returns the next n bytes in place; they are given back by ReleasePreviousRead.
func receive(s *shmipc.Stream, n int) []byte {
	b, err := s.BufferReader().ReadBytes(n)
	if errors.Is(err, shmipc.ErrEndOfStream) || errors.Is(err, shmipc.ErrStreamClosed) {
		os.Exit(0)
	}
	peer.Must("read", err)
	return b
}

func produce(s *shmipc.Stream, o *peer.Options) {
	message := make([]byte, o.Size)
	window := window(o)
	for n := uint64(1); ; n++ {
		peer.Stamp(message, n)
		send(s, message)
		if n%(window/2) == 0 && n >= window {
			receive(s, grant)
			s.BufferReader().ReleasePreviousRead()
		}
	}
}

func consume(s *shmipc.Stream, o *peer.Options) float64 {
	m := peer.NewMeter(o)
	thanks := make([]byte, grant)
	credit := window(o) / 2
	for n := uint64(1); ; n++ {
		peer.Check(receive(s, o.Size), n)
		s.BufferReader().ReleasePreviousRead()
		if n%credit == 0 {
			send(s, thanks)
		}
		if !m.Add() {
			return m.PerSecond()
		}
	}
}

func answer(s *shmipc.Stream, o *peer.Options) {
	for {
		send(s, receive(s, o.Size))
		s.BufferReader().ReleasePreviousRead()
	}
}

func ask(s *shmipc.Stream, o *peer.Options, h *peer.Histogram) float64 {
	message := make([]byte, o.Size)
	return peer.PingPong(o, h, func(n uint64) {
		peer.Stamp(message, n)
		send(s, message)
		peer.Check(receive(s, o.Size), n)
		s.BufferReader().ReleasePreviousRead()
	})
}
