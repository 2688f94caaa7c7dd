// SPDX-License-Identifier: Apache-2.0

// Package netlab puts several hosts on one machine, for tests of what happens
// between hosts: each is a network namespace with an address of its own, and a
// wire joins them all that loses, delays, reorders, doubles and slows packets as
// a test wants it.
//
//	lab := netlab.New(t, "a", "b", "c")
//	daemon := lab.Command("a", "skybusd", "--listen", lab.Address("a")+":4100")
//	lab.Netem("b", "loss", "5%", "delay", "10ms", "5ms")
//	lab.Partition("c")
//	lab.Heal("c")
//
// Processes of all hosts see the same files. They end with the lab, which ends
// with its test; nothing is left behind.
//
// The wire is part of the test's process: each host has a TUN device, and what
// comes out of one goes into another, by rules that are no more than a few words
// in memory. So it needs of the kernel only what every distribution has switched
// on; qdiscs such as netem are often left out, and a filter or a link that goes
// down tells the hosts more than a cable that was cut does. Its rules are
// those of netem(8), with its words. It carries IPv4, in packets of 1500 bytes,
// some hundred thousand a second.
//
// It needs Linux, root's rights, the command ip (iproute2) and /dev/net/tun.
// Where one is missing, tests are skipped; where the environment has CI set they
// fail instead, because there nobody would notice.
//
// Only tests import the package, and it imports no package of the module.
package netlab
