// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// A branch is an Account that remembers those that it opens, and all of them over a hot restart but one that has nothing.
type branch struct {
	account
	open map[uint64]*account
}

func newBranch() Account { return &branch{open: map[uint64]*account{}} }

func (b *branch) Open(ctx context.Context, first Entry) (rpc.Ref[Account], error) {
	a := &account{balance: first.Amount}
	r, err := rpc.Export[Account](rpc.FromContext(ctx), a)
	b.open[r.Number] = a
	return r, err
}

func (b *branch) Snapshot(*actor.Context) ([]byte, error) {
	balances := map[uint64]int64{0: b.balance}
	for number, a := range b.open {
		balances[number] = a.balance
	}
	return json.Marshal(balances)
}

func (b *branch) Restore(c *actor.Context, snapshot []byte) error {
	balances := map[uint64]int64{}
	if err := json.Unmarshal(snapshot, &balances); err != nil {
		return err
	}
	for number, balance := range balances {
		if number == 0 || balance == 0 {
			b.balance += balance
			continue
		}
		a := &account{balance: balance}
		if err := rpc.ExportAs[Account](c, a, rpc.Object{PID: c.Self(), Number: number}); err != nil {
			return err
		}
		b.open[number] = a
	}
	if err := rpc.ExportAs[Account](c, &b.account, rpc.Object{PID: c.Self(), Number: 1 << 40}); !errors.Is(err, rpc.ErrNoObject) {
		return errors.New("an object that there never was is exported again")
	}
	return nil
}

// Refs go on in another runtime, and so do their leases, until their holders end there.
func TestRefsOverARestart(t *testing.T) {
	testutil.NoLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		specs := map[string]actor.Spec{
			"branch": {Name: "branch", New: rpc.Serve(newBranch)},
			"holder": {Name: "holder", Stateless: true, New: actor.Func(func(c *actor.Context, m *actor.Message) error {
				_, _, err := m.Value.(rpc.Ref[Account]).Bind(c).Balance()
				return errors.Join(err, c.Reply(nil))
			})},
		}
		for _, s := range rpc.Types() {
			specs[s.Type] = s
		}
		before := actor.New(actor.Config{Life: 3, Workers: 2})
		defer before.Close()
		home, holder := start(t, before, specs["branch"]), start(t, before, specs["holder"])
		var refs []rpc.Ref[Account]
		for _, amount := range []int64{5, 6, 0} {
			opened, err := rpc.CallRuntime(t.Context(), before, rpc.RefOf[Account](home), "Open", Entry{Amount: amount})
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, opened[0].(rpc.Ref[Account]))
		}
		if _, err := before.Call(t.Context(), holder, refs[0]); err != nil { // holds it
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := before.Pause(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		st, err := before.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		after := actor.New(actor.Config{Life: 3, Workers: 2})
		defer after.Close()
		begin, err := after.Restore(st, func(typ string) (actor.Spec, bool) {
			s, ok := specs[typ]
			return s, ok
		})
		if err != nil {
			t.Fatal(err)
		}
		begin()
		balance := func(i int) (any, error) {
			v, err := rpc.CallRuntime(t.Context(), after, refs[i], "Balance")
			if err != nil {
				return nil, err
			}
			return v[0], nil
		}
		for i, want := range []any{int64(5), int64(6), nil} {
			if v, err := balance(i); v != want || (err != nil) != (want == nil) {
				t.Errorf("object %d has %v, %v, want %v", i, v, err, want)
			}
		}
		time.Sleep(10 * time.Minute)
		if v, err := balance(0); err != nil || v != int64(5) {
			t.Errorf("the object that is held has %v, %v", v, err)
		}
		if _, err := balance(1); !errors.Is(err, rpc.ErrNoObject) {
			t.Errorf("the object that nobody holds: %v", err)
		}
		if err := after.Kill(holder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := balance(0); !errors.Is(err, rpc.ErrNoObject) {
			t.Errorf("the object whose holder has ended: %v", err)
		}
		opened, err := rpc.CallRuntime(t.Context(), after, rpc.RefOf[Account](home), "Open", Entry{Amount: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refs {
			if opened[0].(rpc.Ref[Account]).Same(r) {
				t.Errorf("%v is given again", r)
			}
		}
	})
}
