// SPDX-License-Identifier: Apache-2.0

// Package ring carries records of variable length from one producer to one
// consumer through a region of shared bytes.
//
// The commit is in the record: a record's first word is stored last, so one
// cache line crosses between the sides, and a producer that dies leaves the
// tail readable from the records themselves. docs/format/ring.md is the
// format; the rules R1 to R15 named in this package's comments are from there.
//
//	0        4      5      8               16
//	+--------+------+------+----------------+---------------------+---------+
//	| len+1  |flags | tag  |   sequence     |  payload (len)      | to 16   |
//	| 32     |  8   | 24   |   64           |                     |         |
//	+--------+------+------+----------------+---------------------+---------+
//
// [Tx] writes and [Rx] reads, with mirrored verbs: Claim, then Commit or Abort;
// Take, then Release or Rewind. [Watcher] looks on without taking part.
//
// The package knows no operating system, clock or file: it works on a []byte.
// One goroutine at a time may use a Tx, an Rx or a Watcher; the two sides may
// run at once, in one process or in two.
//
// Everything read from the region is checked before it is used. A violation is
// an error that wraps [ErrDamaged] and says what was found.
package ring
