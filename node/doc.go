// SPDX-License-Identifier: Apache-2.0

// Package node joins the services of a process to the bus: what they send to services of other
// processes, on this host or another, goes through the lane between the two addresses, and the
// same functions do it.
//
//	d, err := skybus.Open(1000, skybus.Options{})
//	n, err := node.Start(d, addr.MustParse("0.0.3.1"), node.Config{Services: []actor.Spec{{Name: "db", New: newDB}}})
//	...
//	pid, err := n.Lookup(ctx, addr.MustParse("0.0.3.1"), "db")  // in another process
//	v, err := n.Runtime().Call(ctx, pid, &Query{ID: 7})
//
// Inside a process values pass as they are. Outside they are encoded once: types that are to
// travel are registered with package codec. docs/format/envelope.md is what goes over the
// lanes.
//
// # What comes, and when it comes again
//
//	                                     the sender's process is killed   the receiver's is killed
//	before Send has returned             it may not be sent               -
//	Send has returned                    it arrives                       the next process that binds the address gets it
//	it is in the mailbox, or handled     -                                again, with Message.Again set
//	the same, Spec.ReleaseEarly          -                                it is lost
//	its handler has returned             -                                not again, but for a moment: Again is set
//	a request has begun to wait          nobody gets the answer           the caller gets ErrPeerDied within a second
//
// A handler that goes on for long is no exception, but for one: at most half of a lane is
// held by messages that are being handled, and 20 ms after the lane had to grow the rest is
// released, too. Stats.EarlyReleases counts those.
//
// What was sent to a handle is refused by the next process, and its sender gets it back as a Bounce: with
// ErrPeerDied if it comes again, for it may have been done, else with actor.ErrStalePID. What was sent
// to a name reaches the service that has the name now.
//
// Floor 6: it may import the bus, its codec and package actor.
package node
