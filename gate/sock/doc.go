// SPDX-License-Identifier: Apache-2.0

// Package sock is a stream socket with a descriptor, TCP or Unix: reads that borrow a buffer
// only while bytes are there, writes that never wait, resets, and descriptors that are
// handed to another process. What has no descriptor is joined to a pair of sockets that have.
//
// A [Conn] is a net.Conn as any other until Loop is called. Then Loop's goroutine reads it, and
// everybody writes by Write, one at a time:
//
//	err := c.Loop(nil, func(b []byte) (taken int, err error) { ... })
//	n, err := c.WriteNow(pieces) // what the socket takes
//	err = c.WaitWritable()       // for the rest
//
// # Why reading in a loop is not net.Conn.Read
//
// A goroutine in Read holds its buffer while it waits: with ten thousand idle clients that is most of
// the memory. Loop waits without one. And it asks the kernel, with the bytes, whether more are there
// (TCP_INQ), so that a request and its answer cost one system call each: see Loop.
//
// # Ends
//
// Close and Reset never wait, and may be called by what Loop calls: while it runs, they shut the connection
// down, and Loop closes the descriptor when it ends. (net.Conn's Close waits for who reads.)
package sock
