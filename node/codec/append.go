// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// buffers holds *bytes.Buffer, which the library writes to.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Append encodes v behind dst and returns how, and the ID of its type, or 0 for
// what has none. It allocates only if dst has no room, or if v has fields of
// type any with registered types in them. v is only read, and nobody may write
// to it meanwhile; neither v nor dst is kept.
//
// Errors wrap ErrType, ErrCycle or ErrTooLarge and name the path within v, or
// are those of methods such as MarshalText; a panic of such a method is an
// error, too. dst is returned as it was then.
func (r *Registry) Append(dst []byte, v any) (out []byte, e Encoding, typ uint32, err error) {
	switch v := v.(type) {
	case nil:
		return dst, None, 0, nil
	case []byte:
		if err := r.checkSize(len(v), "[]byte"); err != nil {
			return dst, Raw, 0, err
		}
		return append(dst, v...), Raw, 0, nil
	case string:
		if err := r.checkSize(len(v), "string"); err != nil {
			return dst, Text, 0, err
		}
		return append(dst, v...), Text, 0, nil
	}
	tab := r.tables.Load()
	if known := tab.byType[reflect.TypeOf(v)]; known != nil {
		out, err = r.appendKnown(dst, v, known, tab)
		return out, CBOR, known.id, err
	}
	for _, f := range tab.formats {
		if out, typ, ok, err := appendFormat(f, dst, v); ok {
			if err == nil {
				err = r.checkSize(len(out)-len(dst), reflect.TypeOf(v).String())
			}
			if err != nil {
				return dst, f.Encoding(), 0, err
			}
			return out, f.Encoding(), typ, nil
		}
	}
	out, err = r.appendFree(dst, v, tab)
	return out, CBOR, 0, err
}

func appendFormat(f Format, dst []byte, v any) (out []byte, typ uint32, ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = true, fmt.Errorf("send %T: panic: %v", v, p)
		}
	}()
	return f.Append(dst, v)
}

func (r *Registry) appendKnown(dst []byte, v any, e *entry, tab *table) ([]byte, error) {
	if e.flat != nil {
		if rv := reflect.Indirect(reflect.ValueOf(v)); rv.IsValid() {
			return r.checked(dst, e.flat.append(dst, rv), e.name)
		}
	}
	if e.plan.walk {
		w := walker{r: r, tab: tab}
		c, changed, f := w.value(reflect.ValueOf(v), e.plan, 0)
		if f != nil {
			return dst, fmt.Errorf("send %s: %w", e.name, f.within(rootName(e.typ)))
		}
		if changed {
			v = c.Interface()
		}
	}
	return r.encode(dst, v, e.name)
}

func (r *Registry) appendFree(dst []byte, v any, tab *table) ([]byte, error) {
	w := walker{r: r, tab: tab}
	t := reflect.TypeOf(v)
	c, _, f := w.any(v, 0)
	if f != nil {
		return dst, fmt.Errorf("send %v: %w", t, f)
	}
	return r.encode(dst, c, t.String())
}

// rootName begins a path.
func rootName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.String()
}

// encode has the library write v, and looks whether the far side would read it.
func (r *Registry) encode(dst []byte, v any, name string) (out []byte, err error) {
	b := buffers.Get().(*bytes.Buffer)
	defer func() {
		if p := recover(); p != nil {
			out, err = dst, fmt.Errorf("send %s: panic: %v", name, p)
		}
		*b = bytes.Buffer{} // the bytes are the caller's
		buffers.Put(b)
	}()
	*b = *bytes.NewBuffer(dst)
	if err := encoder.MarshalToBuffer(v, b); err != nil {
		return dst, fmt.Errorf("send %s: %w", name, err)
	}
	return r.checked(dst, b.Bytes(), name)
}

// checked returns out, or dst with an error if what out has more is too large.
func (r *Registry) checked(dst, out []byte, name string) ([]byte, error) {
	if err := r.checkSize(len(out)-len(dst), name); err != nil {
		return dst, err
	}
	if err := r.checkElements(out[len(dst):]); err != nil {
		return dst, fmt.Errorf("send %s: %w", name, err)
	}
	return out, nil
}

func (r *Registry) checkSize(n int, name string) error {
	if n > r.limits.MaxSize {
		return fmt.Errorf("send %s: %w: %d bytes, want at most %d", name, ErrTooLarge, n, r.limits.MaxSize)
	}
	return nil
}

// checkElements counts, but only in bytes that are enough for too many.
func (r *Registry) checkElements(data []byte) error {
	if len(data) <= r.limits.MaxElements {
		return nil
	}
	elements, pairs, ok := count(data)
	if !ok {
		return errors.New("the encoding is not well-formed") // a MarshalCBOR's; the library has looked
	}
	return r.tooMany(elements, pairs)
}

func (r *Registry) tooMany(elements, pairs uint64) error {
	if n := elements + pairs; n > uint64(r.limits.MaxElements) {
		return fmt.Errorf("%w: %d elements, want at most %d", ErrTooLarge, n, r.limits.MaxElements)
	}
	return nil
}
