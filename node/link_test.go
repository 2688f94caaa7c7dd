// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/actor"
)

// A linking is what a linkable service is told.
type linking struct {
	link, unlink actor.PID
}

func linkable(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case linking:
		var err error
		if !v.link.IsZero() {
			err = c.Link(v.link)
		} else {
			c.Unlink(v.unlink)
		}
		return errors.Join(err, c.Reply(nil))
	case string:
		if v == "fail" {
			c.Exit(errWhim)
		}
		c.Exit(nil)
		return nil
	}
	return c.Reply(m.Value)
}

// ended returns why services end.
func endings() (actor.Events, *list[actor.Down]) {
	l := new(list[actor.Down])
	return actor.Events{Ended: func(d actor.Down) { l.add(d) }}, l
}

func reasonOf(l *list[actor.Down], p actor.PID) (ended bool, reason error) {
	for _, d := range l.get() {
		if d.Service == p {
			return true, d.Reason
		}
	}
	return false, nil
}

// Two services of two nodes end together, whichever of them has linked itself, and whichever fails; not if it ends as it
// wanted, or the link was undone.
func TestLinksAcrossNodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		doer   bool // who has linked itself is the one that does it
		does   string
		unlink int // 1: who has linked, 2: the other one
		ends   bool
	}{
		{"who has linked fails", true, "fail", 0, true},
		{"the other one fails", false, "fail", 0, true},
		{"who has linked ends as it wanted", true, "end", 0, false},
		{"the other one ends as it wanted", false, "end", 0, false},
		{"unlinked by who had linked", true, "fail", 1, false},
		{"unlinked by the other one", true, "fail", 2, false},
		{"unlinked, the other one fails", false, "fail", 1, false},
		{"unlinked by the other one, which fails", false, "fail", 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := domain(t)
			events, ends := endings()
			a := begin(t, d, here, Config{Actor: actor.Config{Events: events}})
			b := begin(t, d, there, Config{Actor: actor.Config{Events: events}})
			x, y := serve(t, a, actor.Spec{}, linkable), serve(t, b, actor.Spec{}, linkable)
			do := func(n *Node, p actor.PID, o linking) {
				t.Helper()
				if _, err := n.Runtime().Call(soon(t), p, o); err != nil {
					t.Fatal(err)
				}
			}
			do(a, x, linking{link: y})
			do(a, x, linking{link: y}) // it is no other link
			eventually(t, "the link", func() bool { return links(b.peer(here)) == 1 && links(a.peer(there)) == 1 })
			eventually(t, "each to be watched", func() bool { return watched(b.peer(here)) == 1 && watched(a.peer(there)) == 1 })
			switch tt.unlink {
			case 1:
				do(a, x, linking{unlink: y})
			case 2:
				do(b, y, linking{unlink: x})
			}
			if tt.unlink > 0 {
				eventually(t, "no link", func() bool { return links(b.peer(here)) == 0 && links(a.peer(there)) == 0 })
				eventually(t, "nobody watches", func() bool { return servings(b.peer(here)) == 0 && servings(a.peer(there)) == 0 })
			}
			from, does, other := b, y, x
			if tt.doer {
				from, does, other = a, x, y
			}
			if err := from.Runtime().Send(soon(t), does, tt.does); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the first end", func() bool { ok, _ := reasonOf(ends, does); return ok })
			if tt.ends {
				eventually(t, "the other's end", func() bool { ok, _ := reasonOf(ends, other); return ok })
				if _, why := reasonOf(ends, other); !strings.Contains(fmt.Sprint(why), "linked to "+does.String()) || !strings.Contains(why.Error(), "a whim") {
					t.Errorf("it ended of %v", why)
				}
				return
			}
			far, near := a, b // a message there and back is behind what may have been sent
			if tt.doer {
				far, near = b, a
			}
			if _, err := near.Runtime().Call(soon(t), other, 1); err != nil {
				t.Errorf("the other one: %v", err)
			}
			if ok, _ := reasonOf(ends, other); ok {
				t.Error("it has ended, too")
			}
			_ = far
		})
	}
}

func links(p *peer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.linked)
}

func servings(p *peer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.serving)
}

// watched counts the services that are watched from p, and not only to be watched.
func watched(p *peer) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.serving {
		if !slices.ContainsFunc(list, func(m monitor) bool { return m.m == nil }) {
			n++
		}
	}
	return n
}

// Who links itself to a service that is gone, or whose process dies, fails, and its Restart heals it.
func TestLinkToWhoIsGone(t *testing.T) {
	d := domain(t)
	events, ends := endings()
	a := begin(t, d, here, Config{Actor: actor.Config{Events: events}})
	b := begin(t, d, there, Config{})
	x, y := serve(t, a, actor.Spec{}, linkable), serve(t, a, actor.Spec{}, linkable)
	gone, stays := serve(t, b, actor.Spec{}, linkable), serve(t, b, actor.Spec{}, linkable)
	if err := b.Runtime().Stop(soon(t), gone); err != nil {
		t.Fatal(err)
	}
	for p, to := range map[actor.PID]actor.PID{x: gone, y: stays} {
		if err := a.Runtime().Send(soon(t), p, linking{link: to}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the end of who is linked to nobody", func() bool { ok, _ := reasonOf(ends, x); return ok })
	_, why := reasonOf(ends, x)
	want(t, why, actor.ErrNoService)
	eventually(t, "the link", func() bool { return links(b.peer(here)) == 1 })
	b.Close()
	eventually(t, "the end of who is linked to a process", func() bool { ok, _ := reasonOf(ends, y); return ok })
	if _, why = reasonOf(ends, y); why == nil || !strings.Contains(why.Error(), "linked to "+stays.String()) {
		t.Errorf("it ended of %v", why)
	}
}
