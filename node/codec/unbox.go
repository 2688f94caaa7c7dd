// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"reflect"
)

// A box is a registered type in a field of type any as the library leaves it:
// the bytes, which lie in the input, until an unboxer makes the value of them.
type box struct{ raw []byte }

// UnmarshalCBOR keeps raw, which is good for as long as the library's caller runs.
func (b *box) UnmarshalCBOR(raw []byte) error {
	b.raw = raw
	return nil
}

// boxHead is the tag with the head of an array of two.
var boxHead = []byte{0xda, boxTag >> 24, boxTag >> 16 & 0xff, boxTag >> 8 & 0xff, boxTag & 0xff, 0x82}

// open splits a box. The library has found it well-formed.
func (b box) open() (id uint32, content []byte, err error) {
	rest, ok := bytes.CutPrefix(b.raw, boxHead)
	if !ok {
		return 0, nil, fmt.Errorf("%w: tag %#x holds % x, want an array of a type's id and a value", ErrData, boxTag, b.raw[:min(len(b.raw), 8)])
	}
	width, lead := 0, rest[0]
	if lead >= 24 && lead <= 26 {
		width = 1 << (lead - 24)
	} else if lead > 23 {
		return 0, nil, fmt.Errorf("%w: tag %#x has a type's id that begins with %#x, want 32 bits", ErrData, boxTag, lead)
	}
	var wide [4]byte
	if copy(wide[4-width:], rest[1:]); width == 0 {
		wide[3] = lead
	}
	return binary.BigEndian.Uint32(wide[:]), rest[1+width:], nil
}

// An unboxer goes through what the library has decoded and puts values in place
// of what lies in fields of type any: it owns all of it. The depth of the input
// bounds that of its calls.
type unboxer struct {
	r      *Registry
	tab    *table
	budget int  // bytes that may still be made
	paid   cost // was taken off the budget for the bytes at hand
}

func (u *unboxer) value(v reflect.Value, p *plan) error {
	if !p.open {
		return nil
	}
	switch p.kind {
	case pointer:
		if v.IsNil() {
			return nil
		}
		return u.value(v.Elem(), p.elem)
	case sequence:
		for i := range v.Len() {
			if err := u.value(v.Index(i), p.elem); err != nil {
				return err
			}
		}
	case mapping:
		return u.mapping(v, p)
	case structure:
		for i := range p.fields {
			if err := u.value(v.Field(p.fields[i].index), p.fields[i].plan); err != nil {
				return fmt.Errorf("field %s: %w", p.fields[i].name, err)
			}
		}
	case dynamic:
		return u.dynamic(v)
	}
	return nil
}

func (u *unboxer) mapping(v reflect.Value, p *plan) error {
	e := reflect.New(p.elem.typ).Elem()
	for it := v.MapRange(); it.Next(); {
		e.Set(it.Value())
		if err := u.value(e, p.elem); err != nil {
			return err
		}
		v.SetMapIndex(it.Key(), e)
	}
	return nil
}

func (u *unboxer) dynamic(v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	x, changed, err := u.any(v.Interface())
	if changed && err == nil {
		if v.SetZero(); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	}
	return err
}

// any returns what x is to be replaced by.
func (u *unboxer) any(x any) (out any, changed bool, err error) {
	switch x := x.(type) {
	case []any:
		return x, false, u.slice(x)
	case map[string]any:
		for k, e := range x {
			e, changed, err := u.any(e)
			if err != nil {
				return x, false, err
			}
			if changed {
				x[k] = e
			}
		}
	case box:
		out, err = u.unbox(x)
		return out, true, err
	case *big.Int: // an integer beyond int64
		if !x.IsUint64() {
			return x, false, fmt.Errorf("%w: integer %v, want at least that of an int64", ErrData, x)
		}
		return x.Uint64(), true, nil
	}
	return x, false, nil
}

func (u *unboxer) slice(s []any) error {
	for i, e := range s {
		e, changed, err := u.any(e)
		if err != nil {
			return err
		}
		if changed {
			s[i] = e
		}
	}
	return nil
}

func (u *unboxer) unbox(b box) (any, error) {
	id, content, err := b.open()
	if err != nil {
		return nil, err
	}
	e := u.tab.byID[id]
	if e == nil {
		return nil, fmt.Errorf("%w: id %#x in a field of type any", ErrUnknownType, id)
	}
	if u.budget -= int(min(e.plan.size(), 1<<30)); u.budget < 0 {
		return nil, fmt.Errorf("%w: too many values of %s for so few bytes", ErrTooLarge, e.name)
	}
	if v, ok := e.parse(content, u.r.limits.MaxElements); ok {
		return v, nil
	}
	return u.decode(content, e)
}
