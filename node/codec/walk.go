// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// boxTag is the CBOR tag of a registered type in a field of type any. Its content
// is an array of the type's id and the value. The number spells SKYB.
const boxTag = 0x534b5942

// zeroTime is what a zero time.Time is sent as in a field of type any, where the
// library's null would come back as nil.
var zeroTime = cbor.Tag{Number: 0, Content: time.Time{}.Format(time.RFC3339)}

// A walker goes through a value before the library encodes it, which has no
// limit of depth and takes what lies in fields of type any for plain data. Where
// it changes something it copies what leads there: the value itself belongs to
// the sender.
type walker struct {
	r   *Registry
	tab *table
}

// value returns v as it is to be encoded, and whether that is a copy. depth is
// the number of containers around it. What a type without walk may contain counts
// for its depth whether it is there or not.
func (w *walker) value(v reflect.Value, p *plan, depth int) (reflect.Value, bool, *fault) {
	if !p.walk {
		if depth+p.height > w.r.limits.MaxDepth {
			return v, false, tooDeep(w.r.limits.MaxDepth)
		}
		return v, false, nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return v, false, nil
		}
	}
	if p.kind != dynamic && p.kind != pointer && depth >= w.r.limits.MaxDepth {
		return v, false, tooDeep(w.r.limits.MaxDepth)
	}
	switch p.kind {
	case pointer:
		return w.pointer(v, p, depth)
	case sequence:
		return w.sequence(v, p, depth)
	case mapping:
		return w.mapping(v, p, depth)
	case structure:
		return w.structure(v, p, depth)
	case dynamic:
		return w.dynamic(v, depth)
	}
	return v, false, nil
}

func (w *walker) pointer(v reflect.Value, p *plan, depth int) (reflect.Value, bool, *fault) {
	e, changed, f := w.value(v.Elem(), p.elem, depth)
	if f != nil {
		return v, false, f.of(v, "")
	}
	if !changed {
		return v, false, nil
	}
	c := reflect.New(p.elem.typ)
	c.Elem().Set(e)
	return c.Convert(p.typ), true, nil
}

func (w *walker) sequence(v reflect.Value, p *plan, depth int) (reflect.Value, bool, *fault) {
	var c reflect.Value
	for i := range v.Len() {
		e, changed, f := w.value(v.Index(i), p.elem, depth+1)
		if f != nil {
			return v, false, f.of(v, "["+strconv.Itoa(i)+"]")
		}
		if changed {
			if !c.IsValid() {
				c = cloneSequence(v)
			}
			c.Index(i).Set(e)
		}
	}
	return orElse(c, v)
}

func cloneSequence(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Array {
		return cloneStruct(v)
	}
	c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(c, v)
	return c
}

func (w *walker) mapping(v reflect.Value, p *plan, depth int) (reflect.Value, bool, *fault) {
	var c reflect.Value
	for it := v.MapRange(); it.Next(); {
		e, changed, f := w.value(it.Value(), p.elem, depth+1)
		if f != nil {
			return v, false, f.of(v, fmt.Sprintf("[%#v]", it.Key()))
		}
		if changed {
			if !c.IsValid() {
				c = cloneMap(v)
			}
			c.SetMapIndex(it.Key(), e)
		}
	}
	return orElse(c, v)
}

func cloneMap(v reflect.Value) reflect.Value {
	c := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		c.SetMapIndex(it.Key(), it.Value())
	}
	return c
}

func (w *walker) structure(v reflect.Value, p *plan, depth int) (reflect.Value, bool, *fault) {
	var c reflect.Value
	for i := range p.fields {
		fl := &p.fields[i]
		e, changed, f := w.value(v.Field(fl.index), fl.plan, depth+1)
		if f != nil {
			return v, false, f.of(v, "."+fl.name)
		}
		if changed {
			if !c.IsValid() {
				c = cloneStruct(v)
			}
			c.Field(fl.index).Set(e)
		}
	}
	return orElse(c, v)
}

func cloneStruct(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func orElse(c, v reflect.Value) (reflect.Value, bool, *fault) {
	if c.IsValid() {
		return c, true, nil
	}
	return v, false, nil
}

func (w *walker) dynamic(v reflect.Value, depth int) (reflect.Value, bool, *fault) {
	if v.IsNil() {
		return v, false, nil
	}
	x, changed, f := w.any(v.Interface(), depth)
	if f != nil || !changed {
		return v, false, f
	}
	return reflect.ValueOf(x), true, nil
}

// any is value for what lies in a field of type any.
func (w *walker) any(x any, depth int) (any, bool, *fault) {
	switch x := x.(type) {
	case nil, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, string, []byte:
		return x, false, nil
	case time.Time:
		if x.IsZero() {
			return zeroTime, true, nil
		}
		return x, false, nil
	case []any:
		return w.anySlice(x, depth)
	case map[string]any:
		return w.anyMap(x, depth)
	}
	t := reflect.TypeOf(x)
	if e := w.tab.byType[t]; e != nil {
		return w.box(reflect.ValueOf(x), e, depth)
	}
	p, f := w.r.freePlan(w.tab, t)
	if f != nil {
		return x, false, f
	}
	c, changed, f := w.value(reflect.ValueOf(x), p, depth)
	if f != nil || !changed {
		return x, false, f
	}
	return c.Interface(), true, nil
}

// box writes the type beside the value.
func (w *walker) box(v reflect.Value, e *entry, depth int) (any, bool, *fault) {
	if depth+1 > w.r.limits.MaxDepth {
		return nil, false, tooDeep(w.r.limits.MaxDepth)
	}
	c, _, f := w.value(v, e.plan, depth+1)
	if f != nil {
		return nil, false, f
	}
	return cbor.Tag{Number: boxTag, Content: []any{uint64(e.id), c.Interface()}}, true, nil
}

// anySlice and anyMap are sequence and mapping without reflection.
func (w *walker) anySlice(s []any, depth int) (any, bool, *fault) {
	if s != nil && depth >= w.r.limits.MaxDepth {
		return s, false, tooDeep(w.r.limits.MaxDepth)
	}
	var c []any
	for i, e := range s {
		e, changed, f := w.any(e, depth+1)
		if f != nil {
			return s, false, f.of(reflect.ValueOf(s), "["+strconv.Itoa(i)+"]")
		}
		if changed {
			if c == nil {
				c = slices.Clone(s)
			}
			c[i] = e
		}
	}
	if c != nil {
		return c, true, nil
	}
	return s, false, nil
}

func (w *walker) anyMap(m map[string]any, depth int) (any, bool, *fault) {
	if m != nil && depth >= w.r.limits.MaxDepth {
		return m, false, tooDeep(w.r.limits.MaxDepth)
	}
	var c map[string]any
	for k, e := range m {
		e, changed, f := w.any(e, depth+1)
		if f != nil {
			return m, false, f.of(reflect.ValueOf(m), fmt.Sprintf("[%q]", k))
		}
		if changed {
			if c == nil {
				c = maps.Clone(m)
			}
			c[k] = e
		}
	}
	if c != nil {
		return c, true, nil
	}
	return m, false, nil
}
