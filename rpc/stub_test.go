// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
)

// One Exchange serves a method's calls as long as they end well. Of one that has not, nobody knows whether the object
// still writes to it.
func TestSlot(t *testing.T) {
	s := &Stub{object: Object{PID: actor.PID{Handle: 7}}, def: &iface{name: "a/b.C", methods: []string{"Get", "Set"}}}
	var p Slot[string, int]
	first := p.Begin(s, 1)
	if first.Method() != 1 || In[string, int](&first.Frame) != first {
		t.Errorf("the frame says method %d", first.Method())
	}
	first.Args, first.Results = "key", 5
	if err := first.Back(&first.Frame, nil); err != nil {
		t.Errorf("an answer: %v", err)
	}
	if r := first.End(); r != 5 {
		t.Errorf("the result is %d, want 5", r)
	}
	if x := p.Begin(s, 1); x != first || x.Args != "" || x.Results != 0 {
		t.Errorf("the next call has %q and %d in %p, want nothing in %p", x.Args, x.Results, x, first)
	}
	for _, test := range []struct {
		name  string
		value any
		err   error
		want  error
	}{
		{"an error", nil, actor.ErrStopped, actor.ErrStopped},
		{"an answer of no host", "what?", nil, actor.ErrType},
		{"another frame", new(Frame), nil, actor.ErrType},
		{"nothing", nil, nil, actor.ErrType},
	} {
		x := p.Begin(s, 1)
		err := x.Back(test.value, test.err)
		var failed *CallError
		if !errors.Is(err, test.want) || !errors.As(err, &failed) || failed.Method != "C.Set" || failed.Target != s.object {
			t.Errorf("%s: %v, want %v of Set", test.name, err, test.want)
		}
		if p.Begin(s, 1) == x {
			t.Errorf("%s: the next call has the same Exchange", test.name)
		}
	}
}

// Only a handler's call in its own process, which waits for ever, goes the short way.
func TestNear(t *testing.T) {
	ends, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, here, there := new(actor.Context), actor.PID{Handle: 7}, actor.PID{Node: addr.MustParse("0.0.3.1"), Handle: 7}
	for _, test := range []struct {
		name string
		s    Stub
		ctx  context.Context
		want bool
	}{
		{"a handler's", Stub{object: Object{PID: here}, c: c, near: true}, context.Background(), true},
		{"without a context", Stub{object: Object{PID: here}, c: c, near: true}, nil, true},
		{"a method's context", Stub{object: Object{PID: here}, c: c, near: true}, &serving{c: c}, true},
		{"one that ends", Stub{object: Object{PID: here}, c: c, near: true}, ends, false},
		{"a goroutine's", Stub{object: Object{PID: here}, near: true}, context.Background(), false},
		{"to another process", Stub{object: Object{PID: there}, c: c}, context.Background(), false},
	} {
		r, _ := stubOf[Root](test.s).(*rootStub)
		if r.s.Near(test.ctx) != test.want {
			t.Errorf("%s: near is %v, want %v", test.name, !test.want, test.want)
		}
	}
}
