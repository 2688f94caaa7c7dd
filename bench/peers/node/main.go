// SPDX-License-Identifier: Apache-2.0

// Node measures Skybus's services of two processes, packages node and rpc.
//
//	node call --mode latency|throughput [--flight 64] --wait spin|park|adaptive
//	node bytes|struct --mode throughput
//	node stub|stub-handle --mode throughput
//	node hosts SKYBUSD call|bytes|struct ...
//
// call has services of the first process call one of the second, which answers with what it got; bytes and
// struct have a service of the second process send to one of the first. After hosts there are two
// daemons between the two processes, with TLS; SKYBUSD is the daemon's program, and skybus is beside it.
// stub is one process: it compares a generated stub of a local object with a bare call of a service, stub-handle
// with one of the same object's Handle.
package main

import (
	"os"
	"path/filepath"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	kindCall   = "call"
	kindBytes  = "bytes"
	kindStruct = "struct"
	kindStub   = "stub"
	kindHandle = "stub-handle"
	hosts      = "hosts"

	usage = "usage: node [hosts SKYBUSD] call|bytes|struct [flags], node stub|stub-handle [flags]"
)

// A bench is one measurement, in one of its processes.
type bench struct {
	*peer.Options
	kind   string
	daemon string   // its program; empty: both processes are on one host
	lead   []string // what stands before the flags
}

func main() {
	b := parse(os.Args[1:])
	switch {
	case b.kind == kindStub || b.kind == kindHandle:
		b.stub()
	case b.Child:
		peer.EndWithParent()
		b.second()
	default:
		b.first()
	}
}

func parse(args []string) *bench {
	b, n := &bench{}, 1
	if len(args) > 1 && args[0] == hosts {
		b.daemon, n = args[1], 3
	}
	if len(args) < n {
		peer.Die(usage)
	}
	b.lead, b.kind = args[:n], args[n-1]
	switch b.kind {
	case kindStub, kindHandle, kindCall, kindBytes, kindStruct:
	default:
		peer.Die(usage)
	}
	b.Options = peer.Parse(args[n:])
	return b
}

// first makes the bus, starts the second process, and asks or receives.
func (b *bench) first() {
	dir, err := os.MkdirTemp(b.Dir, "node")
	peer.Must("make a directory", err)
	defer os.RemoveAll(dir)
	roots := [2]string{dir, dir}
	stop := func() {}
	if b.daemon != "" {
		b.TLS = "1.3"
		roots, stop = startHosts(b.daemon, dir)
	}
	var s sink
	n, leave := b.join(roots[0], here, s.services(b))
	peer.Must("tell the directory", os.Setenv(rootVariable, roots[1]))
	other := peer.StartSecond(b.lead...)
	var rate float64
	var h *peer.Histogram
	switch {
	case b.kind != kindCall:
		rate = <-s.rate
	case b.Latency():
		h = peer.NewHistogram()
		rate = b.ask(n, find(n, there, serviceName), h)
	default:
		rate = b.askAtOnce(n, find(n, there, serviceName))
	}
	other.Stop()
	leave()
	stop()
	b.Print("node-"+b.kind, rate, h)
}

// second answers, or sends.
func (b *bench) second() {
	n, _ := b.join(os.Getenv(rootVariable), there, b.echo())
	if b.kind != kindCall {
		b.produce(n, find(n, here, serviceName))
	}
	select {}
}

// wait is how both nodes wait.
func (b *bench) wait() skybus.Wait {
	w, err := skybus.ParseWait(b.Wait)
	peer.Must("--wait", err)
	return w
}

// domain opens the bus below root, which is a host's, and makes it if need be.
func domain(root string) *skybus.Domain {
	peer.Must("make a host's directory", os.MkdirAll(filepath.Clean(root), 0o700))
	d, err := skybus.Open(domainKey, skybus.Options{Root: root, AllowUnknown: true})
	peer.Must("open the domain", err)
	return d
}
