// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// whoami answers with the PID of the member that handles the message, after the time
// that it is told to wait, which stops its service.
func whoami(c *Context, m *Message) error {
	switch v := m.Value.(type) {
	case crash:
		panic(errWhim)
	case chan struct{}:
		<-v
	}
	if !m.IsCall() {
		return nil
	}
	return c.Reply(c.Self())
}

func newPool(t *testing.T, rt *Runtime, spec PoolSpec) *Pool {
	t.Helper()
	if spec.Spec.New == nil {
		spec.Spec.New = Func(whoami)
	}
	p, err := rt.NewPool(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPoolRefusesWhatCannotBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		start(t, rt, Spec{Name: "taken", New: Func(echo)})
		n := 0
		third := func() Handler { // the third one does not start
			if n++; n%3 == 0 {
				return &probe{start: func(*Context) error { return errWhim }}
			}
			return &probe{}
		}
		for what, spec := range map[string]PoolSpec{
			"no member":      {Spec: Spec{New: Func(echo)}},
			"unknown Pick":   {Spec: Spec{New: Func(echo)}, Size: 1, Pick: ByKey + 1},
			"no Key":         {Spec: Spec{New: Func(echo)}, Size: 1, Pick: ByKey},
			"no New":         {Size: 1},
			"a taken name":   {Spec: Spec{New: Func(echo), Name: "taken"}, Size: 3},
			"a failed Start": {Spec: Spec{New: third}, Size: 4},
		} {
			if p, err := rt.NewPool(t.Context(), spec); err == nil || p != nil {
				t.Errorf("%s: %v, %v", what, p, err)
			}
		}
		synctest.Wait()
		if list := rt.Services(); len(list) != 1 {
			t.Errorf("left: %v", list)
		}
	})
}

func TestPoolGoesRound(t *testing.T) {
	callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
		p := newPool(t, rt, PoolSpec{Spec: Spec{Name: "all"}, Size: 5})
		if named, ok := rt.Lookup("all"); !ok || named != p.PID() {
			t.Errorf("looked up %v", named)
		}
		counts := map[any]int{}
		for range 50 {
			v, err := call(p.PID(), 1)
			if err != nil {
				t.Fatal(err)
			}
			counts[v]++
		}
		for _, m := range p.Members() {
			if counts[m] != 10 {
				t.Errorf("%v has got %d, want 10", m, counts[m])
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := call(p.PID(), 1); !errors.Is(err, ErrNoService) {
			t.Errorf("a call of a pool that is closed: %v", err)
		}
		if _, ok := rt.Lookup("all"); ok {
			t.Error("the name has outlived the pool")
		}
	})
}

func TestPoolPicksTheLeastLoaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 8})
		p := newPool(t, rt, PoolSpec{Size: 4, Pick: LeastLoaded})
		block := make(chan struct{})
		members := p.Members()
		for _, m := range members[:3] { // busy, the last of them with more
			send(t, rt, m, block)
		}
		synctest.Wait()
		send(t, rt, members[2], 0, 0, 0)
		for range 20 {
			if v := call(t, rt, p.PID(), 1); v != members[3] {
				t.Errorf("%v has got the call, want %v", v, members[3])
			}
		}
		send(t, rt, members[3], block)
		synctest.Wait()
		send(t, rt, members[3], 0, 0)
		for range 4 { // two for each of the first two
			send(t, rt, p.PID(), 0)
		}
		var waiting []int
		for _, m := range members {
			i, _ := rt.Info(m)
			waiting = append(waiting, i.Waiting)
		}
		if !slices.Equal(waiting, []int{2, 2, 3, 2}) {
			t.Errorf("waiting: %v", waiting)
		}
		close(block)
	})
}

type keyed struct{ key string }

func keyOf(v any) (string, bool) {
	k, ok := v.(keyed)
	if k.key == "panic" {
		panic(errWhim)
	}
	return k.key, ok
}

