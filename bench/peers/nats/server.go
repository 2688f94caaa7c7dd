// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/url"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

const (
	loopback = "127.0.0.1"
	patience = 10 * time.Second

	routeVariable = "NATS_BENCH_ROUTE" // of the server to connect to, for the second one
	storeVariable = "NATS_BENCH_STORE" // folder that JetStream wants, although the stream is in memory
	memory        = 2 << 30            // what streams may take
)

// startServers returns what runs, and the addresses for the first and for the second process.
func startServers(kind, dir string) (all []*peer.Second, here, there string) {
	peer.Must("tell the directory", os.Setenv(storeVariable, dir))
	one := peer.StartRole("server", kind)
	here = one.Told()
	if kind != cluster {
		return []*peer.Second{one}, here, here
	}
	peer.Must("tell the route", os.Setenv(routeVariable, one.Told()))
	two := peer.StartRole("server", kind)
	return []*peer.Second{one, two}, here, two.Told()
}

// serve runs a server as its own command does by default, and tells its address, then that of its routes.
func serve(kind string) {
	opts := &server.Options{Host: loopback, Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}
	switch kind {
	case jetStream:
		opts.JetStream, opts.JetStreamMaxMemory, opts.StoreDir = true, memory, os.Getenv(storeVariable)
	case cluster:
		opts.Cluster = server.ClusterOpts{Name: "bench", Host: loopback, Port: server.RANDOM_PORT}
	}
	other := os.Getenv(routeVariable)
	if other != "" {
		u, err := url.Parse("nats://" + other)
		peer.Must("read the route", err)
		opts.Routes = []*url.URL{u}
	}
	s, err := server.NewServer(opts)
	peer.Must("make the server", err)
	s.Start()
	if !s.ReadyForConnections(patience) {
		peer.Die("the server is not ready after %v", patience)
	}
	await(other == "", s)
	peer.Tell(s.ClientURL())
	if kind == cluster {
		peer.Tell(s.ClusterAddr().String())
	}
	s.WaitForShutdown()
}

// await waits until a server that is not alone has its route.
func await(alone bool, s *server.Server) {
	for limit := time.Now().Add(patience); !alone && s.NumRoutes() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			peer.Die("no route between the servers after %v", patience)
		}
	}
}
