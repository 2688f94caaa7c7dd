// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// who answers with the PID of the service.
func who(c *actor.Context, m *actor.Message) error {
	if m.IsCall() {
		return c.Reply(c.Self().String())
	}
	return nil
}

func keyOf(v any) (string, bool) { k, ok := v.(string); return k, ok }

func pool(t *testing.T, n *Node, spec actor.PoolSpec) *actor.Pool {
	t.Helper()
	p, err := n.Runtime().NewPool(soon(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(t *testing.T, n *Node, to actor.PID, v any) actor.PID {
	t.Helper()
	got, err := n.Runtime().Call(soon(t), to, v)
	if err != nil {
		t.Fatalf("call %v: %v", to, err)
	}
	return answerer(t, got)
}

// answerer reads what who answers.
func answerer(t *testing.T, answer any) actor.PID {
	t.Helper()
	text, _ := answer.(string)
	p, err := actor.ParsePID(text)
	if err != nil {
		t.Fatalf("the answer is %v: %v", answer, err)
	}
	return p
}

// The pools of three nodes that have the same members, whatever their order, give a key to the same one; and after one has ended the
// others keep their keys.
func TestPoolsByKeyAgree(t *testing.T) {
	d := domain(t)
	nodes := []*Node{begin(t, d, here, Config{}), begin(t, d, there, Config{}), begin(t, d, elsewhere, Config{})}
	var members []actor.PID
	for i := range 6 {
		members = append(members, serve(t, nodes[i%3], actor.Spec{}, who))
	}
	var pools []*actor.Pool
	for i, n := range nodes {
		all := append(append([]actor.PID{}, members[2*i:]...), members[:2*i]...)
		pools = append(pools, pool(t, n, actor.PoolSpec{Members: all, Pick: actor.ByKey, Key: keyOf}))
	}
	const keys = 300
	place := func() (of []actor.PID) {
		for k := range keys {
			key := fmt.Sprint("player ", k)
			of = append(of, ask(t, nodes[0], pools[0].PID(), key))
			for i := 1; i < len(nodes); i++ {
				if p := ask(t, nodes[i], pools[i].PID(), key); p != of[k] {
					t.Fatalf("%s is at %v for the first node, at %v for node %d", key, of[k], p, i)
				}
			}
		}
		return of
	}
	before := place()
	share := map[actor.PID]int{}
	for _, p := range before {
		share[p]++
	}
	for _, p := range members {
		if share[p] < keys/20 {
			t.Errorf("%v has %d of %d keys", p, share[p], keys)
		}
	}
	dead := members[1]
	if err := nodes[1].Runtime().Kill(dead); err != nil {
		t.Fatal(err)
	}
	for _, p := range pools {
		eventually(t, "the dead one to leave", func() bool { return len(p.Members()) == len(members)-1 })
	}
	for k, p := range place() {
		if p == dead || before[k] != dead && p != before[k] {
			t.Errorf("key %d has gone from %v to %v", k, before[k], p)
		}
	}
}

// Members of a process that dies leave, calls that are there fail, and the others go on.
func TestPoolAcrossNodesTakesTurns(t *testing.T) {
	d := domain(t)
	a, b := begin(t, d, here, Config{}), begin(t, d, there, Config{})
	p := pool(t, a, actor.PoolSpec{Spec: actor.Spec{Name: "pool", New: actor.Func(who)}, Size: 1})
	far := []actor.PID{serve(t, b, actor.Spec{}, who), serve(t, b, actor.Spec{}, who)}
	for _, m := range append(far, far[0]) { // the second time is none
		if err := p.Join(m); err != nil {
			t.Fatal(err)
		}
	}
	named, _ := a.Runtime().Lookup("pool")
	count := map[actor.PID]int{}
	for range 30 {
		count[ask(t, a, named, 1)]++
	}
	if len(count) != 3 || count[far[0]] != 10 || count[far[1]] != 10 {
		t.Errorf("30 calls went to %v", count)
	}
	if err := p.Join(actor.PID{Handle: 12345}); !errors.Is(err, actor.ErrNoService) {
		t.Errorf("one that is not there joins: %v", err)
	}
	b.Close()
	eventually(t, "the dead ones to leave", func() bool { return len(p.Members()) == 1 })
	if got := ask(t, a, named, 1); got != p.Members()[0] {
		t.Errorf("%v answers", got)
	}
	if err := p.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if _, err := a.Runtime().Call(soon(t), p.PID(), 1); !errors.Is(err, actor.ErrNoService) {
		t.Errorf("a call of a closed pool: %v", err)
	}
}

// The least loaded is one whose process has answered all that was asked of it.
func TestPoolAcrossNodesGoesByLoad(t *testing.T) {
	a, b, c := three(t)
	open := make(chan struct{})
	slow := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error { <-open; return who(c, m) })
	quick := serve(t, c, actor.Spec{}, who)
	p := pool(t, a, actor.PoolSpec{Members: []actor.PID{slow, quick}, Pick: actor.LeastLoaded})
	done := make(chan any, 1)
	ctx := soon(t)
	go func() { v, _ := a.Runtime().Call(ctx, slow, 1); done <- v }()
	eventually(t, "the slow one to be busy", func() bool { return remote{a}.Load(there) == 1 })
	for range 10 {
		if got := ask(t, a, p.PID(), 1); got != quick {
			t.Errorf("%v answers, want %v", got, quick)
		}
	}
	close(open)
	if got := answerer(t, <-done); got != slow {
		t.Errorf("%v answers, want %v", got, slow)
	}
}

// What comes to a pool from another process reaches members in a third one, and the answer comes back; what it is held by
// stays until that.
func TestPoolForOtherNodes(t *testing.T) {
	a, b, c := three(t)
	far := serve(t, c, actor.Spec{}, who)
	p := pool(t, b, actor.PoolSpec{Members: []actor.PID{far}})
	for range 100 {
		if got := ask(t, a, p.PID(), 1); got != far {
			t.Fatalf("%v answers", got)
		}
	}
	eventually(t, "all to be released", func() bool { return waiting(t, b, here) == 0 })
}

// waiting is how many records wait in the lane from an address.
func waiting(t *testing.T, n *Node, from addr.Addr) uint64 {
	t.Helper()
	info, ok := n.d.Table().Lane(channel.Pair{Src: from, Dst: n.Addr()})
	if !ok {
		t.Fatalf("there is no lane from %v", from)
	}
	return info.Messages
}

// Kinds and sessions stay in a tunnel, answers and errors come back, wherever caller, tunnel and target are.
func TestTunnels(t *testing.T) {
	a, b, c := three(t)
	errFar := errors.New("an error from over there")
	for _, tt := range []struct {
		name                   string
		caller, tunnel, target *Node
	}{
		{"all here", a, a, a}, {"to another process", a, a, b}, {"in another process", a, b, b}, {"there and back", a, b, a}, {"through a third process", a, b, c},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kinds := make(chan actor.Kind, 10)
			target := serve(t, tt.target, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
				kinds <- m.Kind
				if m.Value == "fail" {
					return errFar
				}
				if m.IsCall() {
					return c.Reply(m.Value)
				}
				return nil
			})
			tunnel, err := tt.tunnel.Runtime().Start(soon(t), actor.Spec{New: actor.Tunnel(target)})
			if err != nil {
				t.Fatal(err)
			}
			rt := tt.caller.Runtime()
			if v, err := rt.CallKind(soon(t), tunnel, 77, "hello"); v != "hello" || err != nil || <-kinds != 77 {
				t.Errorf("a call: %v, %v", v, err)
			}
			if _, err := rt.Call(soon(t), tunnel, "fail"); err == nil || !strings.Contains(err.Error(), errFar.Error()) || <-kinds != actor.KindMessage {
				t.Errorf("a call that fails: %v", err)
			}
			if err := rt.SendKind(soon(t), tunnel, actor.KindText, "hello"); err != nil || <-kinds != actor.KindText {
				t.Errorf("a message: %v", err)
			}
			watched := make(chan actor.Down, 1)
			watcher := serve(t, tt.caller, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
				if d, is := m.Value.(actor.Down); is {
					watched <- d
					return nil
				}
				_, err := c.Monitor(tunnel)
				return errors.Join(err, c.Reply(nil))
			})
			if _, err := rt.Call(soon(t), watcher, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := rt.Call(soon(t), tunnel, "hello"); err != nil { // it is behind the watch
				t.Fatal(err)
			}
			if err := tt.target.Runtime().Kill(target); err != nil {
				t.Fatal(err)
			}
			if d := <-watched; d.Service != tunnel || !errors.Is(d.Reason, actor.ErrKilled) {
				t.Errorf("its monitors hear %+v", d)
			}
			if _, err := rt.Call(soon(t), tunnel, "hello"); !errors.Is(err, actor.ErrNoService) {
				t.Errorf("a call of its end: %v", err)
			}
		})
	}
}

