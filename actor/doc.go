// SPDX-License-Identifier: Apache-2.0

// Package actor runs services: things with a mailbox that handle one message at a
// time, as skynet's do.
//
// A [Runtime] has any number of services, millions if need be. [Runtime.Start]
// makes one from a [Spec] and returns its [PID]. Whoever knows the PID, or the name,
// sends: [Context.Send] and [Context.Call] inside a handler, [Runtime.Send] and
// [Runtime.Call] in any other goroutine. A handler gets a [Context] and a [Message]:
//
//	rt := actor.New(actor.Config{})
//	defer rt.Close()
//	echo, _ := rt.Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
//		return c.Reply(m.Value)
//	})})
//	answer, err := rt.Call(ctx, echo, "hello")
//
// # One at a time, and yet waiting
//
// No two handlers of a service run at once, so its state needs no lock. But while one
// waits, in Call, Sleep or Wait, its service handles other messages, and its state
// may be another one when the wait is over. Where that must not be, a [Serial]
// section keeps the others out. A handler is plain sequential code; it runs in a coroutine
// (iter.Pull) that is put aside while it waits and costs no goroutine switch when
// it does not.
//
// A handler may block otherwise, too, in a lock or in a system call: the runtime adds
// workers for the others. One that blocks or computes for longer than Config.Stuck
// is reported with its stack.
//
// # Values
//
// Values are passed as they are: whoever sends one gives it away, and must not write to
// it any more. A value that goes to several services, as to a [Group], is shared
// between them: nobody may write to it.
//
// # What is promised
//
// Messages from one service, or goroutine, to another arrive in the order in which
// they were sent, and each is handled once, or its sender hears that it was not: a call
// returns an error, a sent message comes back as [Undelivered]. A service that is
// gone has its handle for ever: nobody else gets it.
//
// # What must not be done
//
// A Context belongs to its handler: it must not be used by other goroutines, or after
// the handler has returned. Give them c.Runtime() and c.Self() instead. A handler
// that waits must not have locked its thread (runtime.LockOSThread) nor be below a
// callback from C: the Go runtime ends the process.
package actor
