// SPDX-License-Identifier: Apache-2.0

// Package local is the cluster engine of one host: skybusd has it in its memory and serves it on a
// socket in the domain's folder, where [Dial] makes a cluster.Provider of it.
//
//	p, err := local.Dial("/dev/shm/skybus-1000", local.Options{Addr: self, Logger: log})
//
// Nothing is on disk. An engine that starts is empty, and those who have put something put it
// again (cluster.Names does). A client connects by itself, again and again, and goes on with its leases
// and watches where the engine is still the same.
//
// A [Replica] serves the same way what an engine outside of the host has: a copy of it for reads and watches,
// also while that engine is away. What is written goes there first.
//
//	r, err := local.NewReplica(p, local.ReplicaOptions{Host: "west", State: "/var/lib/skybus/replica.json"})
//	s, err := r.Serve("/dev/shm/skybus-1000", local.ServerConfig{})
//
// The frames, what becomes of leases, and the bounds are docs/format/cluster.md. The engine trusts whom the
// socket lets in with the keys, not with itself: what makes no sense ends the connection it came
// on, and what a client holds is bounded.
package local
