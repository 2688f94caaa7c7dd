// SPDX-License-Identifier: Apache-2.0

// Package entry is what stands between a listener and the first packet of a
// client: it accepts, refuses whom it must, tells TLS, WebSocket and framed packets
// apart, and ends what takes too long.
//
//	s, err := entry.New(entry.Options{
//		Accept: func(c *client.Conn, in *entry.Info) {
//			c.Serve(func(packets [][]byte) error {
//				...
//				in.Authenticated() // once it is known who that is
//				...
//			})
//		},
//	})
//	defer s.Close()
//	l, err := net.Listen("tcp", ":7000")
//	err = s.Serve(l, entry.Config{TLS: config}) // until s.Stop
//
// One Server has any number of listeners; they share its caps, its counters and its
// sweeper.
//
// # What a connection goes through
//
//	phase       what is waited for                          limit
//	first byte  a PROXY header where one may be; enough     5 s
//	            bytes to tell TLS, HTTP and packets apart
//	TLS         the handshake                               5 s
//	upgrade     an HTTP request up to its empty line        5 s
//	auth        Accept calls Info.Authenticated             10 s
//	served      no limit by itself: only half a packet for
//	            10 s, or a client that does not read
//
// Up to auth a connection has a goroutine, which holds no buffer while nothing comes,
// and what has come. Accept is called by a fresh one, which reads the connection from then on: stacks
// do not shrink, and a handshake needs a large one. A byte now and then does not
// help: a limit is for the whole phase. One goroutine, the sweeper, looks at all limits four
// times a second; no connection has a timer.
//
// # Telling apart
//
// The first bytes decide. TLS begins with 0x16 0x03, a WebSocket upgrade with "GET
// "; everything else is packets. With 2-byte and 4-byte lengths that is no loss: read
// as a length, both are more than what a client may send before it is authenticated. With varint,
// line and raw framing a first packet that begins so is taken for the other; a
// listener of its own for each (Config.Protocols) leaves nothing to guess.
package entry
