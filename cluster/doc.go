// SPDX-License-Identifier: Apache-2.0

// Package cluster has what the hosts of a cluster know in common: an engine with keys,
// leases and changes, behind the interface [Provider], and on top of it global names, [Names], and leaders,
// [Elections].
//
//	p, err := local.Dial("/dev/shm/skybus-1000", local.Options{})
//	n, err := cluster.NewNames(p, cluster.NamesConfig{})
//	standing, err := n.Request(ctx, "bank", owner, names.NoQueue)
//	owners, err := n.Owners(ctx, "bank")
//
//	e, err := cluster.NewElections(p, cluster.ElectionsConfig{})
//	leadership, err := e.Campaign(ctx, "matchmaker", "10.0.0.2:9000")
//
// What is asked often never asks the engine: names are looked up in a copy that a watch keeps
// up to date. While the engine is away that copy stays, and [Names.Stale] says how old it is;
// what needs the engine waits, as long as its context lets it.
//
// The keys and values are a format, docs/format/cluster.md. The engine inside skybusd is
// package cluster/local; cluster/clustertest says what every engine must do.
package cluster
