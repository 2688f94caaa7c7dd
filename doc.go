// SPDX-License-Identifier: Apache-2.0

// Package skybus sends messages between the processes of one host through
// shared memory.
//
// A process opens a domain, binds an address and sends to addresses:
//
//	d, err := skybus.Open(1000, skybus.Options{})
//	e, err := d.Bind(addr.MustParse("0.0.0.1"))
//	err = e.Send(ctx, addr.MustParse("0.0.0.2"), []byte("hello"))
//
//	err = e.Receive(ctx, func(m skybus.Message) error {
//		fmt.Println(m.Src, m.Seq, string(m.Data))
//		return nil
//	})
//
// # What is promised
//
// Once Send has returned nil the message is in a queue that belongs to no
// process: it survives kill -9 of the sender and of the receiver, and it
// arrives once, in the order of sending from that address. It does not survive
// the host's power going out. A receiver that is killed between taking a
// message and having handled it gets it again, with Redelivered set, if it uses
// Receive; Recv takes for good before it returns.
//
// There is no server: a lane between two addresses is a ring of records in a
// file of /dev/shm, made on demand. Binding an address is exclusive and ends with the
// process, however that ends.
//
// # Bytes
//
// Send copies what it is given before it returns. The bytes of a Message that a
// handler gets lie in shared memory and are the handler's until it returns.
//
// # Concurrency
//
// A Domain and an Endpoint may be used by any number of goroutines. Messages
// that one goroutine sends to one address stay in order. At most one of Receive
// and Messages may run on an endpoint at a time; Recv and TryRecv may be called
// by several, and each message goes to one of them.
//
// Linux only; elsewhere Open returns an error that wraps errors.ErrUnsupported.
package skybus
