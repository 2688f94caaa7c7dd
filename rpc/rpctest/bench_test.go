// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

type deposit struct{ amount int64 }

// both is an Account that handles bare requests, too.
type both struct{ account }

func (b *both) Handle(c *actor.Context, m *actor.Message) (err error) {
	if d, ok := m.Value.(*deposit); ok { // with nothing to be allocated
		if d.amount, err = b.Deposit(context.Background(), d.amount); err != nil {
			return err
		}
		return c.Reply(d)
	}
	n, err := b.Deposit(context.Background(), m.Value.(deposit).amount)
	if err != nil {
		return err
	}
	return c.Reply(n)
}

// BenchmarkCall compares a stub with bare requests to the same service: by values as programs write
// them, and by a pointer that goes there and back.
func BenchmarkCall(b *testing.B) {
	for _, how := range []string{"ask", "pointer", "stub"} {
		b.Run(how, func(b *testing.B) {
			rt := actor.New(actor.Config{})
			defer rt.Close()
			p := start(b, rt, actor.Spec{New: rpc.Serve(func() Account { return &both{} })})
			b.ReportAllocs()
			inHandler(b, rt, func(c *actor.Context) {
				a, ctx := rpc.RefOf[Account](p).Bind(c), context.Background()
				b.ResetTimer()
				d := new(deposit)
				for i := range b.N {
					var err error
					switch how {
					case "ask":
						_, err = actor.Ask[int64](c, p, deposit{int64(i) + 1000})
					case "pointer":
						d.amount = int64(i) + 1000
						d, err = actor.Ask[*deposit](c, p, d)
					default:
						_, err = a.Deposit(ctx, int64(i)+1000)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// Calls by a handler's stub allocate nothing but the first of each method.
func TestAllocations(t *testing.T) {
	rt := actor.New(actor.Config{Workers: 1})
	defer rt.Close()
	p := start(t, rt, actor.Spec{New: rpc.Serve(NewAccount)})
	inHandler(t, rt, func(c *actor.Context) {
		a, ctx := rpc.RefOf[Account](p).Bind(c), context.Background()
		n := testing.AllocsPerRun(1000, func() {
			if _, err := a.Deposit(ctx, 1000); err != nil {
				t.Error(err)
			}
			if _, _, err := a.Balance(); err != nil {
				t.Error(err)
			}
		})
		if n > 0 {
			t.Errorf("two calls allocate %v times, want none", n)
		}
	})
}

// What a stub uses again is never that of a call that its caller has given up, nor does it keep old values.
func TestFramesAreUsedAgain(t *testing.T) {
	testutil.NoLeaks(t)
	p := Alone(t)
	pid := start(t, p.B, actor.Spec{New: rpc.Serve(NewAccount)})
	inHandler(t, p.A, func(c *actor.Context) {
		a := rpc.RefOf[Account](pid).Bind(c)
		for i := range 100 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if has, err := a.Sleep(ctx, 0); !has || err != nil {
				t.Errorf("with a deadline: %v, %v", has, err)
			}
			cancel()
			if has, err := a.Sleep(context.Background(), 0); has || err != nil {
				t.Errorf("without one, after one with: %v, %v", has, err)
			}
			short, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
			if _, err := a.Sleep(short, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up: %v", err)
			}
			cancel()
			if err := a.Refuse("poor"); !errors.Is(err, ErrPoor) {
				t.Errorf("refused: %v", err)
			}
			if n, err := a.Deposit(context.Background(), 1); n != int64(i)+1 || err != nil {
				t.Errorf("deposit %d: %d, %v", i, n, err)
			}
		}
	})
}
