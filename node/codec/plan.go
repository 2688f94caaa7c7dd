// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding"
	"math/big"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A plan is what is known of a type before a value of it is seen: whether it can
// be sent, what of it a value has to be walked for, and what decoding may cost.
// Most types need no walk: the library encodes them as they are.
type plan struct {
	typ    reflect.Type
	kind   planKind
	elem   *plan // of a pointer, slice, array or map
	key    *plan // of a map
	fields []field

	inCycle bool // values can contain values of the same type
	walk    bool // reaches a field of type any, or a type that is in a cycle
	open    bool // reaches a field of type any
	height  int  // containers above each other, if there is no walk
	cost    cost
}

type planKind uint8

const (
	leaf planKind = iota
	pointer
	sequence // slice or array
	mapping
	structure
	dynamic // any
)

// field is a field of a struct that travels.
type field struct {
	index int
	name  string // as the program calls it
	plan  *plan
}

// cost is how many bytes of memory decoding may take for what the input can ask
// for with a byte or two.
type cost struct {
	element uintptr // of each array
	pair    uintptr // of each map, which structs are as well
}

// anyCost covers a boxed value, or a small map, in a field of type any.
const anyCost = 128

var (
	typeTime   = reflect.TypeFor[time.Time]()
	typeBigInt = reflect.TypeFor[big.Int]()
	typeTag    = reflect.TypeFor[cbor.Tag]()
	typeError  = reflect.TypeFor[error]()

	// A type that writes itself has to read itself, too.
	marshalers = [][2]reflect.Type{
		{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler]()},
		{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()},
		{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
	}
)

// A planner makes the plans of one type and all that it contains.
type planner struct {
	plans map[reflect.Type]*plan
	begun map[reflect.Type]bool
	free  bool // for a field of type any: what arrives as another type is refused
}

// planOf makes the plan of a registered type, or with free that of any other
// that may lie in a field of type any.
func planOf(t reflect.Type, free bool) (*plan, *fault) {
	pl := planner{plans: map[reflect.Type]*plan{}, begun: map[reflect.Type]bool{}, free: free}
	p, f := pl.plan(t)
	if f != nil {
		return nil, f
	}
	for _, q := range pl.plans {
		q.look(map[*plan]bool{}, q)
	}
	p.measure()
	return p, nil
}

func (pl *planner) plan(t reflect.Type) (*plan, *fault) {
	if p := pl.plans[t]; p != nil {
		p.inCycle = p.inCycle || pl.begun[t]
		return p, nil
	}
	p := &plan{typ: t}
	pl.plans[t], pl.begun[t] = p, true
	f := pl.fill(p)
	pl.begun[t] = false
	return p, f
}

