// SPDX-License-Identifier: Apache-2.0

// Package relaybench measures messages that two relay daemons carry, on loopback.
//
// Each measurement has two hosts of its own: two folders with a domain and a
// daemon each, which know each other as "a" and "b". The first process of the
// measurement is at a, the second at b. They are those of package ipcbench, and
// so are their clocks and checks: the sequence of a message is the same on both
// hosts, so the receiver sees when one was lost, doubled or swapped on the way.
//
// [Run] measures one way, and there and back. [RunMemory] fills lanes that nobody
// reads and looks at what the daemons keep for themselves meanwhile.
//
// Nothing is left of folders and processes, whichever way a measurement ends;
// daemons are ended by their process, and end with this one.
package relaybench
