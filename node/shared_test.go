// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// members has a service of a node join a part, and returns what it gets.
func member(t *testing.T, n *Node, g *SharedGroup) (actor.PID, <-chan string) {
	t.Helper()
	got := make(chan string, 100)
	p := serve(t, n, actor.Spec{}, func(_ *actor.Context, m *actor.Message) error {
		got <- fmt.Sprint(m.Value)
		return nil
	})
	if err := g.Join(p); err != nil {
		t.Fatal(err)
	}
	return p, got
}

func gets(t *testing.T, from <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-from:
			if got != w {
				t.Errorf("a member got %q, want %q", got, w)
			}
		case <-soon(t).Done():
			t.Fatalf("%q did not come", w)
		}
	}
}

// Nodes that make a group of the same name find each other: what one sends, all members get, once for
// each node.
func TestSharedGroup(t *testing.T) {
	d := domain(t)
	var nodes []*Node
	var parts []*SharedGroup
	var pids []actor.PID
	var boxes []<-chan string
	for i := range 3 {
		n := begin(t, d, here+addr.Addr(i), Config{})
		g, err := n.SharedGroup(soon(t), Host, "chat")
		if err != nil {
			t.Fatal(err)
		}
		nodes, parts = append(nodes, n), append(parts, g)
		for range 2 {
			p, box := member(t, n, g)
			pids, boxes = append(pids, p), append(boxes, box)
		}
	}
	for i, g := range parts {
		eventually(t, "the others to be known", func() bool { return len(g.Nodes()) == 2 && !slices.Contains(g.Nodes(), nodes[i].Addr()) })
	}
	const messages = 50
	sent := nodes[0].Stats().Sent
	sender := serve(t, nodes[0], actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		for i := range messages {
			if err := c.Send(parts[0].PID(), fmt.Sprint(m.Value, i)); err != nil {
				return err
			}
		}
		return c.Reply(nil)
	})
	if _, err := nodes[0].Runtime().Call(soon(t), sender, "x"); err != nil {
		t.Fatal(err)
	}
	for _, box := range boxes {
		for i := range messages {
			gets(t, box, fmt.Sprint("x", i))
		}
	}
	if n := nodes[0].Stats().Sent - sent; n > 3*messages { // and a few Pongs, perhaps
		t.Errorf("%d envelopes for %d messages to 4 members on 2 nodes", n, messages)
	}
	if _, err := nodes[0].SharedGroup(soon(t), Host, "chat"); !errors.Is(err, names.ErrTaken) {
		t.Errorf("a second part on a node: %v", err)
	}
	if err := parts[0].Join(pids[5]); !errors.Is(err, actor.ErrNoService) {
		t.Errorf("a member of another node: %v", err)
	}
	if _, err := nodes[0].SharedGroup(soon(t), Host, "a#b"); err == nil {
		t.Error("a name with # was taken")
	}
	nodes[2].Close()
	parts[1].Leave(pids[2])
	eventually(t, "the node that has ended to be out", func() bool { return len(parts[0].Nodes()) == 1 })
	if err := nodes[0].Runtime().Send(soon(t), parts[0].PID(), "y"); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 3} {
		gets(t, boxes[i], "y")
	}
	parts[1].Close()
	eventually(t, "the part that is closed to be out", func() bool { return len(parts[0].Nodes()) == 0 })
	for _, i := range []int{2, 4, 5} {
		if len(boxes[i]) > 0 {
			t.Errorf("member %d got %q, and was out", i, <-boxes[i])
		}
	}
}
