// SPDX-License-Identifier: Apache-2.0

// Package protobuf brings protobuf messages to a codec.Registry. They go as they
// are, and arrive as the generated type that is linked in there; nothing is
// registered by hand:
//
//	err := codec.Default.AddFormat(protobuf.New())
//
// A message is known by the [codec.ID] of its full name. It is sent by itself
// only: as a field of another value, or in a field of type any, it is refused.
package protobuf

import (
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/skybus-io/skybus/node/codec"
)

// MaxDepth is how deep the messages in a message may be nested when it is decoded.
const MaxDepth = 64

// Format is the codec.Format of protobuf messages. Any goroutine may call it.
type Format struct {
	types *protoregistry.Types
	index atomic.Pointer[map[uint32]protoreflect.MessageType] // replaced as a whole
	mu    sync.Mutex                                          // held to replace it
}

var _ codec.Format = (*Format)(nil)

// New returns a Format for the messages that are linked into the program.
func New() *Format { return newFormat(protoregistry.GlobalTypes) }

func newFormat(types *protoregistry.Types) *Format {
	f := &Format{types: types}
	f.index.Store(&map[uint32]protoreflect.MessageType{})
	return f
}

// Encoding is codec.Proto.
func (f *Format) Encoding() codec.Encoding { return codec.Proto }

// Append appends the wire form of v if it is a proto.Message. Errors: those of
// proto, such as for text that is not UTF-8; one that wraps codec.ErrRegistered
// if two messages that are linked in have the same id, and codec.ErrUnknownType
// if v's is not linked in by its name, as dynamic ones.
func (f *Format) Append(dst []byte, v any) (out []byte, typ uint32, ok bool, err error) {
	m, ok := v.(proto.Message)
	if !ok {
		return dst, 0, false, nil
	}
	r := m.ProtoReflect()
	name := r.Descriptor().FullName()
	if !r.IsValid() {
		return dst, 0, true, fmt.Errorf("send %s: %w: a nil pointer", name, codec.ErrType)
	}
	typ = codec.ID(string(name))
	known, err := f.find(typ)
	if err != nil {
		return dst, 0, true, fmt.Errorf("send %s: %w", name, err)
	}
	if other := known.Descriptor().FullName(); other != name {
		return dst, 0, true, fmt.Errorf("send %s: %w: %s has the same id %#x", name, codec.ErrRegistered, other, typ)
	}
	if out, err = (proto.MarshalOptions{}).MarshalAppend(dst, m); err != nil {
		return dst, 0, true, fmt.Errorf("send %s: %w", name, err)
	}
	return out, typ, true, nil
}

// Decode returns a new message of the type.
func (f *Format) Decode(data []byte, typ uint32) (any, error) {
	t, err := f.find(typ)
	if err != nil {
		return nil, fmt.Errorf("decode a protobuf message: %w", err)
	}
	m := t.New().Interface()
	if err := (proto.UnmarshalOptions{RecursionLimit: MaxDepth}).Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", t.Descriptor().FullName(), codec.ErrData, err)
	}
	return m, nil
}

// find looks the id up. A message may have been linked in, by a plugin, after the
// index was made; an id that is not there costs no more than a look at how many
// there are.
func (f *Format) find(typ uint32) (protoreflect.MessageType, error) {
	index := *f.index.Load()
	t, ok := index[typ]
	if !ok && f.types.NumMessages() != len(index) {
		var err error
		if index, err = f.renew(); err != nil {
			return nil, err
		}
		t, ok = index[typ]
	}
	if !ok {
		return nil, fmt.Errorf("%w: no message with id %#x is linked in", codec.ErrUnknownType, typ)
	}
	return t, nil
}

// renew indexes all messages that are linked in.
func (f *Format) renew() (map[uint32]protoreflect.MessageType, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := make(map[uint32]protoreflect.MessageType, f.types.NumMessages())
	var err error
	f.types.RangeMessages(func(t protoreflect.MessageType) bool {
		name := t.Descriptor().FullName()
		id := codec.ID(string(name))
		if other := index[id]; other != nil {
			err = fmt.Errorf("%w: %s and %s have the same id %#x", codec.ErrRegistered, other.Descriptor().FullName(), name, id)
			return false
		}
		index[id] = t
		return true
	})
	if err != nil {
		return nil, err
	}
	f.index.Store(&index)
	return index, nil
}
