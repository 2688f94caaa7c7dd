// SPDX-License-Identifier: Apache-2.0

// Package link is the relay's protocol as a state machine: a [Session] is what
// one connection between two daemons is about. It has no socket, no clock and no
// goroutine: bytes and times go in, bytes come out, so that a simulator drives the same
// code that ships. What outlives a connection is in the lanes alone.
//
// docs/format/relay.md has the frames and the rules, L1 to L17, that the comments name.
package link
