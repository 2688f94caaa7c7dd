// SPDX-License-Identifier: Apache-2.0

// Package etcd is a cluster.Provider whose engine is an etcd cluster, 3.4 or later.
//
//	c, err := etcd.Dial(etcd.Options{Cluster: "prod", Endpoints: []string{"10.0.0.2:2379", "10.0.0.3:2379"}})
//	...
//	defer c.Close()
//
// Revisions, leases and batches are etcd's own. What etcd does not have is a name for what it has held since it was
// last empty: that is the key /skybus/CLUSTER/life, which the first client puts and no client lists. Each batch compares it, so nothing is ever
// decided upon a revision of another life.
//
// Servers before 3.4.25 and 3.5.8 may say that a watch has been told all up to a revision when it has not (etcd issue
// 15220). They are found by their version and not believed: a watch then knows how far it is by its events alone, which
// is as good where nobody else uses the etcd.
//
// A connection on which nothing comes back for Options.Patience is closed, so a server that is stopped, or cut off
// without a word, costs each caller one attempt of that time at most. Nothing here depends on the time of day but the
// base of a life, which only grows.
package etcd
