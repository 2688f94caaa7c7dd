// SPDX-License-Identifier: Apache-2.0

// Nats measures nats-server, which runs in processes of its own as it would by its own command.
//
//	nats cluster --mode throughput|latency --size 64
//	nats jetstream --mode throughput --size 64
//	nats request --mode latency|throughput [--flight 64] --size 64
//
// cluster is plain NATS: the sender is at one server, the receiver at another, and a route connects the two: as
// many hops as through two daemons. Nothing is kept, nothing confirmed. jetstream is one server with a stream in
// memory: the sender publishes asynchronously, with a bounded number of acknowledgements outstanding, and
// the receiver acknowledges each message. request is one server and requests that wait for their replies.
//
// Plain NATS drops what a slow receiver does not take, and a stream grows. So the receiver grants credit and
// the sender stays within it; the window is so large that this costs nothing.
package main

import (
	"os"
	"slices"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	cluster   = "cluster"
	jetStream = "jetstream"
	request   = "request"

	urlVariable = "NATS_BENCH_URL" // of the server that the second process goes to
	maxWindow   = 64 << 10         // messages that may be under way
	windowBytes = 32 << 20         // bytes that may be
)

func main() {
	if len(os.Args) < 2 || !slices.Contains([]string{cluster, jetStream, request}, os.Args[1]) {
		peer.Die("usage: nats cluster|jetstream|request [flags]")
	}
	kind := os.Args[1]
	o := peer.Parse(os.Args[2:])
	o.Wait, o.TLS = "adaptive", "off" // the runtime polls for a while before its threads sleep
	if kind == jetStream && o.Latency() {
		peer.Die("jetstream: only --mode throughput")
	}
	if o.Child {
		peer.EndWithParent()
	}
	switch {
	case o.Role != "":
		serve(kind)
	case o.Child:
		second(kind, o)
	default:
		first(kind, o)
	}
}

// window is how many messages may be under way; half of them are granted at a time.
func window(o *peer.Options) uint64 { return uint64(min(maxWindow, windowBytes/o.Size)) }

// first starts the servers and the second process, and receives or asks.
func first(kind string, o *peer.Options) {
	dir, err := os.MkdirTemp(o.Dir, "nats")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	servers, here, there := startServers(kind, dir)
	c := connect(here, kind)
	peer.Must("tell the address", os.Setenv(urlVariable, there))
	if kind == jetStream {
		c.makeStream()
	}
	other := peer.StartSecond(kind)
	o.PinThread()
	var rate float64
	var h *peer.Histogram
	switch {
	case o.Latency():
		h = peer.NewHistogram()
		rate = c.ask(kind, o, h)
	case kind == request:
		rate = c.requestAtOnce(o)
	default:
		rate = c.consume(o)
	}
	other.Stop() // in this order nobody misses a server
	c.nc.Close()
	for _, s := range servers {
		s.Stop()
	}
	o.Print("nats-"+kind, rate, h)
}

// second sends, or answers.
func second(kind string, o *peer.Options) {
	c := connect(os.Getenv(urlVariable), kind)
	o.PinThread()
	if o.Latency() || kind == request {
		c.answer(kind)
	}
	c.produce(o)
}
