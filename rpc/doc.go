// SPDX-License-Identifier: Apache-2.0

// Package rpc calls methods of Go values that live in services, wherever those are.
//
// An object belongs to one service, and its methods run inside that as a handler does:
// one at a time, and they may wait. A [Ref] names it. Who has the Ref binds it and calls:
//
//	//go:generate skybus gen --type Account
//	type Account interface {
//		Deposit(ctx context.Context, amount int64) (int64, error)
//	}
//
//	p, _ := rt.Start(ctx, actor.Spec{New: rpc.Serve(func() Account { return &account{} })})
//
//	balance, err := rpc.RefOf[Account](p).Bind(c).Deposit(ctx, 5) // c: the handler's Context
//
// A service may have many objects: [Host] makes it a host of them, and [Export] returns a
// Ref for one more. A Ref is plain data: it is sent inside other values, compared, and a key of maps.
//
// # Methods
//
// A method is (ctx, args...) (results..., error); ctx may be left out. One without any result is
// one-way: the caller does not wait, and hears of nothing. A method that returns (iter.Seq2[T,
// error], error) streams: the sequence runs inside the service, a window of items ahead of
// who ranges over it; break ends it there, too. No method is variadic.
//
// # Values
//
// Within a process arguments and results pass as they are, as package actor has it: who passes one
// gives it away. This package encodes nothing; what carries messages to other processes does.
//
// # Life
//
// The object of Serve, and one exported with [Permanent], lives as long as its service. Any other
// lives while somebody holds a lease of it: see [Export].
//
// # Errors
//
// A call fails with a *[CallError]. It wraps what the method has returned, or what package actor
// says of a service that is gone, or [ErrNoObject], [ErrNoMethod], [ErrArgs], [ErrNilRef].
package rpc
