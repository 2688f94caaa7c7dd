// SPDX-License-Identifier: Apache-2.0

// Package envelope turns what a node says to another node into the bytes of one
// record of a lane, and back. docs/format/envelope.md is its page.
//
//	0   1    2     4    5    6    8     16     24       32
//	+---+----+-----+----+----+----+-----+------+---------+------------------------------+------+
//	|ver|kind|flags|enc |user| 0  | to  | from | session | type 4, trace 24, time left 8,| body |
//	| 1 | 1  | 2   | 1  | 1  | 2  | 8   | 8    | 8       | name 1+n: those that there are      |
//	+---+----+-----+----+----+----+-----+------+---------+------------------------------+------+
//
// It knows no socket, no clock and no service, and believes nothing that it
// reads: whatever breaks a rule of the page is an error that wraps [ErrFormat]
// and says the offset, what was found and what was expected. Nothing panics.
//
// The hot path does not allocate: [Envelope.AppendHead] writes the head into a
// buffer behind which the payload is encoded, and [Envelope.Parse] leaves name
// and payload where they lie.
package envelope
