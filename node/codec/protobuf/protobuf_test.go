// SPDX-License-Identifier: Apache-2.0

package protobuf

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node/codec"
)

func registry(t testing.TB, l codec.Limits) *codec.Registry {
	t.Helper()
	r := codec.NewRegistry(l)
	if err := r.AddFormat(New()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMessagesSurvive(t *testing.T) {
	r := registry(t, codec.Limits{})
	nested, err := structpb.NewStruct(map[string]any{"a": 1.5, "b": []any{"x", nil, true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{
		wrapperspb.String("hello"), wrapperspb.Bytes([]byte{0, 1}), durationpb.New(-5), nested, &durationpb.Duration{},
	} {
		name := string(m.ProtoReflect().Descriptor().FullName())
		t.Run(name, func(t *testing.T) {
			data, e, typ, err := r.Append([]byte("head"), m)
			if err != nil || e != codec.Proto || typ != codec.ID(name) || string(data[:4]) != "head" {
				t.Fatalf("%q, %v, id %#x, %v", data, e, typ, err)
			}
			v, err := r.Decode(data[4:], e, typ)
			clear(data) // the message does not lie there
			if got, ok := v.(proto.Message); err != nil || !ok || !proto.Equal(got, m) {
				t.Errorf("%v arrives as %T %v, %v", m, v, v, err)
			}
		})
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	r := registry(t, codec.Limits{MaxSize: 100})
	dynamic := dynamicpb.NewMessage(unknownMessage(t))
	tests := []struct {
		name string
		v    any
		want error
		says string
	}{
		{"a nil pointer", (*durationpb.Duration)(nil), codec.ErrType, "google.protobuf.Duration"},
		{"too large", wrapperspb.String(strings.Repeat("x", 101)), codec.ErrTooLarge, "want at most 100"},
		{"not linked in", dynamic, codec.ErrUnknownType, "test.Unknown"},
		{"in a slice", []any{durationpb.New(1)}, codec.ErrType, "[0]: *durationpb.Duration is not registered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, _, _, err := r.Append([]byte("head"), tt.v)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || string(out) != "head" {
				t.Errorf("%q, %v; want %v that says %q", out, err, tt.want, tt.says)
			}
		})
	}
	if _, _, _, err := r.Append(nil, wrapperspb.String("\xff")); err == nil {
		t.Error("text that is no UTF-8 is sent")
	}
}

func unknownMessage(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	m := messages(t, "Unknown")
	return m[0].Descriptor()
}

// messages makes types that are not linked in.
func messages(t testing.TB, names ...string) (types []protoreflect.MessageType) {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("test.proto"), Package: proto.String("test")}
	for _, name := range names {
		file.MessageType = append(file.MessageType, &descriptorpb.DescriptorProto{Name: proto.String(name)})
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		types = append(types, dynamicpb.NewMessageType(fd.Messages().Get(i)))
	}
	return types
}

func TestBytesThatAreRefused(t *testing.T) {
	r := registry(t, codec.Limits{})
	list := codec.ID("google.protobuf.ListValue")
	deep := []byte{}
	for range 100 { // a list in a value in a list
		deep = append([]byte{0x32, byte(len(deep))}, deep...)
		deep = append([]byte{0x0a, byte(len(deep))}, deep...)
		if len(deep) > 250 {
			break
		}
	}
	tests := []struct {
		name string
		data []byte
		typ  uint32
		want error
	}{
		{"of no type", nil, 0, codec.ErrUnknownType},
		{"of an unknown type", nil, 99, codec.ErrUnknownType},
		{"cut off", []byte{0x0a, 0x05, 'a'}, codec.ID("google.protobuf.StringValue"), codec.ErrData},
		{"a long length", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f}, codec.ID("google.protobuf.StringValue"), codec.ErrData},
		{"nested too deep", deep, list, codec.ErrData},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, err := r.Decode(tt.data, codec.Proto, tt.typ); !errors.Is(err, tt.want) {
				t.Errorf("%v, %v, want %v", v, err, tt.want)
			}
		})
	}
}

// Where two names have one id, neither can be told from the other.
func TestTwoMessagesWithOneID(t *testing.T) {
	types := new(protoregistry.Types)
	f := newFormat(types)
	pair := messages(t, collide(t)...)
	if codec.ID(string(pair[0].Descriptor().FullName())) != codec.ID(string(pair[1].Descriptor().FullName())) {
		t.Fatal("they have two ids")
	}
	if err := types.RegisterMessage(pair[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, ok, err := f.Append(nil, pair[0].New().Interface()); !ok || err != nil {
		t.Errorf("one alone: %v", err)
	}
	_, _, _, err := f.Append(nil, pair[1].New().Interface())
	wantBoth(t, err, pair)
	if err := types.RegisterMessage(pair[1]); err != nil {
		t.Fatal(err)
	}
	_, err = newFormat(types).Decode(nil, 5)
	wantBoth(t, err, pair)
}

func wantBoth(t *testing.T, err error, pair []protoreflect.MessageType) {
	t.Helper()
	for _, m := range pair {
		if !errors.Is(err, codec.ErrRegistered) || !strings.Contains(err.Error(), string(m.Descriptor().FullName())) {
			t.Errorf("the error is %v, want both names", err)
		}
	}
}

// collide finds two names of messages with one id: there are some among 2^17.
func collide(t *testing.T) []string {
	t.Helper()
	seen := map[uint32]string{}
	for i := range 1 << 20 {
		name := "M" + strings.ToLower(string(rune('A'+i%26))) + strconv.Itoa(i)
		id := codec.ID("test." + name)
		if other, ok := seen[id]; ok {
			return []string{other, name}
		}
		seen[id] = name
	}
	t.Fatal("all ids differ")
	return nil
}

func TestManyGoroutinesSendAtOnce(t *testing.T) {
	testutil.NoLeaks(t)
	r := registry(t, codec.Limits{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			data, e, typ, err := r.Append(nil, durationpb.New(7))
			if err != nil {
				t.Error(err)
				return
			}
			if v, err := r.Decode(data, e, typ); err != nil || v.(*durationpb.Duration).Nanos != 7 {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
	wg.Wait()
}

func TestOneFormatAnEncoding(t *testing.T) {
	r := registry(t, codec.Limits{})
	if err := r.AddFormat(New()); !errors.Is(err, codec.ErrRegistered) {
		t.Errorf("a second one: %v", err)
	}
}

// FuzzDecode feeds any bytes to a type that contains itself.
func FuzzDecode(f *testing.F) {
	r := registry(f, codec.Limits{})
	nested, err := structpb.NewStruct(map[string]any{"a": 1.5, "b": []any{"x", nil, true}})
	if err != nil {
		f.Fatal(err)
	}
	data, _, typ, err := r.Append(nil, nested)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := r.Decode(data, codec.Proto, typ)
		if err != nil {
			if !errors.Is(err, codec.ErrData) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if _, _, _, err := r.Append(nil, v); err != nil {
			t.Errorf("%v cannot be sent again: %v", v, err)
		}
	})
}
