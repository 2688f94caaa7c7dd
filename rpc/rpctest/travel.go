// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"errors"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
	"github.com/skybus-io/skybus/rpc"
)

// largest is what the domains of the suite have as their Limits.MaxMessage.
const largest = 128 << 10

// Arguments and results that cannot travel are errors at the caller, who can go on. Between two runtimes of one process
// without a bus everything can that is plain data.
func cannotTravel(t *testing.T, s *side) {
	if !s.Bus {
		return
	}
	s.do(t, func(u user) {
		a, ctx := bind(u, s.ref), t.Context()
		cycle := map[string]any{}
		cycle["self"] = cycle
		large := strings.Repeat("x", largest)
		for _, c := range []struct {
			what string
			err  func() error
			is   []error
		}{
			{"an argument that is too large", func() error { _, err := a.Open(ctx, Entry{Text: large}); return err }, []error{skybus.ErrTooBig}},
			{"one by name", func() error { _, err := u.call(s.ref, "Note", large); return err }, []error{skybus.ErrTooBig}},
			{"a value that contains itself", func() error { _, err := a.Pass(ctx, cycle); return err }, []error{node.ErrValue, codec.ErrCycle}},
			{"a function", func() error { _, err := a.Pass(ctx, func() {}); return err }, []error{node.ErrValue, codec.ErrType}},
			{"a type that nobody knows", func() error { _, err := a.Pass(ctx, struct{ A int }{}); return err }, []error{node.ErrValue, codec.ErrType}},
			{"a result that is too large", func() error { _, err := a.Pass(ctx, "large"); return err }, []error{skybus.ErrTooBig}},
			{"a result that contains itself", func() error { _, err := a.Pass(ctx, "cycle"); return err }, []error{node.ErrValue}},
			{"a result that is a function", func() error { _, err := a.Pass(ctx, "func"); return err }, []error{node.ErrValue}},
		} {
			err := c.err()
			var call *rpc.CallError
			if !errors.As(err, &call) || call.Target != s.ref.Object() {
				t.Errorf("%s: %v, want a CallError", c.what, err)
			}
			for _, is := range c.is {
				if !errors.Is(err, is) {
					t.Errorf("%s: %v, want %v", c.what, err, is)
				}
			}
		}
		if v, err := a.Pass(ctx, []any{"x", int64(1)}); err != nil || len(v.([]any)) != 2 {
			t.Errorf("afterwards: %v, %v", v, err)
		}
	})
}
