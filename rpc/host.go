// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// LeaseTime is how long a lease lasts unless WithLease says otherwise.
const LeaseTime = time.Minute

// A HostOption is how a service hosts its objects.
type HostOption func(*host)

// WithLease sets how long the leases of the service's objects last, at least 10 ms. A longer one saves messages, a shorter
// one frees sooner what a lost process has held.
func WithLease(d time.Duration) HostOption {
	return func(h *host) { h.lease = max(d, 10*time.Millisecond) }
}

// Serve returns a Spec.New of a service that is one object, made anew at each restart. It has the methods of T, an interface, or
// all exported ones of any other T. If the object has Start, Stop or Handle, as an actor.Starter, Stopper
// and Handler have them, these are the service's, too: Handle gets what is no call of this package.
func Serve[T any](newObject func() T, opts ...HostOption) func() actor.Handler {
	return func() actor.Handler {
		v := newObject()
		if any(v) == nil {
			return nil // Start says that there is no handler
		}
		inner, _ := any(v).(actor.Handler)
		h := newHost(inner, opts)
		h.starter, _ = any(v).(actor.Starter)
		h.stopper, _ = any(v).(actor.Stopper)
		h.itself = exported(v)
		h.objects = []*object{h.itself}
		return h.carries(v)
	}
}

// Host returns a Spec.New of a service that hosts objects: its handlers call Export. Messages that are no calls of
// this package go to the handler that newHandler returns.
func Host(newHandler func() actor.Handler, opts ...HostOption) func() actor.Handler {
	return func() actor.Handler {
		inner := newHandler()
		if inner == nil {
			return nil
		}
		h := newHost(inner, opts)
		h.starter, _ = inner.(actor.Starter)
		h.stopper, _ = inner.(actor.Stopper)
		h.objects = []*object{nil}
		return h.carries(inner)
	}
}

// A host is the handler of a service that has objects. All of it belongs to the service.
type host struct {
	inner   actor.Handler // nil: there are no other messages
	starter actor.Starter
	stopper actor.Stopper
	itself  *object   // the first of objects; nobody changes it
	objects []*object // by the lower half of their numbers; the first is the service itself
	free    []uint32
	before  map[uint64]carriedObject // those of the program before that were not exported again yet
	serial  uint32                   // the middle of the last number: a restarted service begins elsewhere
	lease   time.Duration
	sweeper *actor.Timer // nil: no object lives by leases
	streams map[uint64]*stream
	watched map[actor.PID]*watched
	key     hostKey
	self    actor.PID
	context *serving // of the handler that called last; nobody changes it
}

// An object is one that others may call.
type object struct {
	number uint64
	impl   any
	iface  *iface                                    // nil: there is no generated code
	serve  func(ctx context.Context, f *Frame) error // not for methods that stream
	open   func(ctx context.Context, method int32, x exchanger) (iter.Seq2[any, error], error)
	make   func(method int) exchanger
	typ    reflect.Type // whose methods it has
	born   time.Time
	leases map[actor.PID]time.Time // when they are over; nil: it is permanent
}

// hosts holds the *host of each service that has one, by hostKey, for Bind and Export.
var hosts sync.Map

type hostKey struct {
	rt     *actor.Runtime
	handle actor.Handle
}

func newHost(inner actor.Handler, opts []HostOption) *host {
	h := &host{inner: inner, serial: rand.Uint32() & maxSerial, lease: LeaseTime, streams: map[uint64]*stream{}, watched: map[actor.PID]*watched{}}
	for _, o := range opts {
		o(h)
	}
	return h
}

// hostOf returns the host that the handler's service is, or nil.
func hostOf(c *actor.Context) *host {
	h, _ := hosts.Load(hostKey{c.Runtime(), c.Self().Handle})
	host, _ := h.(*host)
	return host
}

// exported makes an object of v.
func exported[T any](v T) *object {
	o := &object{impl: v, typ: reflect.TypeFor[T]()}
	d := definitionOf[T]()
	if d == nil {
		return o
	}
	o.iface = &d.iface
	if d.bind != nil {
		o.serve = d.bind(v)
	}
	o.make = func(method int) exchanger { return d.methods[method].make() }
	o.open = func(ctx context.Context, method int32, x exchanger) (iter.Seq2[any, error], error) {
		return d.methods[method].stream(ctx, v, x)
	}
	return o
}

// Start is Starter's.
func (h *host) Start(c *actor.Context) error {
	h.enter(c)
	if h.starter == nil {
		return nil
	}
	err := h.starter.Start(c)
	if err != nil {
		hosts.CompareAndDelete(h.key, h)
	}
	return err
}

// Stop is Stopper's.
func (h *host) Stop(c *actor.Context, reason error) {
	if h.stopper != nil {
		h.stopper.Stop(c, reason)
	}
	hosts.CompareAndDelete(h.key, h)
	for _, st := range h.streams {
		st.finish(fmt.Errorf("stream of %v: %w", c.Self(), cmp.Or(reason, actor.ErrStopped)))
	}
}

// Handle is Handler's. Most messages are calls within the process, without an end or a trace: it asks for all of that at
// once, and for the rest in functions beside it.
func (h *host) Handle(c *actor.Context, m *actor.Message) error {
	f, ok := m.Value.(*Frame)
	if !ok {
		return h.other(c, m)
	}
	o := h.find(f.number)
	if o == nil || o.iface != f.def || f.rare || !m.Alone() || h.context == nil || h.context.c != c {
		return h.frame(c, m, f)
	}
	if err := o.serve(h.context, f); err != nil || !m.IsCall() {
		return err
	}
	return c.Reply(f)
}

// other handles what is no call within the process.
func (h *host) other(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case Request:
		return h.request(c, m, &v)
	case *Request:
		return h.request(c, m, v)
	case Next:
		return h.next(c, v.Stream)
	case *Next:
		return h.next(c, v.Stream)
	case Cancel:
		return h.cancel(c, m, v.Stream)
	case *Cancel:
		return h.cancel(c, m, v.Stream)
	case Renew:
		return h.renew(c, m, v.Objects)
	case *Renew:
		return h.renew(c, m, v.Objects)
	case Forget:
		return h.forget(c, m, v.Objects)
	case *Forget:
		return h.forget(c, m, v.Objects)
	case wake:
		c.Wakeup(v.token)
		return nil
	case actor.Down:
		if m.Kind == actor.KindDown && h.lost(c, v.Service) {
			return nil
		}
	}
	if h.inner == nil {
		return fmt.Errorf("%w: %T; the service is an object, and takes calls of its methods", actor.ErrType, m.Value)
	}
	return h.inner.Handle(c, m)
}
