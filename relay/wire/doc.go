// SPDX-License-Identifier: Apache-2.0

// Package wire turns the relay's frames into bytes and back. docs/format/relay.md
// is their page. It knows no socket and no clock, and believes nothing that it
// reads: every parser returns an error that wraps [ErrProtocol] for bytes that
// break a rule of the page, and never panics.
package wire
