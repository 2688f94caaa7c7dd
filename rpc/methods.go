// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/skybus-io/skybus/actor"
)

// methods are those of a type that can be called by name, with reflection.
type methods struct {
	typ  reflect.Type
	list []*method
}

// A method is one of them.
type method struct {
	owner   string
	name    string
	ctx     bool // it takes one
	args    []reflect.Type
	results int // without the error
	err     bool
	streams bool
	why     string // it cannot be called; empty: it can
}

var (
	typeContext = reflect.TypeFor[context.Context]()
	typeError   = reflect.TypeFor[error]()
	typeActor   = reflect.TypeFor[*actor.Context]()
)

// methodTables holds the *methods of each reflect.Type that was asked for.
var methodTables sync.Map

func methodsOf(t reflect.Type) *methods {
	if m, ok := methodTables.Load(t); ok {
		return m.(*methods)
	}
	m := &methods{typ: t}
	for i := range t.NumMethod() {
		if f := t.Method(i); f.IsExported() {
			m.list = append(m.list, newMethod(t, f))
		}
	}
	actual, _ := methodTables.LoadOrStore(t, m)
	return actual.(*methods)
}

func newMethod(t reflect.Type, f reflect.Method) *method {
	m := &method{owner: short(t.String()), name: f.Name}
	ft, first := f.Type, 0
	if t.Kind() != reflect.Interface {
		first = 1 // the receiver
	}
	if first < ft.NumIn() && ft.In(first) == typeContext {
		m.ctx = true
		first++
	}
	for i := first; i < ft.NumIn(); i++ {
		m.args = append(m.args, ft.In(i))
	}
	m.results = ft.NumOut()
	if m.results > 0 && ft.Out(m.results-1) == typeError {
		m.err = true
		m.results--
	}
	m.streams = m.results == 1 && isSeq(ft.Out(0))
	m.why = m.refuse(ft)
	return m
}

// refuse says why the method cannot be called.
func (m *method) refuse(ft reflect.Type) string {
	switch {
	case ft.IsVariadic():
		return "it is variadic"
	case m.results > 0 && !m.err:
		return "it has results, and the last is no error"
	}
	for _, t := range m.args {
		if t == typeActor || t == typeContext {
			return fmt.Sprintf("it takes a %v", t)
		}
	}
	return ""
}

// isSeq reports whether t is an iter.Seq2 with errors.
func isSeq(t reflect.Type) bool {
	if t.Kind() != reflect.Func || t.NumIn() != 1 || t.NumOut() != 0 {
		return false
	}
	y := t.In(0)
	return y.Kind() == reflect.Func && y.NumIn() == 2 && y.In(1) == typeError && y.NumOut() == 1 && y.Out(0).Kind() == reflect.Bool
}

// infos describes those that can be called.
func (m *methods) infos() []MethodInfo {
	var infos []MethodInfo
	for _, f := range m.list {
		if f.why != "" {
			continue
		}
		info := MethodInfo{Name: f.name, Streams: f.streams}
		for _, t := range f.args {
			info.Args = append(info.Args, t.String())
		}
		infos = append(infos, info)
	}
	return infos
}

// find returns the method that has the name, or says which there are.
func (m *methods) find(name string) (*method, error) {
	var names []string
	for _, f := range m.list {
		if f.name == name {
			if f.why != "" {
				return nil, fmt.Errorf("%w: %s.%s cannot be called from elsewhere: %s", ErrNoMethod, f.owner, name, f.why)
			}
			return f, nil
		}
		if f.why == "" {
			names = append(names, f.name)
		}
	}
	return nil, fmt.Errorf("%w: %s has no %.100q; it has: %s", ErrNoMethod, short(m.typ.String()), name, strings.Join(names, ", "))
}

// in makes arguments of what came.
func (m *method) in(args []any) ([]reflect.Value, error) {
	if len(args) != len(m.args) {
		var want []string
		for _, t := range m.args {
			want = append(want, t.String())
		}
		return nil, fmt.Errorf("%w: %s.%s got %d, want %d (%s)", ErrArgs, m.owner, m.name, len(args), len(m.args), strings.Join(want, ", "))
	}
	in := make([]reflect.Value, len(args))
	for i, v := range args {
		x, err := convert(v, m.args[i])
		if err != nil {
			return nil, fmt.Errorf("%w: %s.%s: argument %d: %w", ErrArgs, m.owner, m.name, i+1, err)
		}
		in[i] = x
	}
	return in, nil
}

// call calls the method of v. The error is the method's own.
func (m *method) call(ctx context.Context, v any, in []reflect.Value) ([]reflect.Value, error) {
	f := reflect.ValueOf(v).MethodByName(m.name)
	if !f.IsValid() {
		return nil, errors.New("the object has lost its method") // a value never does
	}
	if m.ctx {
		in = append([]reflect.Value{reflect.ValueOf(ctx)}, in...)
	}
	out := f.Call(in)
	if m.err {
		if err, _ := out[m.results].Interface().(error); err != nil {
			return nil, err
		}
	}
	return out[:m.results], nil
}

// anySeq is an iter.Seq2 of any item type as one of any.
func anySeq(seq reflect.Value) iter.Seq2[any, error] {
	if seq.IsNil() {
		return nil
	}
	return func(yield func(any, error) bool) {
		f := reflect.MakeFunc(seq.Type().In(0), func(in []reflect.Value) []reflect.Value {
			err, _ := in[1].Interface().(error)
			more := reflect.New(seq.Type().In(0).Out(0)).Elem()
			more.SetBool(yield(in[0].Interface(), err))
			return []reflect.Value{more}
		})
		seq.Call([]reflect.Value{f})
	}
}
