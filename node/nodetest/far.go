// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// FarName is what the service of Serve is called.
const FarName = "nodetest.far"

// Kinds are what services can be asked for by name.
type Kinds map[string]actor.Spec

// A Start asks for a new service; the answer is a Started.
type Start struct {
	Kind string
	Name string // of the service; empty: none
}

// A Started is the answer to a Start.
type Started struct{ PID actor.PID }

// An End asks that a service ends; the answer comes when it has ended, or is about to, if it is killed.
type End struct {
	PID  actor.PID
	Kill bool
}

// Register has r know what the package sends.
func Register(r *codec.Registry) error {
	return errors.Join(codec.Register[Start](r, "nodetest.Start"), codec.Register[Started](r, "nodetest.Started"),
		codec.Register[End](r, "nodetest.End"), codec.Register[*Order](r, "nodetest.Order"), codec.Register[Tally](r, "nodetest.Tally"))
}

// Serve returns the service that starts and ends others where it is.
func Serve(kinds Kinds) actor.Spec {
	return actor.Spec{Name: FarName, New: func() actor.Handler {
		var m actor.Mux
		actor.Serve(&m, func(c *actor.Context, s Start) (Started, error) {
			spec, ok := kinds[s.Kind]
			if !ok {
				return Started{}, fmt.Errorf("kind %q of service: want one of %q", s.Kind, slices.Sorted(maps.Keys(kinds)))
			}
			spec.Name = s.Name
			p, err := c.Start(spec)
			return Started{p}, err
		})
		actor.On(&m, func(c *actor.Context, e End) error {
			if err := end(c, e); err != nil || !c.Message().IsCall() {
				return err
			}
			return c.Reply(nil)
		})
		return &m
	}}
}

// end ends a service. Where it is not killed it waits for its end.
func end(c *actor.Context, e End) error {
	if e.Kill {
		return c.Runtime().Kill(e.PID)
	}
	if err := c.Stop(e.PID); err != nil && !errors.Is(err, actor.ErrNoService) {
		return err
	}
	for {
		if _, there := c.Runtime().Info(e.PID); !there {
			return nil
		}
		if err := c.Sleep(time.Millisecond); err != nil {
			return err
		}
	}
}

// A User is who asks: a handler, or a goroutine where C is nil.
type User struct {
	C  *actor.Context
	RT *actor.Runtime
}

// Call is the Call of either.
func (u User) Call(ctx context.Context, to actor.PID, v any) (any, error) {
	if u.C != nil {
		return u.C.CallContext(ctx, to, v)
	}
	return u.RT.Call(ctx, to, v)
}

// Send is the Send of either.
func (u User) Send(to actor.PID, v any) error {
	if u.C != nil {
		return u.C.Send(to, v)
	}
	return u.RT.Send(context.Background(), to, v)
}

// A Far is the other side: the PID of the service that Serve has made.
type Far struct{ PID actor.PID }

// Find returns the far side at an address, as n sees it. It may not have begun yet. Errors: those of node.Node.Lookup.
func Find(ctx context.Context, n *node.Node, at addr.Addr) (Far, error) {
	p, err := n.Lookup(ctx, at, FarName)
	return Far{p}, err
}

// Start starts a service of one of the Kinds over there.
func (f Far) Start(u User, kind, name string) (actor.PID, error) {
	v, err := u.Call(context.Background(), f.PID, Start{kind, name})
	s, ok := v.(Started)
	if err == nil && !ok {
		err = fmt.Errorf("the answer is a %T, want a Started", v)
	}
	return s.PID, err
}

// Stop stops a service over there and waits for its end. One that is gone is no error.
func (f Far) Stop(u User, p actor.PID) error {
	_, err := u.Call(context.Background(), f.PID, End{PID: p})
	return err
}

// Kill kills a service over there. One that is gone is actor.ErrNoService.
func (f Far) Kill(u User, p actor.PID) error {
	_, err := u.Call(context.Background(), f.PID, End{PID: p, Kill: true})
	return err
}

// KillSoon kills a service over there and does not wait for that. Any goroutine may call it.
func (f Far) KillSoon(rt *actor.Runtime, p actor.PID) error {
	return rt.TrySend(f.PID, End{PID: p, Kill: true})
}
