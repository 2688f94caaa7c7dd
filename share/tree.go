// SPDX-License-Identifier: Apache-2.0

package share

import "strconv"

// A Tree is a table whose values have no Go type of their own. Its values are
// made of map[string]any, []any, string, float64, int64, bool and nil, and of
// nothing else: [Normalize] makes them so, and package share/files does it with
// what it loads.
type Tree = Table[any]

// At returns what the current version of t has at a path. An element of a path
// is a key of a map, or an index of a list in decimal, from 0; no element is the
// root.
//
//	hp, err := share.At[int64](tree, "monsters", "orc", "hp")
//
// V is one of map[string]any, []any, string, float64, int64 and bool, or any for
// whatever there is. An int64 is also taken for a float64 if that can hold it.
// The error is a [*PathError]: of [ErrNotFound] or [ErrType].
//
// What At returns is shared and must not be changed. At allocates nothing unless
// it fails. Two calls may see two versions; whoever looks for several things that
// belong together calls [In] on one version.
func At[V any](t *Tree, path ...string) (V, error) {
	value, err := in[V](t.Get(), path)
	if err != nil {
		err.Table = t.Name()
		return value, err
	}
	return value, nil
}

// In is At for a value of a tree, or for a part of one.
func In[V any](root any, path ...string) (V, error) {
	value, err := in[V](root, path)
	if err != nil {
		return value, err
	}
	return value, nil
}

func in[V any](root any, path []string) (V, *PathError) {
	var zero V
	found, err := descend(root, path)
	if err != nil {
		return zero, err
	}
	if value, ok := found.(V); ok {
		return value, nil
	}
	switch want := any(&zero).(type) {
	case *any: // found is null, which asserts to nothing
		return zero, nil
	case *float64:
		n, ok := found.(int64)
		if *want = float64(n); ok && n >= -maxExact && n <= maxExact {
			return zero, nil
		}
		if ok {
			return *new(V), pathError(path, ErrType, "found %d, which no float64 holds exactly", n)
		}
	}
	return *new(V), pathError(path, ErrType, "found %s, asked for %s", kindOf(found), typeName[V]())
}

// maxExact bounds the integers that each have a float64 of their own.
const maxExact = 1 << 53

// descend walks from root along path.
func descend(root any, path []string) (any, *PathError) {
	at := root
	for i, element := range path {
		switch node := at.(type) {
		case map[string]any:
			next, ok := node[element]
			if !ok {
				return nil, pathError(path[:i], ErrNotFound, "a map of %d has no key %s", len(node), quote(element))
			}
			at = next
		case []any:
			n, err := strconv.ParseUint(element, 10, 63)
			if err != nil {
				return nil, pathError(path[:i], ErrNotFound, "a list is looked into by index, got %s", quote(element))
			}
			if n >= uint64(len(node)) {
				return nil, pathError(path[:i], ErrNotFound, "a list of %d has no index %d", len(node), n)
			}
			at = node[n]
		default:
			return nil, pathError(path[:i], ErrType, "found %s, looked for %s in it", kindOf(at), quote(element))
		}
	}
	return at, nil
}

// kindOf names what a value of a tree is.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	}
	return goType(value)
}
