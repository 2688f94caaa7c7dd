// SPDX-License-Identifier: Apache-2.0

// Package client is one connection of a gate: a transport (TCP or another stream, TLS, WebSocket
// over either), its framing, and the queue of what waits to be sent.
//
//	set, err := client.Prepare(client.Options{Framing: frame.Length2})
//	c, err := client.New(conn, set, client.Link{})
//	err = c.Serve(func(packets [][]byte) error {
//		for _, b := range packets {
//			p := queue.Borrow(set.Budget(), b)
//			c.Send(p, queue.Must, 0)
//			p.Release()
//		}
//		c.Flush()
//		return nil
//	})
//
// # Reading
//
// Serve's goroutine reads. It borrows a buffer only while bytes are there, cuts what one read
// brought into packets, and hands them over as one batch. While the handler runs nothing is
// read: the kernel's buffer fills, and the client waits.
//
// # Writing
//
// Nobody waits for a client. Send queues; Flush writes what the socket takes, in one writev if it takes
// all, and starts the flusher if something is left: a goroutine that exists until the queue is
// empty. While it exists Flush does nothing. So a client that is behind costs the others nothing.
//
// # TLS
//
// crypto/tls encrypts what Flush has gathered, up to 16 KB at a time; what the socket does not take of it is kept, and
// nothing more is encrypted before that has gone. The handshake belongs to one goroutine, Serve to a fresh one:
// stacks do not shrink by themselves, and the handshake's is 8 KB.
//
// # The end
//
// Serve returns why the connection has ended, and has closed it then. Kick resets it: the kernel lets go of what it holds.
// CloseAfterFlush lets out what is queued. Whoever made a connection and does not call Serve calls Kick or Close.
package client
