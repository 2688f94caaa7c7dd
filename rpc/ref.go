// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/actor"
)

// An Object names an object whose type is not known, or is somebody else's business. It is
// plain data, comparable; the zero Object is nil.
//
// Number is 0 for the object that a service itself is, which outlives restarts; any other number is given
// once. Hash tells which methods the object was exported with; 0: by no generated code.
type Object struct {
	PID    actor.PID
	Number uint64
	Hash   uint64
}

// leased marks the numbers of objects that live by leases.
const leased = 1 << 63

// IsZero reports whether o is nil.
func (o Object) IsZero() bool { return o.PID.IsZero() }

// Same reports whether o and p are one object, be it exported with different methods.
func (o Object) Same(p Object) bool { return o.PID == p.PID && o.Number == p.Number }

// String returns ":1f" for the object that a service is, ":1f#8" for others, and "nil".
func (o Object) String() string {
	switch {
	case o.IsZero():
		return "nil"
	case o.Number == 0:
		return o.PID.String()
	}
	return fmt.Sprintf("%v#%x", o.PID, o.Number)
}

// ParseObject reads what String returns. The Hash is 0: calls go by name.
func ParseObject(s string) (Object, error) {
	if s == "nil" {
		return Object{}, nil
	}
	pid, number, has := strings.Cut(s, "#")
	p, err := actor.ParsePID(pid)
	if err != nil {
		return Object{}, fmt.Errorf("object %.100q: %w", s, err)
	}
	o := Object{PID: p}
	if has {
		if o.Number, err = strconv.ParseUint(number, 16, 64); err != nil || o.Number == 0 {
			return Object{}, fmt.Errorf("object %.100q: number %.40q: want a hexadecimal number from 1", s, number)
		}
	}
	return o, nil
}

// A Ref names an object of type T, an interface. It is plain data: it may be part of any
// message, is comparable and a key of maps. The zero Ref is nil.
type Ref[T any] Object

// RefOf names the object that the service p is: see Serve.
func RefOf[T any](p actor.PID) Ref[T] { return As[T](Object{PID: p, Hash: hashOf[T]()}) }

// As is o as an object of type T. That it is one shows at the first call.
func As[T any](o Object) Ref[T] { return Ref[T](o) }

// Object returns the Ref without its type.
func (r Ref[T]) Object() Object { return Object(r) }

// IsZero reports whether r is nil.
func (r Ref[T]) IsZero() bool { return r.PID.IsZero() }

// Same reports whether r and o name one object.
func (r Ref[T]) Same(o Ref[T]) bool { return Object(r).Same(Object(o)) }

// String is Object.String.
func (r Ref[T]) String() string { return Object(r).String() }

func (r *Ref[T]) setObject(o Object) { *r = Ref[T](o) }

// A Target is what Call takes: an Object, or a Ref.
type Target interface{ target() Object }

func (o Object) target() Object { return o }
func (r Ref[T]) target() Object { return Object(r) }

// Bind returns the object itself in a handler of the service that has it, and elsewhere a stub, whose
// methods call it. What it returns belongs to the handler, as c does. Calls through a nil Ref fail with ErrNilRef.
// A Ref to an object that lives by leases is held from now on, until the service ends or calls Release.
//
// It panics if T has no generated code: see skybus gen. Call does without.
func (r Ref[T]) Bind(c *actor.Context) T {
	self := c.Self()
	near := isNear(r.PID, self)
	if near && r.PID.Handle == self.Handle {
		if h := hostOf(c); h != nil {
			if o := h.find(r.Number); o != nil {
				if v, ok := o.impl.(T); ok {
					return v
				}
			}
		}
	} else if r.Number&leased != 0 {
		hold(c.Runtime(), Object(r), self)
	}
	return stubOf[T](Stub{object: Object(r), c: c, rt: c.Runtime(), near: near && !r.IsZero()})
}

// On returns a stub for goroutines that are no handlers; any number of them may use it. It holds a lease,
// if there is one to be had, until the runtime ends or ReleaseOn is called. It panics as Bind does.
func (r Ref[T]) On(rt *actor.Runtime) T {
	if r.Number&leased != 0 {
		hold(rt, Object(r), actor.PID{})
	}
	near := !r.IsZero() && (r.PID.Node.IsNone() || isNear(r.PID, keeperOf(rt).pid))
	return stubOf[T](Stub{object: Object(r), rt: rt, near: near})
}

// isNear reports whether p is of the process that own is of.
func isNear(p, own actor.PID) bool { return p.Node.IsNone() || p.Node == own.Node }

// Release says that the service does not need the object any more. In the service that has the object it
// ends it: who calls it gets ErrNoObject.
func (r Ref[T]) Release(c *actor.Context) {
	self := c.Self()
	if isNear(r.PID, self) && r.PID.Handle == self.Handle {
		if h := hostOf(c); h != nil {
			h.drop(c, r.Number)
		}
		return
	}
	letGo(c.Runtime(), Object(r), self)
}

// ReleaseOn undoes On.
func (r Ref[T]) ReleaseOn(rt *actor.Runtime) { letGo(rt, Object(r), actor.PID{}) }