// A key has one member while that lives, also while it restarts; when another ends, the
// others keep their keys.
func TestPoolPicksByKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := newPool(t, rt, PoolSpec{
			Spec: Spec{New: Func(whoami), OnPanic: Fail, Restart: Restart{When: OnFailure}},
			Size: 5, Pick: ByKey, Key: keyOf,
		})
		const n = 500
		ask := func() (owners [n]PID) {
			for i := range owners {
				owners[i] = call(t, rt, p.PID(), keyed{fmt.Sprint(i)}).(PID)
			}
			return owners
		}
		first := ask()
		counts := map[PID]int{}
		for _, owner := range first {
			counts[owner]++
		}
		for _, m := range p.Members() {
			if counts[m] < n/5/3 || counts[m] > n/5*3 {
				t.Errorf("%v has %d of %d keys", m, counts[m], n)
			}
		}
		send(t, rt, p.Members()[1], crash{})
		synctest.Wait() // it rests; its calls wait
		if ask() != first {
			t.Error("keys have changed their member over a restart")
		}
		dead := p.Members()[3]
		_ = rt.Kill(dead)
		synctest.Wait()
		for i, owner := range ask() {
			if owner == dead || first[i] != dead && owner != first[i] {
				t.Errorf("key %d went from %v to %v when %v ended", i, first[i], owner, dead)
			}
		}
		round := map[any]bool{}
		for range 10 {
			round[call(t, rt, p.PID(), "no key")] = true
		}
		if len(round) != 4 {
			t.Errorf("what has no key went to %v", round)
		}
	})
}

func TestPoolKeyThatPanics(t *testing.T) {
	callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
		p := newPool(t, rt, PoolSpec{Size: 2, Pick: ByKey, Key: keyOf})
		if _, err := call(p.PID(), keyed{"panic"}); !errors.Is(err, errWhim) || !strings.Contains(err.Error(), "Key") {
			t.Errorf("call: %v", err)
		}
		if err := rt.Send(t.Context(), p.PID(), keyed{"panic"}); !errors.Is(err, errWhim) {
			t.Errorf("send: %v", err)
		}
		rt.SendAfter(time.Second, p.PID(), keyed{"panic"})
		time.Sleep(time.Minute)
	})
}

func TestPoolPassesOverThoseThatAreGone(t *testing.T) {
	for _, pick := range []Pick{RoundRobin, LeastLoaded, ByKey} {
		callers(t, Config{}, func(t *testing.T, rt *Runtime, call caller) {
			p := newPool(t, rt, PoolSpec{Size: 4, Pick: pick, Key: keyOf})
			members := p.Members()
			for i, m := range members {
				_ = rt.Kill(m)
				synctest.Wait()
				for k := range 10 {
					v, err := call(p.PID(), keyed{fmt.Sprint(k)})
					if i < 3 && (err != nil || slices.Contains(members[:i+1], v.(PID))) {
						t.Errorf("with %d gone: %v, %v", i+1, v, err)
					}
					if i == 3 && !errors.Is(err, ErrNoService) {
						t.Errorf("with all gone: %v, %v", v, err)
					}
				}
			}
		})
	}
}

func TestPoolWithFullMailboxes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{Workers: 8})
		block := make(chan struct{})
		defer close(block)
		for _, full := range []Full{Block, Reject} {
			p := newPool(t, rt, PoolSpec{Spec: Spec{Mailbox: Mailbox{Capacity: 1, Full: full}}, Size: 2})
			send(t, rt, p.PID(), block, block)
			synctest.Wait()
			send(t, rt, p.PID(), 1, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := rt.Send(ctx, p.PID(), 1)
			if full == Reject && !errors.Is(err, ErrMailboxFull) {
				t.Errorf("policy %d: %v", full, err)
			}
		}
	})
}

// Whoever sends to a pool whose members are full waits for one of them, as for a service.
func TestPoolHoldsSendersBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		open := make(chan struct{})
		p := newPool(t, rt, PoolSpec{
			Spec: Spec{New: Func(func(*Context, *Message) error { <-open; return nil }), Mailbox: Mailbox{Capacity: 1}},
			Size: 2,
		})
		sent := 0
		go func() {
			for range 20 {
				if err := rt.Send(t.Context(), p.PID(), sent); err != nil {
					t.Error(err)
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent < 2 || sent > 8 {
			t.Errorf("%d messages were taken while nothing was handled, want those that two members of capacity 1 take", sent)
		}
		close(open)
		synctest.Wait()
		if sent != 20 {
			t.Errorf("%d messages were taken in the end, want 20", sent)
		}
	})
}