func (pl *planner) fill(p *plan) *fault {
	t := p.typ
	switch {
	case t == typeTime:
		return nil
	case t == typeBigInt:
		return refused("%v cannot be sent: send its text", t)
	case t == typeTag:
		return refused("%v cannot be sent", t)
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		if done, f := pl.marshals(t); done || f != nil {
			return f
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return pl.pointer(p)
	case reflect.Slice, reflect.Array:
		return pl.sequence(p)
	case reflect.Map:
		return pl.mapping(p)
	case reflect.Struct:
		return pl.structure(p)
	case reflect.Interface:
		return pl.dynamic(p)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128, reflect.Uintptr:
		return refused("%v cannot be sent", t)
	}
	return nil
}

// marshals reports whether a type writes itself.
func (pl *planner) marshals(t reflect.Type) (bool, *fault) {
	for _, pair := range marshalers {
		if !reflect.PointerTo(t).Implements(pair[0]) {
			continue
		}
		if !reflect.PointerTo(t).Implements(pair[1]) {
			return true, refused("%v has the methods of %v and not those of %v", t, pair[0], pair[1])
		}
		if pl.free {
			return true, refused("%v is not registered: a type that writes itself has to be", t)
		}
		return true, nil
	}
	return false, nil
}

func (pl *planner) pointer(p *plan) *fault {
	e := p.typ.Elem()
	if pl.free {
		return unregistered(p.typ)
	}
	if e.Kind() == reflect.Pointer || e.Kind() == reflect.Interface {
		return refused("%v cannot be sent: a pointer to a %v", p.typ, e.Kind())
	}
	p.kind = pointer
	var f *fault
	p.elem, f = pl.plan(e)
	return f
}

func (pl *planner) sequence(p *plan) *fault {
	if p.typ.Elem().Kind() == reflect.Uint8 {
		if _, f := pl.marshals(p.typ.Elem()); f != nil {
			return f.within("[]")
		}
		return nil // bytes
	}
	p.kind = sequence
	var f *fault
	if p.elem, f = pl.plan(p.typ.Elem()); f != nil {
		return f.within("[]")
	}
	p.cost.element = p.elem.size()
	return nil
}

func (pl *planner) mapping(p *plan) *fault {
	p.kind = mapping
	key := p.typ.Key()
	if pl.free && key.Kind() != reflect.String {
		return refused("%v is not registered: without that the keys of a map have to be strings", p.typ)
	}
	var f *fault
	if p.key, f = pl.plan(key); f != nil {
		return f.within("[key]")
	}
	if bad := p.key.notKey(); bad != nil {
		return refused("%v cannot be sent as the key of a map", bad).within("[key]")
	}
	if p.elem, f = pl.plan(p.typ.Elem()); f != nil {
		return f.within("[]")
	}
	p.cost.pair = 48 + 4*(key.Size()+p.elem.size()) // small maps have eight places
	return nil
}

// notKey returns the type in a key that makes it none: == would compare addresses
// there, or panic.
func (p *plan) notKey() reflect.Type {
	switch p.kind {
	case pointer, dynamic, mapping:
		return p.typ
	case sequence:
		return p.elem.notKey()
	case structure:
		for _, f := range p.fields {
			if bad := f.plan.notKey(); bad != nil {
				return bad
			}
		}
	}
	return nil
}

func (pl *planner) dynamic(p *plan) *fault {
	switch {
	case p.typ.Implements(typeError):
		return refused("an error cannot be sent: send its text")
	case p.typ.NumMethod() > 0:
		return refused("%v is an interface with methods and cannot be sent: use any", p.typ)
	}
	p.kind = dynamic
	p.cost = cost{element: anyCost, pair: anyCost}
	return nil
}

func (pl *planner) structure(p *plan) *fault {
	if pl.free {
		return unregistered(p.typ)
	}
	p.kind = structure
	for i := range p.typ.NumField() {
		sf := p.typ.Field(i)
		if !travels(&sf) {
			continue
		}
		fp, f := pl.plan(sf.Type)
		if f == nil && !sf.IsExported() {
			f = embedded(&sf, fp)
		}
		if f != nil {
			return f.within("." + sf.Name)
		}
		p.fields = append(p.fields, field{index: i, name: sf.Name, plan: fp})
		if fp.kind == pointer {
			p.cost.pair = max(p.cost.pair, sf.Type.Elem().Size())
		}
	}
	if len(p.fields) == 0 && p.typ.NumField() > 0 {
		return refused("%v has no field that travels: they have to be exported", p.typ)
	}
	return nil
}

// travels reports whether the library encodes a field.
func travels(sf *reflect.StructField) bool {
	tag, ok := sf.Tag.Lookup("cbor")
	if !ok || tag == "" {
		tag = sf.Tag.Get("json")
	}
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return tag != "-" && (sf.IsExported() || sf.Anonymous && t.Kind() == reflect.Struct)
}

// embedded looks at a struct that is embedded by an unexported name. Reflection
// can neither set a pointer to it nor copy it.
func embedded(sf *reflect.StructField, p *plan) *fault {
	if p.kind == pointer {
		return refused("%v is embedded by pointer and not exported", sf.Type)
	}
	if p.look(map[*plan]bool{}, p); p.open {
		return refused("%v has a field of type any and is embedded without being exported", sf.Type)
	}
	return nil
}

// look collects in p what the plans say that q, which p contains, reaches.
func (p *plan) look(seen map[*plan]bool, q *plan) {
	if seen[q] {
		return
	}
	seen[q] = true
	p.open = p.open || q.kind == dynamic
	p.walk = p.walk || q.kind == dynamic || q.inCycle
	p.cost.element = max(p.cost.element, q.cost.element)
	p.cost.pair = max(p.cost.pair, q.cost.pair)
	for _, part := range q.parts() {
		p.look(seen, part)
	}
}

func (p *plan) parts() (parts []*plan) {
	if p.elem != nil {
		parts = append(parts, p.elem)
	}
	if p.key != nil {
		parts = append(parts, p.key)
	}
	for _, f := range p.fields {
		parts = append(parts, f.plan)
	}
	return parts
}

// measure sets the height of all plans whose values are not walked.
func (p *plan) measure() int {
	if p.height > 0 || p.kind == leaf || p.kind == dynamic {
		return p.height
	}
	p.height = 1 // ends the search in types that contain themselves
	h := 0
	for _, part := range p.parts() {
		h = max(h, part.measure())
	}
	if p.kind != pointer {
		h++
	}
	p.height = h
	return h
}

// size is what a place for a value takes, with what it points to.
func (p *plan) size() uintptr {
	if p.kind == pointer {
		return p.typ.Size() + p.typ.Elem().Size()
	}
	return p.typ.Size()
}
