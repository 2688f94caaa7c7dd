// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
)

// A flat writes and reads structs of numbers, strings and bytes, which most
// messages are, in half of the time that the library takes. It writes what the
// library writes. It reads what it writes itself; of anything else, be it right
// or wrong, the library judges.
type flat struct {
	typ    reflect.Type // the struct
	head   []byte       // of the map
	fields []flatField
}

type flatField struct {
	name []byte // as CBOR text
	kind reflect.Kind
}

// The major types of CBOR (RFC 8949, section 3.1) and its simple values, in place.
const (
	majorUint  = 0 << 5
	majorInt   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorMap   = 5 << 5
	cborFalse  = 0xf4
	cborTrue   = 0xf5
	cborFloat  = 0xfa
	cborDouble = 0xfb
)

// flatOf returns nil if a type is none of them.
func flatOf(p *plan) *flat {
	t := p.typ
	if p.kind == pointer && t == reflect.PointerTo(t.Elem()) {
		p, t = p.elem, t.Elem()
	}
	if p.kind != structure || len(p.fields) != t.NumField() {
		return nil
	}
	fl := &flat{typ: t, head: appendHead(nil, majorMap, uint64(len(p.fields)))}
	names := map[string]bool{}
	for i := range p.fields {
		sf := t.Field(i)
		name, ok := plainName(&sf)
		if !ok || names[name] || !isFlat(p.fields[i].plan) {
			return nil
		}
		names[name] = true
		text := append(appendHead(nil, majorText, uint64(len(name))), name...)
		fl.fields = append(fl.fields, flatField{name: text, kind: sf.Type.Kind()})
	}
	return fl
}

// plainName returns the name that a field goes by, if its tags say nothing else.
func plainName(sf *reflect.StructField) (string, bool) {
	tag := sf.Tag.Get("cbor")
	if tag == "" {
		tag = sf.Tag.Get("json")
	}
	if tag == "" {
		tag = sf.Name
	}
	return tag, sf.IsExported() && !sf.Anonymous && !strings.Contains(tag, ",")
}

func isFlat(p *plan) bool {
	if p.kind != leaf || p.typ == typeTime {
		return false
	}
	for _, pair := range marshalers {
		if reflect.PointerTo(p.typ).Implements(pair[0]) || reflect.PointerTo(p.typ).Implements(pair[1]) {
			return false
		}
	}
	k := p.typ.Kind()
	return k <= reflect.Float64 && k != reflect.Uintptr || k == reflect.String || k == reflect.Slice && p.typ.Elem() == reflect.TypeFor[byte]()
}

// append appends the struct v.
func (fl *flat) append(dst []byte, v reflect.Value) []byte {
	dst = append(dst, fl.head...)
	for i := range fl.fields {
		f := &fl.fields[i]
		dst = append(dst, f.name...)
		switch e := v.Field(i); f.kind {
		case reflect.Bool:
			dst = append(dst, cborFalse)
			if e.Bool() {
				dst[len(dst)-1] = cborTrue
			}
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			n := e.Int()
			sign := n >> 63 // all ones below 0, where -1-n is what is written
			dst = appendHead(dst, byte(sign)&majorInt, uint64(n^sign))
		case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			dst = appendHead(dst, majorUint, e.Uint())
		case reflect.Float32:
			dst = binary.BigEndian.AppendUint32(append(dst, cborFloat), math.Float32bits(float32(e.Float())))
		case reflect.Float64:
			dst = binary.BigEndian.AppendUint64(append(dst, cborDouble), math.Float64bits(e.Float()))
		case reflect.String:
			s := e.String()
			dst = append(appendHead(dst, majorText, uint64(len(s))), s...)
		default:
			dst = appendBytes(dst, e)
		}
	}
	return dst
}

func appendBytes(dst []byte, v reflect.Value) []byte {
	if v.IsNil() {
		return append(dst, 0xf6)
	}
	b := v.Bytes()
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

// appendHead appends a major type with its number in the shortest form.
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

// parse reads data into v, which is zero; false leaves it to the library, with v
// anything.
func (fl *flat) parse(data []byte, v reflect.Value) bool {
	rest, ok := bytes.CutPrefix(data, fl.head)
	for i := range fl.fields {
		f := &fl.fields[i]
		if !ok || len(rest) <= len(f.name) || string(rest[:len(f.name)]) != string(f.name) {
			return false
		}
		rest, ok = f.parse(rest[len(f.name):], v.Field(i))
	}
	return ok && len(rest) == 0
}

// parse reads one value off b, which has a byte at least.
func (f *flatField) parse(b []byte, v reflect.Value) (rest []byte, ok bool) {
	if b[0] >= 7<<5 {
		return f.parseSimple(b, v)
	}
	major := b[0] &^ 31
	n, b, ok := parseHead(b)
	if !ok {
		return nil, false
	}
	switch f.kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x := int64(n)
		if major > majorInt || x < 0 {
			return nil, false
		}
		x ^= -int64(major >> 5)
		v.SetInt(x)
		return b, v.Int() == x
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(n)
		return b, major == majorUint && v.Uint() == n
	case reflect.String:
		if major != majorText || n > uint64(len(b)) {
			return nil, false
		}
		v.SetString(string(b[:n]))
		return b[n:], true
	case reflect.Slice:
		if major != majorBytes || n > uint64(len(b)) {
			return nil, false
		}
		v.SetBytes(append([]byte{}, b[:n]...))
		return b[n:], true
	}
	return nil, false
}

func (f *flatField) parseSimple(b []byte, v reflect.Value) (rest []byte, ok bool) {
	switch lead := b[0]; {
	case f.kind == reflect.Bool && (lead == cborTrue || lead == cborFalse):
		v.SetBool(lead == cborTrue)
		return b[1:], true
	case f.kind == reflect.Float64 && lead == cborDouble && len(b) >= 9:
		v.SetFloat(math.Float64frombits(binary.BigEndian.Uint64(b[1:])))
		return b[9:], true
	case f.kind == reflect.Float32 && lead == cborFloat && len(b) >= 5:
		v.SetFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b[1:]))))
		return b[5:], true
	}
	return nil, false
}

// parseHead reads the number of a head of which b has a byte at least.
func parseHead(b []byte) (n uint64, rest []byte, ok bool) {
	info := b[0] & 31
	if info < 24 {
		return uint64(info), b[1:], true
	}
	width := 1 << (info - 24)
	if info > 27 || len(b) <= width {
		return 0, nil, false
	}
	switch info {
	case 24:
		n = uint64(b[1])
	case 25:
		n = uint64(binary.BigEndian.Uint16(b[1:]))
	case 26:
		n = uint64(binary.BigEndian.Uint32(b[1:]))
	default:
		n = binary.BigEndian.Uint64(b[1:])
	}
	return n, b[1+width:], true
}