// A tunnel that restarts finds its target anew; what comes meanwhile waits.
func TestTunnelFindsItsTargetAgain(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	bank := Config{Services: []actor.Spec{{Name: "bank", New: actor.Func(who)}}}
	b := begin(t, d, there, bank)
	tunnel, err := a.Runtime().Start(soon(t), actor.Spec{
		New:     actor.TunnelTo(func(c *actor.Context) (actor.PID, error) { return a.LookupFrom(c, there, "bank") }),
		Restart: actor.Restart{When: actor.OnFailure, Min: time.Millisecond, Max: 50 * time.Millisecond, Most: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := ask(t, a, tunnel, 1)
	b.Close()
	begin(t, d, there, bank)
	eventually(t, "the next bank", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		v, err := a.Runtime().Call(ctx, tunnel, 1)
		return err == nil && v != first
	})
}

// A caller that gives up has the handler's context end also behind a tunnel in a third process, and behind a pool.
func TestGivingUpGoesThroughTunnels(t *testing.T) {
	a, b, c := three(t)
	causes, begun := make(chan error, 1), make(chan bool, 1)
	target := serve(t, c, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		begun <- true
		<-c.Ctx().Done()
		causes <- context.Cause(c.Ctx())
		return nil
	})
	far, err := b.Runtime().Start(soon(t), actor.Spec{New: actor.Tunnel(target)})
	near, err2 := a.Runtime().Start(soon(t), actor.Spec{New: actor.Tunnel(target)})
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	p := pool(t, a, actor.PoolSpec{Members: []actor.PID{target}})
	for _, to := range []actor.PID{far, near, p.PID()} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := a.Runtime().Call(ctx, to, 1); done <- err }()
		<-begun
		cancel()
		want(t, <-done, context.Canceled)
		want(t, <-causes, actor.ErrGivenUp)
	}
}
