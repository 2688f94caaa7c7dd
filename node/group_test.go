// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"testing"

	"github.com/skybus-io/skybus/actor"
)

// A group's message goes to each node once, whatever members it has there.
func TestGroupOfSeveralNodes(t *testing.T) {
	d := domain(t)
	a, b := begin(t, d, here, Config{}), begin(t, d, there, Config{})
	g, err := a.Runtime().NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	var got list[any]
	member := func(n *Node) actor.PID {
		p := serve(t, n, actor.Spec{}, func(_ *actor.Context, m *actor.Message) error { got.add(m.Value); return nil })
		if err := a.Join(soon(t), g, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	near := member(a)
	var far []actor.PID
	for range 5 {
		far = append(far, member(b))
	}
	eventually(t, "the Ping of the far node, whose answer would be counted", func() bool {
		q := b.peer(here)
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.watches) > 0 && q.life == a.life
	})
	count := func(what string, n int) {
		t.Helper()
		before, sent := len(got.get()), a.Stats().Sent
		if err := a.Runtime().Send(soon(t), g.PID(), what); err != nil {
			t.Fatal(err)
		}
		eventually(t, what, func() bool { return len(got.get())-before >= n })
		if all := got.get()[before:]; len(all) != n {
			t.Errorf("%s: %d have got it, want %d", what, len(all), n)
		}
		if k := a.Stats().Sent - sent; n > 1 && k != 1 {
			t.Errorf("%s: %d envelopes were sent, want 1", what, k)
		}
	}
	count("all", 6)
	if err := b.Runtime().Stop(soon(t), far[0]); err != nil {
		t.Fatal(err)
	}
	if err := a.Leave(soon(t), g, far[1]); err != nil {
		t.Fatal(err)
	}
	count("without two", 4)
	for _, p := range far[1:] {
		if err := a.Leave(soon(t), g, p); err != nil {
			t.Fatal(err)
		}
	}
	count("without the others", 1)
	if n := g.Len(); n != 1 || g.Members()[0] != near {
		t.Errorf("%d members are left: %v", n, g.Members())
	}
	if err := a.Join(soon(t), g, far[0]); !errors.Is(err, actor.ErrNoService) {
		t.Errorf("one that is gone joins: %v", err)
	}
}

// With its process a member leaves, and with the group's process the shadow ends.
func TestGroupWhoseNodesEnd(t *testing.T) {
	d := domain(t)
	a, b, c := begin(t, d, here, Config{}), begin(t, d, there, Config{}), begin(t, d, there+1, Config{})
	g, err := a.Runtime().NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*Node{b, c} {
		if err := a.Join(soon(t), g, serve(t, n, actor.Spec{}, echo)); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	eventually(t, "b's members to leave", func() bool { return g.Len() == 1 })
	shadow := actor.PID{Handle: g.Members()[0].Handle}
	if err := c.Runtime().TrySend(shadow, 1); err != nil {
		t.Errorf("the shadow: %v", err)
	}
	a.Close()
	eventually(t, "the shadow to end", func() bool {
		return errors.Is(c.Runtime().TrySend(shadow, 1), actor.ErrNoService)
	})
}
