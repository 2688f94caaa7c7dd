// SPDX-License-Identifier: Apache-2.0

package share

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
)

// MaxDepth is how deep the maps and lists of a tree may be nested. It also ends
// the walk through a value that contains itself.
const MaxDepth = 1000

// Normalize makes a value of the kinds that a [Tree] holds:
//
//   - all integers become int64, float32 becomes float64, a json.Number becomes
//     an int64 if it is written as one and a float64 otherwise;
//   - a map[any]any becomes a map[string]any, its integer keys written in
//     decimal; two keys that are then the same are refused.
//
// Whatever else it finds is refused with a [*PathError] of [ErrType] that says
// where: among others integers beyond int64, numbers beyond float64, bytes and
// times. The value belongs to Normalize: maps and lists are changed in place,
// also when it fails. No other goroutine may use it meanwhile.
func Normalize(value any) (any, error) {
	n := normalizer{}
	value, err := n.value(value)
	if err != nil {
		return nil, err
	}
	return value, nil
}

// A normalizer knows the path to the value at hand.
type normalizer struct{ path []string }

func (n *normalizer) fail(format string, args ...any) *PathError {
	return pathError(n.path, ErrType, format, args...)
}

func (n *normalizer) value(value any) (any, *PathError) {
	switch v := value.(type) {
	case nil, string, bool, int64, float64:
		return v, nil
	case map[string]any:
		return n.stringMap(v)
	case map[any]any:
		return n.anyMap(v)
	case []any:
		return n.list(v)
	case json.Number:
		return n.number(v)
	case time.Time:
		return nil, n.fail("a tree has no times; a date is put in quotes")
	}
	return n.scalar(value)
}

// scalar takes the numbers of all sizes.
func (n *normalizer) scalar(value any) (any, *PathError) {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, n.fail("%d is beyond int64", v.Uint())
		}
		return int64(v.Uint()), nil
	case reflect.Float32:
		return v.Float(), nil
	default:
		return nil, n.fail("a tree has no %T", value)
	}
}

func (n *normalizer) number(v json.Number) (any, *PathError) {
	text := string(v)
	i, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return i, nil
	}
	for _, c := range text {
		if c == '.' || c == 'e' || c == 'E' {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, n.fail("%s is beyond float64", quote(text))
			}
			return f, nil
		}
	}
	return nil, n.fail("%s is beyond int64", quote(text))
}

func (n *normalizer) stringMap(m map[string]any) (any, *PathError) {
	for key, value := range m {
		normal, err := n.at(key, value)
		if err != nil {
			return nil, err
		}
		m[key] = normal // a key that is there already: the range goes on as it was
	}
	return m, nil
}

func (n *normalizer) anyMap(m map[any]any) (any, *PathError) {
	normal := make(map[string]any, len(m))
	for key, value := range m {
		text, err := n.key(key)
		if err != nil {
			return nil, err
		}
		if _, twice := normal[text]; twice {
			return nil, n.fail("key %s is there twice, as a text and as a number", quote(text))
		}
		if normal[text], err = n.at(text, value); err != nil {
			return nil, err
		}
	}
	return normal, nil
}

// key writes a key as a text.
func (n *normalizer) key(key any) (string, *PathError) {
	if text, ok := key.(string); ok {
		return text, nil
	}
	switch v := reflect.ValueOf(key); {
	case !v.IsValid():
		return "", n.fail("a key is null, want a text or an integer")
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), nil
	default:
		return "", n.fail("a key is a %T, want a text or an integer; a text may be put in quotes", key)
	}
}

func (n *normalizer) list(list []any) (any, *PathError) {
	for i, value := range list {
		switch value.(type) {
		case string, bool, int64, float64: // spares the text of the index
			continue
		}
		normal, err := n.at(strconv.Itoa(i), value)
		if err != nil {
			return nil, err
		}
		list[i] = normal
	}
	return list, nil
}

// at normalizes what is one level below.
func (n *normalizer) at(element string, value any) (any, *PathError) {
	if len(n.path) >= MaxDepth {
		return nil, n.fail("nested deeper than %d", MaxDepth)
	}
	n.path = append(n.path, element)
	normal, err := n.value(value)
	n.path = n.path[:len(n.path)-1]
	return normal, err
}

func goType(value any) string { return reflect.TypeOf(value).String() }
