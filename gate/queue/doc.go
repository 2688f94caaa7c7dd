// SPDX-License-Identifier: Apache-2.0

// Package queue is what waits for one client of a gate: packets that many clients
// share, marks that say when a client is slow, and what is done about it.
//
//	p := queue.New(budget, payload)   // once, however many shall get it
//	q.Push(p, queue.Must, 0)          // for each: a reference
//	bufs = q.Fill(bufs[:0])           // what one writev takes
//	q.Done(n, now)                    // what it has taken
//
// A [Packet] is immutable and counted. How it looks on the wire, framed or as a WebSocket
// message, is made when it is first needed, once for all queues, and kept while a queue holds the packet.
// A [Budget] sums up the packets that queues hold, each once.
//
// A [Queue] keeps the order in which packets were pushed. It holds no memory while it is
// empty. It knows no clock and no socket: times come from the caller, in nanoseconds from any
// origin.
package queue
