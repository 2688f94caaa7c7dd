// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A Request is a call as it goes to another process, or by name.
type Request struct {
	Number  uint64        // of the object
	Hash    uint64        // of the method list that Index is a place in; 0: by name
	Index   int           // of the method
	Method  string        // its name
	Timeout time.Duration // that the caller has left; 0: for ever
	Holder  actor.PID     // whose end ends a stream; zero: the sender's
	Body    any           // the arguments: the method's generated struct, or []any
}

// An Answer is what a Request gets.
type Answer struct {
	Body    any      // the results, in the form of the Request's Body
	Failure *Failure // instead
}

// A Failure is an error as plain data.
type Failure struct {
	Text string
	Is   []string // names of what it is: see RegisterError
}

// Opened is the result of a method that streams.
type Opened struct {
	Stream uint64
	Holder actor.PID // set by a caller that is no service
}

// Next asks for items of a stream; the answer is a Chunk.
type Next struct{ Stream uint64 }

// A Chunk is the items that were ready, at least one unless it is the last.
type Chunk struct {
	Items   []any
	End     bool
	Failure *Failure
}

// Cancel ends a stream.
type Cancel struct{ Stream uint64 }

// Renew prolongs the sender's leases of objects; the answer is a Renewed.
type Renew struct{ Objects []uint64 }

// Renewed says for how long, and which of the objects are gone.
type Renewed struct {
	Lease time.Duration
	Gone  []uint64
}

// Forget gives up the sender's leases of objects.
type Forget struct{ Objects []uint64 }

func init() {
	register[Request]("rpc.Request")
	register[Answer]("rpc.Answer")
	register[Opened]("rpc.Opened")
	register[Next]("rpc.Next")
	register[Chunk]("rpc.Chunk")
	register[Cancel]("rpc.Cancel")
	register[Renew]("rpc.Renew")
	register[Renewed]("rpc.Renewed")
	register[Forget]("rpc.Forget")
	register[Object]("rpc.Object")
}

// plain returns v, which may have come as a pointer.
func plain[T any](v any) (t T, ok bool) {
	if t, ok = v.(T); ok {
		return t, true
	}
	if p, is := v.(*T); is && p != nil {
		return *p, true
	}
	return t, false
}

// body returns the results that an answer has, or its error.
func body(v any) (any, error) {
	a, ok := plain[Answer](v)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: the answer is a %T, want an rpc.Answer: the service hosts no objects", actor.ErrType, v)
	case a.Failure != nil:
		return nil, a.Failure.err()
	}
	return a.Body, nil
}
