// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"sync"
)

// An iface is what the generated code of an interface says of it.
type iface struct {
	name    string
	hash    uint64
	methods []string
	streams []bool // whether the method does
}

// A definition is an iface with what calls it.
type definition[T any] struct {
	iface
	stub    func(Stub) T
	bind    func(T) func(context.Context, *Frame) error // nil: all methods stream
	methods []Method[T]
}

// definitions holds the *definition[T] of each reflect.Type that has generated code.
var definitions sync.Map

// A Method is one of a generated dispatcher. It is made by Plain, OneWay or Streaming.
type Method[T any] struct {
	name   string
	make   func() exchanger
	stream func(ctx context.Context, o T, x exchanger) (iter.Seq2[any, error], error)
}

// Define is called by generated code, from init. name is the package's path and the interface's name; hash tells its
// method list from others. bind returns what calls the methods of an object that do not stream: in one function, for
// each that a call goes through costs as much as the checks in it.
func Define[T any](name string, hash uint64, stub func(Stub) T, bind func(T) func(context.Context, *Frame) error, methods ...Method[T]) {
	d := &definition[T]{iface: iface{name: name, hash: hash}, stub: stub, bind: bind, methods: methods}
	for _, m := range methods {
		d.iface.methods = append(d.iface.methods, m.name)
		d.streams = append(d.streams, m.stream != nil)
	}
	definitions.Store(reflect.TypeFor[T](), d)
	register[Ref[T]](name + ".Ref")
}

// Plain is called by generated code: A are the arguments, R the results.
func Plain[T, A, R any](owner, name string) Method[T] {
	register[A](owner + "." + name + ".args")
	register[R](owner + "." + name + ".results")
	return Method[T]{name: name, make: newExchange[A, R]}
}

// Streaming is called by generated code: A are the arguments, E the items.
func Streaming[T, A, E any](owner, name string, f func(ctx context.Context, o T, a *A) (iter.Seq2[E, error], error)) Method[T] {
	register[A](owner + "." + name + ".args")
	registerItem[E]()
	return Method[T]{name: name, make: newExchange[A, Opened], stream: func(ctx context.Context, o T, x exchanger) (iter.Seq2[any, error], error) {
		seq, err := f(ctx, o, &x.(*Exchange[A, Opened]).Args)
		if err != nil || seq == nil {
			return nil, err
		}
		return untyped(seq), nil
	}}
}

// untyped is seq with items of any type.
func untyped[E any](seq iter.Seq2[E, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		seq(func(v E, err error) bool { return yield(v, err) })
	}
}

func definitionOf[T any]() *definition[T] {
	d, _ := definitions.Load(reflect.TypeFor[T]())
	def, _ := d.(*definition[T])
	return def
}

// hashOf is the hash of T's methods; 0: there is no generated code.
func hashOf[T any]() uint64 {
	if d := definitionOf[T](); d != nil {
		return d.hash
	}
	return 0
}

// stubOf makes a stub of T. Without generated code there is none: the program cannot work, whatever comes.
func stubOf[T any](s Stub) T {
	d := definitionOf[T]()
	if d == nil {
		panic(fmt.Sprintf("rpc: %v has no generated code, so it cannot be bound: run skybus gen, or use rpc.Call", reflect.TypeFor[T]()))
	}
	s.def = &d.iface
	if s.near {
		s.handler = s.c
	}
	return d.stub(s)
}
