// SPDX-License-Identifier: Apache-2.0

// Package relay carries the lanes whose destination is on another host. A
// [Daemon] reads them on the host of their sources, and writes lanes of the
// same two addresses on the host of their destinations; docs/format/relay.md has the
// protocol, and package link is its state machine.
//
// The record in the sender's lane is the only copy until the far side has
// confirmed it. The daemon itself remembers nothing: it can be killed and
// replaced at any moment.
package relay
