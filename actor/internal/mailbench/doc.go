// SPDX-License-Identifier: Apache-2.0

// Package mailbench holds the mailboxes that the actor runtime could have had,
// so that the one it has is chosen by measurement and the measurement can be
// made again. Benchmarks and tests use it and nothing that ships does;
// docs/design/mailbox.md has the figures and the choice.
//
// All candidates do the same work: many senders, one reader, order kept per
// sender, no slot that still refers to a message after it was taken, and an exact
// answer to the question whether a sender has to schedule the reader:
//
//	if box.Put(m) { // it was asleep
//		runnable <- service
//	}
//
//	for { // the service's turn
//		m, ok := box.Take()
//		if !ok {
//			return // it is asleep now
//		}
//		handle(m)
//	}
package mailbench
