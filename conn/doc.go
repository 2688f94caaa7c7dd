// SPDX-License-Identifier: Apache-2.0

// Package conn has services speak TCP, TLS, Unix sockets and UDP themselves: reads and
// writes suspend the handler that waits, and its service goes on with other messages.
//
//	_, err := conn.Listen(c, "127.0.0.1:7000", func(c *actor.Context, n *conn.Conn) {
//		for {
//			line, err := n.ReadLine(c, "\n", 1024)
//			if err != nil {
//				return // the connection is closed
//			}
//			if err := n.Write(c, append(line, '\n')); err != nil {
//				return
//			}
//		}
//	})
//
// c is the [actor.Context] of a handler: of a message, of Start, of a Fork. Package gate is for
// many clients that a process has on behalf of others; this one is for a service that has
// a protocol of its own, as a server or as a client of a database.
//
// # Whose a connection is
//
// A connection, and a listener, belongs to one service: that of the handler that has made it, or the
// one that it was given to ([Conn.Give]). Handlers of others get [ErrNotOwner]. It is
// closed when its service ends or restarts; what was written is sent in the background, for 5 s at
// most. A hot restart closes it: its bytes are of a conversation that the next program does not know. As handlers that wait
// do, connections have Runtime.Pause go on until its context is over, and end then.
//
// Each connection has a goroutine that reads it. Beside a service that has connections runs a small one without a name, its keeper,
// which handlers wait for: that is what lists of services and tasks show. It ends when the service has had none for 2 s.
//
// # Waiting
//
// What waits ends with
//
//   - [net.ErrClosed] when the connection is closed, by whomever;
//   - the cause of the handler's Ctx when the request at hand is over: [context.DeadlineExceeded], or [actor.ErrGivenUp];
//   - [os.ErrDeadlineExceeded] when a deadline of the connection has passed ([Conn.SetReadDeadline]);
//   - [actor.ErrStopped] when the service is killed, fails or restarts.
//
// What a handler waited for in vain stays: bytes of half a line are there for the next one.
// Several handlers may wait on one connection. They are served in the order in which they came, each
// whole; so a second reader does not get a short line before the first one has its long one. The two
// directions have nothing to do with each other.
//
// Nothing here blocks a worker of the runtime: not the look-up of a name, not the dialling, not a peer
// that does not read.
//
// # Bounds
//
// What a peer has sent and nobody has read is kept up to [Config].ReadLimit, 64 KiB. Then nothing is read
// from the kernel any more, its buffer fills, and the peer waits. A read that wants more than
// that has the bound raised until it is done; memory grows with what has come, never with what
// was asked for. What is written waits up to Config.WriteLimit, 64 KiB; then Write waits.
//
// # When a service is stopped in good order
//
// While a service drains (Runtime.Stop, Shutdown) its listeners are closed, and so that it comes to its end
// reads from connections that were accepted end with [actor.ErrStopped] where they wait for the
// first byte; one that has some goes on. Dialled connections stay as they are: what the service
// still has to ask is answered. That is noticed within 100 ms.
//
// Floor 8: it may import package actor and its codec.
package conn
