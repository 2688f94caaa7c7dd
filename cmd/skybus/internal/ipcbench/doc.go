// SPDX-License-Identifier: Apache-2.0

// Package ipcbench measures the bus between two processes of one host, through
// the same calls that a user has.
//
// Each measurement has a domain and two processes of its own; both are gone when
// it ends. One way (throughput) the receiver counts: it leaves out a warm-up, in
// which the lane also grows to its full size, and reads the clock once in about
// a thousand messages. There and back (latency) the side that asks times every
// round trip, with one reading of the clock a trip.
//
// Every message carries its number in its first 8 bytes, and the receiver checks
// that number and the sequence of every message; the rest of a message is written
// in full by the sender, and not looked at by the receiver, which gets it in
// place. So bytes a second are bytes written, by one copy (send, batch) or in
// place (claim).
package ipcbench
