// SPDX-License-Identifier: Apache-2.0

// Package killtest is for tests that kill processes and then ask whether a
// message was lost, doubled, torn or out of order.
//
// A test starts copies of its own binary in a role:
//
//	func TestMain(m *testing.M) {
//		killtest.Main(map[string]killtest.Role{"writer": writer, "reader": reader})
//		os.Exit(m.Run())
//	}
//
//	p := killtest.Start(t, "writer", args)
//	p.Kill()
//
// What a process knows dies with it, so the processes write down what they do
// in files that they have mapped: a [Sent] for each sender, a [Received] for each
// receiver. One word is stored at a time, and a store is there as soon as the
// instruction is done, however the process ends. So no message is excused by the
// death of its witness. The rules:
//
//	sender:    Attempt(n); send message n; Accept(n)
//	restarted: the bus says which message was the last one accepted; that must
//	           be one between accepted and attempted
//	receiver:  check the payload; Mark(n, flagged), which reports a gap, a
//	           message that comes twice unflagged, and one out of order; return
//
// [Payload] makes a message's bytes from its number, so that the receiver knows
// every byte that it has to get.
//
// Only tests import the package, and it imports no package of the module.
package killtest
