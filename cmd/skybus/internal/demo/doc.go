// SPDX-License-Identifier: Apache-2.0

// Package demo shows that the bus keeps its promises: a producer and a consumer
// process exchange messages while something goes wrong, and afterwards every
// message is accounted for. There are two parts.
//
// On one host the two processes are killed and restarted. Between two hosts, which
// are two folders of this machine, the messages are carried by two relay daemons
// over mutual TLS through a cable that is cut; then the daemons are killed and
// restarted. The last part, be it the one or the other, ends with services: a
// customer in this process calls shops in others, one of which is killed.
// Processes are ended by their number, and end with this one.
//
// A demonstration of its own, RunCluster, has three hosts make a cluster. There the
// account is the customer's: each answer to a numbered order says how many orders
// the shop has counted.
//
// No message is excused by the death of its witness. Producer and consumer keep
// ledgers in mapped files, which stay when a process is killed:
//
//	sent   the number last tried and the number last accepted. A producer that
//	       comes back asks the bus (LastSeq) whether the Send that its
//	       predecessor was killed in counts, and compares.
//	seen   a byte of marks for each number: seen, again and flagged as such,
//	       doubled, torn, out of order. It is written before the message is
//	       released.
//
// Each message carries its number, the time it was sent, random bytes of varying
// length and a checksum over all of that. The parent, which is never killed,
// reads both ledgers at the end.
package demo
