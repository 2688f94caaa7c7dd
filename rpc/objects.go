// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A number is, from above: a bit for objects that live by leases, 31 bits of a serial, 32 bits of a place.
const maxSerial = 1<<31 - 1

// An ExportOption is how an object is exported.
type ExportOption func(*exporting)

type exporting struct{ permanent bool }

// Permanent has the object live until its service ends or releases it.
func Permanent() ExportOption { return func(e *exporting) { e.permanent = true } }

// Export makes v an object of the handler's service, with the methods of T. Unless it is permanent it lives as
// long as a service outside holds a lease, and the service's lease time in any case: until then somebody must
// have bound the Ref. If it has Released(*actor.Context), that is called when the last lease is over.
// Who passes a Ref on holds it until the receiver has bound it. Errors: ErrNoHost; v is nil.
func Export[T any](c *actor.Context, v T, opts ...ExportOption) (Ref[T], error) {
	if any(v) == nil {
		return Ref[T]{}, fmt.Errorf("export: the object is nil")
	}
	h := hostOf(c)
	if h == nil {
		return Ref[T]{}, fmt.Errorf("export %T from %v: %w", v, c.Self(), ErrNoHost)
	}
	var e exporting
	for _, opt := range opts {
		opt(&e)
	}
	o := exported(v)
	if !e.permanent {
		o.born, o.leases = time.Now(), map[actor.PID]time.Time{}
		h.sweeps(c)
	}
	h.add(o)
	return Ref[T]{PID: c.Self(), Number: o.number, Hash: hashOf[T]()}, nil
}

// Self returns a Ref to the object that the handler's service is.
func Self[T any](c *actor.Context) Ref[T] { return RefOf[T](c.Self()) }

// Unexport ends an object of the handler's service. It reports whether there was one.
func Unexport(c *actor.Context, t Target) bool {
	h := hostOf(c)
	return h != nil && t.target().PID.Handle == h.key.handle && isNear(t.target().PID, h.self) && h.drop(c, t.target().Number)
}

// add gives o a number.
func (h *host) add(o *object) {
	var place uint32
	if n := len(h.free); n > 0 {
		place, h.free = h.free[n-1], h.free[:n-1]
	} else {
		place = uint32(len(h.objects))
		h.objects = append(h.objects, nil)
	}
	h.serial = (h.serial + 1) & maxSerial
	o.number = uint64(h.serial)<<32 | uint64(place)
	if o.leases != nil {
		o.number |= leased
	}
	h.objects[place] = o
}

// find returns the object, or nil.
func (h *host) find(number uint64) *object {
	place := uint32(number)
	if place >= uint32(len(h.objects)) {
		return nil
	}
	if o := h.objects[place]; o != nil && o.number == number {
		return o
	}
	return nil
}

// drop takes an object out, but not the one that the service is.
func (h *host) drop(c *actor.Context, number uint64) bool {
	o := h.find(number)
	if o == nil || number == 0 {
		return false
	}
	h.objects[uint32(number)] = nil
	h.free = append(h.free, uint32(number))
	for holder := range o.leases {
		h.unwatch(holder)
	}
	if r, ok := o.impl.(interface{ Released(*actor.Context) }); ok && o.leases != nil {
		r.Released(c)
	}
	return true
}

func (h *host) noObject(number uint64) error {
	if number == 0 {
		return fmt.Errorf("%w: %v hosts objects but is none itself", ErrNoObject, h.self)
	}
	return fmt.Errorf("%w: %x was released, or its leases are over, or it is of the service before a restart", ErrNoObject, number)
}
