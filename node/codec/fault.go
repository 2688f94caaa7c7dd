// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"fmt"
	"reflect"
	"strings"
)

// A fault is why a value is not sent. Its path is put together on the way out.
type fault struct {
	kind error
	path []string // from the inside
	text string
	seen map[place]bool // of a value that is too deep: what is met twice on the way out contains itself
}

// place tells values apart that may contain themselves.
type place struct {
	typ reflect.Type
	at  uintptr
}

func refused(format string, args ...any) *fault {
	return &fault{kind: ErrType, text: fmt.Sprintf(format, args...)}
}

func unregistered(t reflect.Type) *fault {
	if t.Implements(typeError) {
		return refused("the error %v cannot be sent: send its text", t)
	}
	return refused("%v is not registered: see codec.Register", t)
}

// tooDeep is the fault of a container at more than so many levels.
func tooDeep(most int) *fault {
	return &fault{kind: ErrTooLarge, text: fmt.Sprintf("is nested deeper than %d levels", most), seen: map[place]bool{}}
}

// address is 0 for what cannot be told apart.
func address(v reflect.Value) uintptr {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		return v.Pointer()
	}
	if v.CanAddr() {
		return v.UnsafeAddr()
	}
	return 0
}

func (f *fault) within(step string) *fault {
	if step != "" {
		f.path = append(f.path, step)
	}
	return f
}

// of notes that the fault is in a part of v.
func (f *fault) of(v reflect.Value, step string) *fault {
	if f.seen == nil {
		return f.within(step)
	}
	if here := (place{v.Type(), address(v)}); here.at != 0 {
		if f.seen[here] {
			f.kind, f.text = ErrCycle, fmt.Sprintf("%v contains itself", here.typ)
			f.path = f.path[:0] // until it is named where it is met first
			return f
		}
		f.seen[here] = true
	}
	return f.within(step)
}

// longest is how many steps of a path are shown.
const longest = 12

func (f *fault) Error() string {
	var b strings.Builder
	for i := range f.path {
		if i == longest {
			b.WriteString("...")
			break
		}
		b.WriteString(f.path[len(f.path)-1-i])
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(f.text)
	return b.String()
}

// Unwrap returns one of the package's errors.
func (f *fault) Unwrap() error { return f.kind }
