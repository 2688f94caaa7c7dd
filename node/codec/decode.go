// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// What decoding may make of n bytes: unfold times n, and slack.
const (
	unfold = 256
	slack  = 1 << 20
)

// Decode returns the value of which Append has made data, encoding and typ: of a
// registered type that type, else what the table of the package says. It shares
// nothing with data.
//
// Errors wrap ErrData, ErrUnknownType or ErrTooLarge and name the type, and the
// field where the library knows it; a panic of a method such as UnmarshalText is
// an error. Bytes may be anything: the work is linear in their length, and what
// is allocated at most 256 times that and a mebibyte.
func (r *Registry) Decode(data []byte, e Encoding, typ uint32) (v any, err error) {
	if len(data) > r.limits.MaxSize {
		return nil, fmt.Errorf("decode: %w: %d bytes, want at most %d", ErrTooLarge, len(data), r.limits.MaxSize)
	}
	if typ != 0 && e < CBOR {
		return nil, fmt.Errorf("decode: %w: type id %#x with encoding %v, want 0", ErrData, typ, e)
	}
	switch e {
	case None:
		if len(data) > 0 {
			return nil, fmt.Errorf("decode: %w: %d bytes with encoding none, want none", ErrData, len(data))
		}
		return nil, nil
	case Raw:
		own := make([]byte, len(data))
		copy(own, data)
		return own, nil
	case Text:
		return string(data), nil
	case CBOR:
		return r.decodeCBOR(data, typ)
	}
	f := r.tables.Load().format(e)
	if f == nil {
		return nil, fmt.Errorf("decode: %w: %v: nobody has added a format for it", ErrUnknownType, e)
	}
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("decode %v: %w: panic: %v", e, ErrData, p)
		}
	}()
	return f.Decode(data, typ)
}

func (r *Registry) decodeCBOR(data []byte, typ uint32) (any, error) {
	tab := r.tables.Load()
	if e := tab.byID[typ]; e != nil {
		if v, ok := e.parse(data, r.limits.MaxElements); ok {
			return v, nil
		}
	}
	return r.decodeAny(data, typ, tab)
}

func (r *Registry) decodeAny(data []byte, typ uint32, tab *table) (v any, err error) {
	u := unboxer{r: r, tab: tab, budget: slack + unfold*len(data)}
	name := "a value of no type"
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("decode %s: %w: panic: %v", name, ErrData, p)
		}
	}()
	if typ == 0 {
		v, err = u.free(data)
	} else {
		e := tab.byID[typ]
		if e == nil {
			return nil, fmt.Errorf("decode: %w: id %#x: see codec.Register", ErrUnknownType, typ)
		}
		name = e.name
		v, err = u.decode(data, e)
	}
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	return v, nil
}

// free decodes what has no type.
func (u *unboxer) free(data []byte) (any, error) {
	if err := u.spend(data, cost{element: anyCost, pair: anyCost}); err != nil {
		return nil, err
	}
	var x any
	if err := u.r.dec.Unmarshal(data, &x); err != nil {
		return nil, unreadable(err)
	}
	x, _, err := u.any(x)
	return x, err
}

// decode decodes a registered type. The caller gets a copy of what the library
// decodes into, so that a new value is allocated once.
func (u *unboxer) decode(data []byte, e *entry) (any, error) {
	around := u.paid
	if err := u.spend(data, e.plan.cost); err != nil {
		return nil, err
	}
	s := e.room.Get().(*scratch)
	err := u.r.dec.Unmarshal(data, s.ptr)
	if err != nil {
		err = unreadable(err)
	} else {
		err = u.value(s.val, e.plan)
	}
	var v any
	if err == nil {
		v = s.val.Interface()
	}
	s.val.SetZero()
	e.room.Put(s)
	u.paid = around
	return v, err
}

// parse decodes a flat struct, or a pointer to one; false leaves it to the
// library. No method of the type is called, so nothing panics.
func (e *entry) parse(data []byte, most int) (v any, ok bool) {
	if e.flat == nil || len(data) > most {
		return nil, false
	}
	if e.typ.Kind() == reflect.Pointer {
		p := reflect.New(e.flat.typ)
		return p.Interface(), e.flat.parse(data, p.Elem())
	}
	s := e.room.Get().(*scratch)
	if ok = e.flat.parse(data, s.val); ok {
		v = s.val.Interface()
	}
	s.val.SetZero()
	e.room.Put(s)
	return v, ok
}

// spend takes what decoding may allocate off the budget, apart from what was
// taken for the same bytes already: those of a box are part of what it lies in.
// Every element has at least a byte, so small inputs need not be counted.
func (u *unboxer) spend(data []byte, c cost) error {
	element, pair := c.beyond(u.paid)
	u.paid = cost{element: u.paid.element + element, pair: u.paid.pair + pair}
	most := len(data) * int(max(element, pair))
	if most > u.budget/2 || len(data) > u.r.limits.MaxElements {
		elements, pairs, ok := count(data)
		if !ok {
			return unreadable(u.r.dec.Wellformed(data))
		}
		if err := u.r.tooMany(elements, pairs); err != nil {
			return err
		}
		most = int(elements*uint64(element) + pairs*uint64(pair))
	}
	if most > u.budget {
		return fmt.Errorf("%w: %d bytes would become %d, want at most %d more", ErrTooLarge, len(data), most, u.budget)
	}
	u.budget -= most
	return nil
}

// beyond returns by how much c is above paid, and no more than what keeps the
// products of spend small.
func (c cost) beyond(paid cost) (element, pair uintptr) {
	const most = 1 << 30
	return max(min(c.element, most), paid.element) - paid.element, max(min(c.pair, most), paid.pair) - paid.pair
}

// unreadable says which of the package's errors one of the library is.
func unreadable(err error) error {
	var (
		depth    *cbor.MaxNestedLevelError
		elements *cbor.MaxArrayElementsError
		pairs    *cbor.MaxMapPairsError
	)
	switch {
	case err == nil:
		return fmt.Errorf("%w: it is not well-formed", ErrData)
	case errors.As(err, &depth) || errors.As(err, &elements) || errors.As(err, &pairs):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, ErrUnknownType) || errors.Is(err, ErrTooLarge):
		return err
	}
	return fmt.Errorf("%w: %w", ErrData, err)
}
