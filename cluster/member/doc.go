// SPDX-License-Identifier: Apache-2.0

// Package member is one host's part in a cluster: it publishes what the host has, its links, the
// addresses that are bound, configured prefixes and groups, and learns what the other hosts have.
//
//	m, err := member.Start(member.Config{
//		Provider: engine, Cluster: "shard-7", Host: "west", Links: []string{"10.0.0.1:7100"}, Incarnation: started,
//		Binds: bound, Apply: writeRouteTable, State: "/var/lib/skybus",
//	})
//	...
//	status := m.Status(ctx)
//	err = m.Close()
//
// Routes go to Config.Apply as whole tables, with the host's own configuration on top. Nothing
// that a message takes on its way asks a Member: while the engine is away the last table stays, also over
// a restart, from the last good copy in Config.State.
//
// What an engine says is not trusted: values that make no sense are passed over and told of, a
// policy says who may publish what, and a mass expiry of hosts is not believed at once. Keys, values
// and rules are a format, docs/format/cluster.md; why they are so is docs/design/cluster.md.
package member
