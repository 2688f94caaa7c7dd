// SPDX-License-Identifier: Apache-2.0

// Package engine runs a member of a managed engine on this host, if it has one: an etcd server as a child process.
// docs/design/engine.md says which hosts have one, and what survives what.
//
//	e, err := engine.Open(ctx, engine.Config{State: dir, Host: "east", Domain: 1000, Cluster: "games", Init: true, ...})
//	...
//	defer e.Close()
//	client, err := etcd.Dial(etcd.Options{Cluster: e.Cluster(), Endpoints: e.Endpoints(), ...})
//
// The server itself is in this package, too: [Serve], unless it was built with the tag noengine.
package engine
