// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// deepest bounds how far values are nested that convert goes into.
const deepest = 32

// convert makes a value of type t of v, where nothing is lost: numbers that keep their value, texts of numbers,
// bools, durations, references and of what reads text; lists, and maps, also for structs. nil is the zero of what may be nil.
func convert(v any, t reflect.Type) (reflect.Value, error) { return convertAt(v, t, 0) }

func convertAt(v any, t reflect.Type, depth int) (reflect.Value, error) {
	if v == nil {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			return reflect.Zero(t), nil
		}
		return reflect.Value{}, fmt.Errorf("nil, want %v", t)
	}
	from := reflect.ValueOf(v)
	switch {
	case from.Type().AssignableTo(t):
		x := reflect.New(t).Elem()
		x.Set(from)
		return x, nil
	case depth > deepest:
		return reflect.Value{}, fmt.Errorf("nested deeper than %d", deepest)
	}
	to := reflect.New(t).Elem()
	ok, err := set(from, to, depth)
	if err != nil {
		return to, err
	}
	if !ok {
		return to, fmt.Errorf("%s is a %T, want %v", shown(v), v, t)
	}
	return to, nil
}

// shown is v for an error, short.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v[:min(len(v), 40)])
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v)
	}
	return "the value"
}

// set sets to from a value of another type, if that can be.
func set(from, to reflect.Value, depth int) (bool, error) {
	if o, ok := from.Interface().(Target); ok {
		switch r := to.Addr().Interface().(type) {
		case interface{ setObject(Object) }:
			r.setObject(o.target())
			return true, nil
		case *Object:
			*r = o.target()
			return true, nil
		}
	}
	switch from.Kind() {
	case reflect.String:
		return setText(from.String(), to)
	case reflect.Bool:
		if to.Kind() != reflect.Bool {
			return false, nil
		}
		to.SetBool(from.Bool())
		return true, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return setNumber(from, to), nil
	case reflect.Pointer, reflect.Interface:
		if from.IsNil() {
			return false, nil
		}
		x, err := convertAt(from.Elem().Interface(), to.Type(), depth+1)
		if err == nil {
			to.Set(x)
		}
		return err == nil, err
	case reflect.Slice, reflect.Array:
		return setList(from, to, depth)
	case reflect.Map:
		if to.Kind() == reflect.Struct {
			return setStruct(from, to, depth)
		}
		return setMap(from, to, depth)
	}
	return false, nil
}

// setNumber sets a number if that keeps its value.
func setNumber(from, to reflect.Value) bool {
	switch {
	case to.CanInt():
		i, ok := integer(from)
		if ok && !to.OverflowInt(i) {
			to.SetInt(i)
			return true
		}
	case to.CanUint():
		if from.CanUint() {
			if u := from.Uint(); !to.OverflowUint(u) {
				to.SetUint(u)
				return true
			}
			return false
		}
		i, ok := integer(from)
		if ok && i >= 0 && !to.OverflowUint(uint64(i)) {
			to.SetUint(uint64(i))
			return true
		}
	case to.CanFloat():
		f, ok := floating(from)
		if ok && (to.Kind() == reflect.Float64 || float64(float32(f)) == f || math.IsNaN(f)) {
			to.SetFloat(f)
			return true
		}
	}
	return false
}

func integer(v reflect.Value) (int64, bool) {
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(v.Uint()), v.Uint() <= math.MaxInt64
	}
	f := v.Float()
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

func floating(v reflect.Value) (float64, bool) {
	const exact = 1 << 53 // beyond that not each integer is a float
	switch {
	case v.CanInt():
		return float64(v.Int()), v.Int() >= -exact && v.Int() <= exact
	case v.CanUint():
		return float64(v.Uint()), v.Uint() <= exact
	}
	return v.Float(), true
}

// setText reads what people write.
func setText(s string, to reflect.Value) (bool, error) {
	switch p := to.Addr().Interface().(type) {
	case interface{ setObject(Object) }:
		o, err := ParseObject(s)
		p.setObject(o)
		return err == nil, err
	case *Object:
		o, err := ParseObject(s)
		*p = o
		return err == nil, err
	case *time.Duration:
		d, err := time.ParseDuration(s)
		*p = d
		return err == nil, err
	case encoding.TextUnmarshaler:
		err := p.UnmarshalText([]byte(s))
		return err == nil, err
	}
	return parseText(s, to)
}

func parseText(s string, to reflect.Value) (bool, error) {
	var err error
	switch t := to.Type(); {
	case to.Kind() == reflect.String:
		to.SetString(s)
	case to.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		to.SetBool(b)
	case to.CanInt():
		var i int64
		i, err = strconv.ParseInt(s, 0, t.Bits())
		to.SetInt(i)
	case to.CanUint():
		var u uint64
		u, err = strconv.ParseUint(s, 0, t.Bits())
		to.SetUint(u)
	case to.CanFloat():
		var f float64
		f, err = strconv.ParseFloat(s, t.Bits())
		to.SetFloat(f)
	case to.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		to.SetBytes([]byte(s))
	default:
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s, want %v: %w", shown(s), to.Type(), err)
	}
	return true, nil
}

func setList(from, to reflect.Value, depth int) (bool, error) {
	n := from.Len()
	switch {
	case to.Kind() == reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), n, n))
	case to.Kind() != reflect.Array || to.Len() != n:
		return false, nil
	}
	for i := range n {
		x, err := convertAt(from.Index(i).Interface(), to.Type().Elem(), depth+1)
		if err != nil {
			return false, fmt.Errorf("item %d: %w", i, err)
		}
		to.Index(i).Set(x)
	}
	return true, nil
}

func setMap(from, to reflect.Value, depth int) (bool, error) {
	if to.Kind() != reflect.Map {
		return false, nil
	}
	to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
	for k, v := range from.Seq2() {
		key, err := convertAt(k.Interface(), to.Type().Key(), depth+1)
		if err != nil {
			return false, fmt.Errorf("key: %w", err)
		}
		x, err := convertAt(v.Interface(), to.Type().Elem(), depth+1)
		if err != nil {
			return false, fmt.Errorf("value of %s: %w", shown(k.Interface()), err)
		}
		to.SetMapIndex(key, x)
	}
	return true, nil
}

// setStruct sets fields by their names, whatever the case.
func setStruct(from, to reflect.Value, depth int) (bool, error) {
	for k, v := range from.Seq2() {
		name := fmt.Sprint(k.Interface())
		f, ok := to.Type().FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !ok || !f.IsExported() || len(f.Index) != 1 {
			return false, fmt.Errorf("%v has no field %.40q", to.Type(), name)
		}
		x, err := convertAt(v.Interface(), f.Type, depth+1)
		if err != nil {
			return false, fmt.Errorf("field %s: %w", f.Name, err)
		}
		to.Field(f.Index[0]).Set(x)
	}
	return true, nil
}
