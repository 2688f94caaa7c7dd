// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// A Mux is a Handler that has a function for each type of value, the one given last. It is made in
// Spec.New and not changed after that.
type Mux struct {
	types []entry // few: a look at each is quicker than a map
	many  map[reflect.Type]func(*Context, *Message) error
	other func(*Context, *Message) error
	begin func(*Context) error
	end   func(*Context, error)
}

type entry struct {
	t reflect.Type
	f func(*Context, *Message) error
}

// fewTypes is how many types are looked through one by one.
const fewTypes = 8

// On has f handle values of type T. A call gets ErrNoReply unless f replies: see Serve and Do.
func On[T any](m *Mux, f func(c *Context, v T) error) {
	m.add(reflect.TypeFor[T](), func(c *Context, msg *Message) error { return f(c, msg.Value.(T)) })
}

// Serve has f answer requests of type Q.
func Serve[Q, A any](m *Mux, f func(c *Context, q Q) (A, error)) {
	m.add(reflect.TypeFor[Q](), func(c *Context, msg *Message) error {
		a, err := f(c, msg.Value.(Q))
		if err != nil {
			return err
		}
		if c.done { // f has redirected it, or keeps it for later
			return nil
		}
		return c.Reply(a)
	})
}

// Do has f handle requests of type Q that have no result: a caller gets nil when f has returned nil.
func Do[Q any](m *Mux, f func(c *Context, q Q) error) {
	m.add(reflect.TypeFor[Q](), func(c *Context, msg *Message) error {
		if err := f(c, msg.Value.(Q)); err != nil || c.done {
			return err
		}
		return c.Reply(nil)
	})
}

// Other has f handle what no other function does. Without it a call gets ErrType, and a
// message is reported as failed.
func (m *Mux) Other(f func(c *Context, m *Message) error) { m.other = f }

// OnStart has f run as Starter's Start.
func (m *Mux) OnStart(f func(c *Context) error) { m.begin = f }

// OnStop has f run as Stopper's Stop.
func (m *Mux) OnStop(f func(c *Context, reason error)) { m.end = f }

func (m *Mux) add(t reflect.Type, f func(*Context, *Message) error) {
	if t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("actor: %v is an interface; a Mux goes by the types of values", t))
	}
	m.types = slices.DeleteFunc(m.types, func(e entry) bool { return e.t == t })
	m.types = append(m.types, entry{t, f})
	if len(m.types) > fewTypes {
		if m.many == nil {
			m.many = map[reflect.Type]func(*Context, *Message) error{}
		}
		for _, e := range m.types {
			m.many[e.t] = e.f
		}
	}
}

// Handle is Handler's.
func (m *Mux) Handle(c *Context, msg *Message) error {
	t := reflect.TypeOf(msg.Value)
	if m.many != nil {
		if f := m.many[t]; f != nil {
			return f(c, msg)
		}
	} else {
		for i := range m.types {
			if m.types[i].t == t {
				return m.types[i].f(c, msg)
			}
		}
	}
	if m.other != nil {
		return m.other(c, msg)
	}
	return fmt.Errorf("%w: nobody handles a %s", ErrType, msg.what())
}

// Start is Starter's.
func (m *Mux) Start(c *Context) error {
	if m.begin == nil {
		return nil
	}
	return m.begin(c)
}

// Stop is Stopper's.
func (m *Mux) Stop(c *Context, reason error) {
	if m.end != nil {
		m.end(c, reason)
	}
}

// Ask is Context.Call with an answer of type A. Errors: also ErrType.
func Ask[A any](c *Context, to PID, v any) (A, error) { return as[A](c.Call(to, v)) }

// AskTimeout is Context.CallTimeout with an answer of type A.
func AskTimeout[A any](c *Context, d time.Duration, to PID, v any) (A, error) {
	return as[A](c.CallTimeout(d, to, v))
}

// AskContext is Context.CallContext with an answer of type A.
func AskContext[A any](ctx context.Context, c *Context, to PID, v any) (A, error) {
	return as[A](c.CallContext(ctx, to, v))
}

// AskRuntime is Runtime.Call with an answer of type A.
func AskRuntime[A any](ctx context.Context, rt *Runtime, to PID, v any) (A, error) {
	return as[A](rt.Call(ctx, to, v))
}

func as[A any](v any, err error) (a A, _ error) {
	if err != nil {
		return a, err
	}
	a, ok := v.(A)
	if !ok && v != nil {
		return a, fmt.Errorf("%w: the answer is a %T, want %T", ErrType, v, a)
	}
	return a, nil
}
