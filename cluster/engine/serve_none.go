// SPDX-License-Identifier: Apache-2.0

//go:build noengine

package engine

import (
	"context"
	"errors"
)

// BuiltIn says whether Serve has a server.
const BuiltIn = false

// Serve says that there is none.
func Serve(context.Context, string) error {
	return errors.New("this program was built without an engine (tag noengine): name an etcd program in cluster.engine.binary")
}
