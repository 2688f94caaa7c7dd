// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"reflect"

	"github.com/skybus-io/skybus/actor"
)

// Call calls a method by its name and returns its results. It needs no generated code on either side: arguments are converted where
// nothing is lost by it, texts of numbers included. The result of a method that streams is an iter.Seq2[any, error].
// One without results is called as any other: the error tells whether it was reached. Errors: *CallError.
func Call(c *actor.Context, t Target, method string, args ...any) ([]any, error) {
	return CallContext(context.Background(), c, t, method, args...)
}

// CallContext is Call that waits until ctx is over.
func CallContext(ctx context.Context, c *actor.Context, t Target, method string, args ...any) ([]any, error) {
	return call(ctx, &Stub{object: t.target(), c: c, rt: c.Runtime()}, method, args)
}

// CallRuntime is CallContext for goroutines that are no handlers.
func CallRuntime(ctx context.Context, rt *actor.Runtime, t Target, method string, args ...any) ([]any, error) {
	return call(ctx, &Stub{object: t.target(), rt: rt}, method, args)
}

func call(ctx context.Context, s *Stub, method string, args []any) ([]any, error) {
	s.def = &iface{name: "object", methods: []string{method}}
	if s.object.IsZero() {
		return nil, &CallError{Method: method, Err: ErrNilRef}
	}
	results, err := s.callByName(ctx, method, args)
	if err != nil {
		return nil, &CallError{Target: s.object, Method: method, Err: err}
	}
	return results, nil
}

func (s *Stub) callByName(ctx context.Context, method string, args []any) ([]any, error) {
	if args == nil {
		args = []any{}
	}
	v, err := s.ask(ctx, Request{Number: s.object.Number, Method: method, Timeout: timeoutOf(ctx), Holder: s.Holder().Holder, Body: args})
	if err != nil {
		return nil, err
	}
	b, err := body(v)
	if err != nil {
		return nil, err
	}
	if opened, ok := plain[Opened](b); ok {
		return []any{Consume[any](ctx, s, 0, opened)}, nil
	}
	switch b := b.(type) {
	case nil:
		return nil, nil
	case []any:
		return b, nil
	}
	return nil, fmt.Errorf("%w: the answer is a %T, want a list", ErrArgs, b)
}

// MethodInfo is a method that can be called by name.
type MethodInfo struct {
	Name    string
	Args    []string // their types
	Streams bool
}

// Methods lists those of type T, by name, for people.
func Methods[T any]() []MethodInfo { return methodsOf(reflect.TypeFor[T]()).infos() }

// An ObjectInfo is what can be called of an object, for people.
type ObjectInfo struct {
	Type    string       // whose methods it has, with its package: shop.Account
	Methods []MethodInfo // by name
	Others  bool         // its service handles messages that are no calls of methods, too
}

// InfoOf describes the object that the service p itself is. It asks rt and nobody else, so it does not wait. Errors:
// ErrNoHost, also for services of other processes; ErrNoObject.
func InfoOf(rt *actor.Runtime, p actor.PID) (ObjectInfo, error) {
	v, _ := hosts.Load(hostKey{rt, p.Handle})
	h, _ := v.(*host)
	switch {
	case h == nil || !isNear(p, h.self):
		return ObjectInfo{}, fmt.Errorf("describe %v: %w", p, ErrNoHost)
	case h.itself == nil:
		return ObjectInfo{}, h.noObject(0)
	}
	t := h.itself.typ
	return ObjectInfo{Type: t.String(), Methods: methodsOf(t).infos(), Others: h.inner != nil}, nil
}
