// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/skybus-io/skybus/node/codec"
)

// register names a type for what carries messages to other processes. It is called while
// the program starts: a name that two types have is a fault of the program, which a panic
// shows at once.
func register[T any](name string) {
	if err := codec.Register[T](codec.Default, name); err != nil {
		panic(fmt.Sprintf("rpc: %s: %v", name, err))
	}
}

// registerItem names the type of a stream's items, by its own name: several streams may have
// it, and the program may have named it before.
func registerItem[E any]() {
	t := reflect.TypeFor[E]()
	if t.Kind() != reflect.Struct || t.Name() == "" {
		return
	}
	if err := codec.Register[E](codec.Default, t.PkgPath()+"."+t.Name()); err != nil && !errors.Is(err, codec.ErrRegistered) {
		panic(fmt.Sprintf("rpc: items of a stream: %v", err))
	}
}
