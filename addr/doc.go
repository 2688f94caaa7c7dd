// SPDX-License-Identifier: Apache-2.0

// Package addr holds the bus address: 32 bits, written as dotted decimal
// numbers after a template of segment widths.
//
// An [Addr] is a plain number: comparable, usable as a map key, the same in
// shared memory, on the wire and in a table. How it is written is the business
// of a [Template], the list of the segments' widths in bits. Under the template
// 8.8.8.8 the address 769 reads "0.0.3.1"; under 16.16 it reads "0.769". The
// left-most segment is the most significant one, and a template whose widths
// add up to less than 32 uses the low bits of the address:
//
//	template 6.8.8.4, 26 bits
//
//	 31      26 25      20 19        12 11         4 3       0
//	+----------+----------+------------+------------+---------+
//	|  zero  6 | 1st    6 | 2nd      8 | 3rd      8 | 4th   4 |
//	+----------+----------+------------+------------+---------+
//
// All processes of one bus use the same template; nothing in an address tells
// which one it was.
//
// A [Prefix] stands for all addresses that begin alike, written with a '*' for
// each segment that is free: "0.0.3.*".
//
// Reading is strict: no spaces, no signs, nothing left out. Leading zeros are
// taken, and mean nothing: "010" is ten. Whoever reads a file trims first.
// Every refusal is a [*ParseError] that names the segment and what it may be,
// and wraps [ErrSyntax] or [ErrRange].
//
// The values of this package are immutable and safe for concurrent use.
package addr
