// SPDX-License-Identifier: Apache-2.0

// Package dial is a client of a gate, for programs that are clients themselves: bots, tools, tests, and services on hosts that the bus does
// not reach.
//
//	c, err := dial.Dial(ctx, "127.0.0.1:7000", dial.Options{Auth: []byte("ann"), Resume: true})
//	defer c.Close()
//	err = c.Send(ctx, []byte("hello"))
//	p, err := c.Recv(ctx)
//
// It speaks packets in a framing or over WebSocket, each with TLS or without. With Options.Resume it speaks the gate's
// protocol (docs/format/gate.md): a lost connection is made again, nothing is lost and nothing comes twice, and the caller does not notice
// but for Options.OnState. Without, a connection that is lost is the end.
//
// Floor 6.
package dial
