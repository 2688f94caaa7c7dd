// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// An object lives as long as somebody holds it, however that ends.
func TestLeases(t *testing.T) {
	testutil.NoLeaks(t)
	holding := func(t *testing.T, p Pair, r rpc.Ref[Account]) actor.PID {
		return start(t, p.A, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			if m.Value == "release" {
				r.Release(c)
			} else if _, _, err := r.Bind(c).Balance(); err != nil {
				return err
			}
			return c.Reply(nil)
		})})
	}
	for name, pair := range map[string]func(testing.TB) Pair{"one runtime": Alone, "two runtimes": Join} {
		for what, end := range map[string]func(p Pair, holder actor.PID) error{
			"released": func(p Pair, h actor.PID) error { _, err := p.A.Call(context.Background(), h, "release"); return err },
			"killed":   func(p Pair, h actor.PID) error { return p.A.Kill(h) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := pair(t)
					home := start(t, p.B, actor.Spec{New: rpc.Serve(NewAccount)})
					// A goroutine that calls by name holds nothing.
					opened, err := rpc.CallRuntime(t.Context(), p.A, rpc.RefOf[Account](home), "Open", Entry{Amount: 5})
					if err != nil {
						t.Fatal(err)
					}
					r := opened[0].(rpc.Ref[Account])
					balance := func() error {
						_, err := rpc.CallRuntime(t.Context(), p.A, r, "Balance")
						return err
					}
					one, two := holding(t, p, r), holding(t, p, r)
					for _, h := range []actor.PID{one, two} {
						if _, err := p.A.Call(t.Context(), h, nil); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Hour)
					if err := balance(); err != nil {
						t.Errorf("held: %v", err)
					}
					for i, h := range []actor.PID{one, two} {
						if err := end(p, h); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Second)
						if err := balance(); errors.Is(err, rpc.ErrNoObject) != (i == 1) {
							t.Errorf("after holder %d: %v", i, err)
						}
					}
				})
			})
		}
	}
}

// What nobody has bound is gone after one lease, what is permanent stays.
func TestUnheldObjects(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		p := Alone(t)
		released := 0
		var leased, permanent rpc.Ref[Account]
		home := start(t, p.B, actor.Spec{New: rpc.Host(func() actor.Handler {
			return actor.HandlerFunc(func(c *actor.Context, _ *actor.Message) (err error) {
				if leased, err = rpc.Export[Account](c, &mourned{released: &released}); err != nil {
					return err
				}
				if permanent, err = rpc.Export(c, NewAccount(), rpc.Permanent()); err != nil {
					return err
				}
				return c.Reply(nil)
			})
		}, rpc.WithLease(10*time.Second))})
		if _, err := p.A.Call(t.Context(), home, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if _, err := rpc.CallRuntime(t.Context(), p.A, leased, "Balance"); err != nil {
			t.Errorf("within the lease: %v", err)
		}
		time.Sleep(5 * time.Second)
		if _, err := rpc.CallRuntime(t.Context(), p.A, leased, "Balance"); !errors.Is(err, rpc.ErrNoObject) || released != 1 {
			t.Errorf("after the lease: %v, released %d times", err, released)
		}
		if _, err := rpc.CallRuntime(t.Context(), p.A, permanent, "Balance"); err != nil {
			t.Errorf("permanent: %v", err)
		}
		if _, err := rpc.CallRuntime(t.Context(), p.A, rpc.RefOf[Account](home), "Balance"); !errors.Is(err, rpc.ErrNoObject) {
			t.Errorf("a host that is no object: %v", err)
		}
	})
}

type mourned struct {
	account
	released *int
}

func (m *mourned) Released(*actor.Context) { *m.released++ }
