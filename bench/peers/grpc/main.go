// SPDX-License-Identifier: Apache-2.0

// Grpc measures unary calls of gRPC-Go between two processes: the second serves, the first calls over one
// connection.
//
//	grpc unix|tcp|tls --mode latency|throughput [--flight 64] --size 64
//
// tls is TCP on loopback below TLS 1.3 with certificates that both sides verify.
package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	overUnix = "unix"
	overTCP  = "tcp"
	overTLS  = "tls"

	dirVariable = "GRPC_BENCH_DIR" // where the second process makes its socket
)

func main() {
	kinds := []string{overUnix, overTCP, overTLS}
	if len(os.Args) < 2 || !slices.Contains(kinds, os.Args[1]) {
		peer.Die("usage: grpc unix|tcp|tls [flags]")
	}
	kind := os.Args[1]
	o := peer.Parse(os.Args[2:])
	o.Wait = "adaptive" // the runtime polls for a while before its threads sleep
	if o.Child {
		peer.EndWithParent()
		serve(kind)
		return
	}
	measure(kind, o)
}

// measure starts the server, and calls.
func measure(kind string, o *peer.Options) {
	dir, err := os.MkdirTemp(o.Dir, "grpc")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	peer.Must("tell the directory", os.Setenv(dirVariable, dir))
	switch kind {
	case overTCP:
		o.TLS = "off"
	case overTLS:
		o.TLS = "1.3"
		peer.MakeCertificate()
	}
	server := peer.StartRole("server", kind)
	c := connect(kind, server.Told())
	var rate float64
	var h *peer.Histogram
	if o.Latency() {
		h = peer.NewHistogram()
		rate = peer.PingPong(o, h, c.caller(o))
	} else {
		rate = c.callAtOnce(o)
	}
	c.close()
	server.Stop()
	o.Print("grpc-"+kind, rate, h)
}

// socket is where the server listens if it does not over TCP.
func socket() string { return filepath.Join(os.Getenv(dirVariable), "s") }

// caller returns a function that makes a call with a payload of its own, and checks the answer.
func (c *client) caller(o *peer.Options) func(n uint64) {
	in, out := &frame{make([]byte, o.Size)}, &frame{}
	return func(n uint64) {
		peer.Stamp(in.b, n)
		peer.Must("call", c.call(context.Background(), in, out))
		if len(out.b) != len(in.b) {
			peer.Die("the answer has %d bytes", len(out.b))
		}
		peer.Check(out.b, n)
	}
}

// callAtOnce has as many goroutines call as there are calls to be under way.
func (c *client) callAtOnce(o *peer.Options) float64 {
	t := peer.NewTally(o)
	for i := range t.Callers() {
		go t.Loop(i, c.caller(o))
	}
	return t.PerSecond()
}
