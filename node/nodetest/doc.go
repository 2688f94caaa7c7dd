// SPDX-License-Identifier: Apache-2.0

// Package nodetest holds a suite that services pass wherever the two sides are: in one node, in two nodes of one
// process, in two processes, on two hosts, also while things go wrong between those.
//
// One side asks: it is in the test's process. The other is asked to start services, by name, by messages to a service that
// [Serve] makes; so it can be anywhere:
//
//	n, err := node.Start(d, at, node.Config{Services: []actor.Spec{nodetest.Serve(nodetest.Services)}}) // over there
//	...
//	far, err := nodetest.Find(ctx, n, at)
//	p, err := far.Start(nodetest.User{RT: n.Runtime()}, "echo", "")
//
// Floor 7: it may import the bus, services and nodes. Only tests import it.
package nodetest
