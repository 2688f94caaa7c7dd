// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
)

// A Registry knows types by name, and encodes and decodes within its Limits. All
// of its methods may be called by many goroutines at once; those that only look
// up take no lock.
type Registry struct {
	limits Limits
	dec    cbor.DecMode
	tables atomic.Pointer[table] // replaced as a whole

	mu    sync.Mutex // held to replace the table
	plans sync.Map   // reflect.Type to *plan: of types that are not registered
}

// Default is the Registry of programs that need one only.
var Default = NewRegistry(Limits{})

// table is what is registered. It is never written to once it is in place.
type table struct {
	byType  map[reflect.Type]*entry
	byID    map[uint32]*entry
	formats []Format
}

// entry is a registered type.
type entry struct {
	name string
	id   uint32
	typ  reflect.Type
	plan *plan
	flat *flat     // nil for most types
	room sync.Pool // of *scratch: room to decode into, zeroed
}

// scratch is a value that the library decodes into before the copy that the
// caller gets is made.
type scratch struct {
	ptr any // to elem
	val reflect.Value
}

// NewRegistry returns an empty Registry.
func NewRegistry(l Limits) *Registry {
	r := &Registry{limits: l.withDefaults()}
	r.dec = decMode(r.limits)
	r.tables.Store(&table{byType: map[reflect.Type]*entry{}, byID: map[uint32]*entry{}})
	return r
}

// Limits returns the limits with their defaults.
func (r *Registry) Limits() Limits { return r.limits }

// Register makes T known to r by a name that is not empty and that both sides
// use. T is a struct, a pointer to one, or another type with a name or with
// elements; Decode returns exactly T. T and *T are two types, with two names.
// Types may be registered at any time. To register the same again is no error.
//
// Errors: one that wraps ErrRegistered if the name, or the type, is taken, or if
// another name has the same ID: it has both names. One that wraps ErrType and
// has the path to the field if a T can never be sent, ErrTooLarge if it is
// always nested too deep.
func Register[T any](r *Registry, name string) error {
	t := reflect.TypeFor[T]()
	if err := r.register(t, name); err != nil {
		return fmt.Errorf("register %v as %q: %w", t, name, err)
	}
	return nil
}

func (r *Registry) register(t reflect.Type, name string) error {
	if name == "" {
		return fmt.Errorf("%w: want a name that is not empty", ErrType)
	}
	if err := registrable(t); err != nil {
		return err
	}
	p, f := planOf(t, false)
	if f != nil {
		return f.within(rootName(t))
	}
	if !p.walk && p.height > r.limits.MaxDepth {
		return fmt.Errorf("%w: it is nested %d levels deep, want at most %d", ErrTooLarge, p.height, r.limits.MaxDepth)
	}
	e := &entry{name: name, id: ID(name), typ: t, plan: p, flat: flatOf(p)}
	e.room.New = func() any {
		v := reflect.New(t)
		return &scratch{ptr: v.Interface(), val: v.Elem()}
	}
	return r.add(e)
}

// registrable says what of T can be told without looking into it.
func registrable(t reflect.Type) error {
	switch k := t.Kind(); {
	case t == typeTime || k == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && t.PkgPath() == "":
		return fmt.Errorf("%w: %v is known without", ErrType, t)
	case k == reflect.Pointer && t.Elem().Kind() != reflect.Struct:
		return fmt.Errorf("%w: %v points to no struct", ErrType, t)
	case k == reflect.Interface:
		return fmt.Errorf("%w: %v is an interface: register the types that implement it", ErrType, t)
	case t.PkgPath() == "" && (k <= reflect.Complex128 || k == reflect.String):
		return fmt.Errorf("%w: %v is known without", ErrType, t)
	case t == reflect.TypeFor[[]any]() || t == reflect.TypeFor[map[string]any]():
		return fmt.Errorf("%w: %v is known without", ErrType, t)
	}
	return nil
}

func (r *Registry) add(e *entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.tables.Load()
	other := old.byID[e.id]
	switch {
	case other != nil && other.name == e.name && other.typ == e.typ:
		return nil
	case other != nil && other.name == e.name:
		return fmt.Errorf("%w: %q is %v", ErrRegistered, e.name, other.typ)
	case other != nil:
		return fmt.Errorf("%w: %q (%v) has the same id %#x: change one of the names", ErrRegistered, other.name, other.typ, e.id)
	case old.byType[e.typ] != nil:
		return fmt.Errorf("%w: %v is %q", ErrRegistered, e.typ, old.byType[e.typ].name)
	}
	next := &table{byType: maps.Clone(old.byType), byID: maps.Clone(old.byID), formats: old.formats}
	next.byType[e.typ], next.byID[e.id] = e, e
	r.tables.Store(next)
	return nil
}

// AddFormat has r use f for the values that it knows and for its encoding. An
// error that wraps ErrRegistered says that the encoding has a Format, or needs none.
func (r *Registry) AddFormat(f Format) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.tables.Load()
	if f.Encoding() < Proto {
		return fmt.Errorf("add a format: %w: %v belongs to the package", ErrRegistered, f.Encoding())
	}
	if other := old.format(f.Encoding()); other != nil {
		return fmt.Errorf("add a format: %w: %v has a %T", ErrRegistered, f.Encoding(), other)
	}
	next := *old
	next.formats = append(next.formats[:len(next.formats):len(next.formats)], f)
	r.tables.Store(&next)
	return nil
}

func (t *table) format(e Encoding) Format {
	for _, f := range t.formats {
		if f.Encoding() == e {
			return f
		}
	}
	return nil
}

// Name returns the name of a registered type by its ID; false if there is none.
func (r *Registry) Name(typ uint32) (string, bool) {
	if e := r.tables.Load().byID[typ]; e != nil {
		return e.name, true
	}
	return "", false
}

// freePlan returns the plan of a type that is not registered.
func (r *Registry) freePlan(tab *table, t reflect.Type) (*plan, *fault) {
	if p, ok := r.plans.Load(t); ok {
		return p.(*plan), nil
	}
	if t.Kind() == reflect.Pointer && tab.byType[t.Elem()] != nil {
		return nil, refused("%v is not registered, %v is: register the pointer, or send what it points to", t, t.Elem())
	}
	if p := reflect.PointerTo(t); tab.byType[p] != nil {
		return nil, refused("%v is not registered, %v is: register the type, or send a pointer", t, p)
	}
	p, f := planOf(t, true)
	if f == nil {
		r.plans.Store(t, p)
	}
	return p, f
}
