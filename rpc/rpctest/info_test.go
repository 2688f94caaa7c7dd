// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"errors"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// What can be called of a service is told in its own process, without a message.
func TestInfoOf(t *testing.T) {
	testutil.NoLeaks(t)
	p := Join(t)
	mute := actor.Func(func(c *actor.Context, _ *actor.Message) error {
		t.Error("a message")
		return nil
	})
	object := start(t, p.B, actor.Spec{New: rpc.Serve(NewAccount)})
	more := start(t, p.B, actor.Spec{New: rpc.Serve(func() *both { return &both{} })})
	host := start(t, p.B, actor.Spec{New: rpc.Host(mute)})
	other := start(t, p.B, actor.Spec{New: mute})
	gone := start(t, p.B, actor.Spec{New: rpc.Serve(NewAccount)})
	if err := p.B.Stop(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		rt     *actor.Runtime
		pid    actor.PID
		typ    string
		others bool
		wrong  error
	}{
		{"an object", p.B, object, "rpctest.Account", false, nil},
		{"without its node", p.B, actor.PID{Handle: object.Handle}, "rpctest.Account", false, nil},
		{"one that takes messages", p.B, more, "*rpctest.both", true, nil},
		{"a host", p.B, host, "", false, rpc.ErrNoObject},
		{"another service", p.B, other, "", false, rpc.ErrNoHost},
		{"one that has ended", p.B, gone, "", false, rpc.ErrNoHost},
		{"of another process", p.A, object, "", false, rpc.ErrNoHost},
		{"nobody", p.B, actor.PID{}, "", false, rpc.ErrNoHost},
	} {
		info, err := rpc.InfoOf(test.rt, test.pid)
		if info.Type != test.typ || info.Others != test.others || !errors.Is(err, test.wrong) {
			t.Errorf("%s: %+v, %v", test.name, info, err)
		}
		if err != nil {
			continue
		}
		names := map[string]bool{}
		for _, m := range info.Methods {
			names[m.Name] = true
			if m.Name == "History" && (!m.Streams || len(m.Args) != 1 || m.Args[0] != "int") {
				t.Errorf("%s: %+v", test.name, m)
			}
		}
		if !names["Deposit"] || !names["Note"] || !names["History"] || names["Handle"] {
			t.Errorf("%s: methods %v", test.name, names)
		}
	}
}
