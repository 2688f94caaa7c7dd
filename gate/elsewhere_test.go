// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
)

// kicked waits until a client has been told that its service is not there.
func kicked(t testing.TB, c *dial.Client, resume bool) {
	t.Helper()
	select {
	case <-c.Done():
	case <-soon(t).Done():
		t.Fatal("the client is not told that its service is not there")
	}
	var e *frame.End
	if told := errors.As(c.Err(), &e); resume && (!told || e.Code != frame.CodeService || e.Kind != frame.KindKicked) {
		t.Errorf("the client ends with %v, want code %d", c.Err(), frame.CodeService)
	}
}

func withResume(t *testing.T, f func(t *testing.T, resume *Resume)) {
	t.Helper()
	for _, resume := range []*Resume{nil, {}} {
		t.Run(fmt.Sprintf("resume=%v", resume != nil), func(t *testing.T) { f(t, resume) })
	}
}

// A name that nobody has in a process that lives is no service: the client is kicked, though it says nothing.
func TestNobodyHasTheName(t *testing.T) {
	withResume(t, func(t *testing.T, resume *Resume) {
		d := domain(t)
		process(t, d, room, (&diary{}).spec("hall"))
		g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: resume})
		c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: resume != nil})
		kicked(t, c, resume != nil)
		eventually(t, "the session to be over", func() bool { return g.Stats().Sessions == 0 })
		if resume != nil {
			eventually(t, "the vault to be empty", func() bool { v := g.Stats().Vault; return v.Live+v.Away+v.Ended == 0 })
		}
	})
}

// When the service that has a name ends, and its process does not, the sessions that are bound to the name end, and no others. That
// another one has the name is no end.
func TestNameIsGivenUp(t *testing.T) {
	withResume(t, func(t *testing.T, resume *Resume) {
		d := domain(t)
		book, next, hall := &diary{react: echo}, &diary{react: echo}, &diary{react: echo}
		n := process(t, d, room, book.spec("room"), hall.spec("hall"))
		names := map[string]string{"ann": "room", "bob": "hall"}
		g := open(t, d, gateA, Config{Auth: letInBy(func(who string) Target { return ToName(room, names[who]) }), Resume: resume})
		ann := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: resume != nil})
		bob := connect(t, g.address, dial.Options{Auth: []byte("bob"), Resume: resume != nil})
		for _, c := range []*dial.Client{ann, bob} {
			say(t, c, "one")
			expect(t, c, "one")
		}
		replace(t, n.Runtime(), "room", next)
		say(t, ann, "two")
		expect(t, ann, "two")
		replace(t, n.Runtime(), "room", nil)
		say(t, ann, "three") // nobody gets it
		kicked(t, ann, resume != nil)
		say(t, bob, "two")
		expect(t, bob, "two")
		if list := g.Sessions(); len(list) != 1 || string(list[0].Identity) != "bob" {
			t.Errorf("the sessions are %+v", list)
		}
	})
}

// replace ends the service that has a name, and gives the name to another one; nil: to nobody.
func replace(t testing.TB, rt *actor.Runtime, name string, book *diary) {
	t.Helper()
	p, ok := rt.Lookup(name)
	if !ok {
		t.Fatalf("nobody has the name %s", name)
	}
	if err := rt.Stop(soon(t), p); err != nil {
		t.Fatal(err)
	}
	if book == nil {
		return
	}
	if _, err := rt.Start(soon(t), book.spec(name)); err != nil {
		t.Fatal(err)
	}
}

// A session that goes over to a name that nobody has ends; one that has left such a name does not.
func TestBindToNobody(t *testing.T) {
	d := domain(t)
	book, out := &diary{}, Outbox{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: true})
	who := book.client(t, 0)
	bind := func(names ...string) {
		t.Helper()
		do(t, n, func(c *actor.Context) error {
			for _, name := range names {
				out.Bind(who, ToName(room, name))
			}
			return out.Flush(c)
		})
		last := ToName(room, names[len(names)-1])
		eventually(t, "the session to be bound", func() bool { i, ok := g.Session(who); return ok && i.Target == last })
	}
	bind("nobody", "room")
	say(t, c, "one")
	eventually(t, "the packet to come", func() bool { return book.has("1:one") })
	h := g.home(gateA)
	eventually(t, "the node to be asked", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := h.names[ToName(room, "room")]
		return len(h.names) == 1 && f != nil && !f.sent.Load() && !f.asking
	})
	bind("nobody")
	say(t, c, "two")
	kicked(t, c, true)
	if book.has("2:two") {
		t.Error("the old service gets a packet")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.names) != 0 {
		t.Errorf("%d names are still looked after", len(h.names))
	}
}

// While the process is dead nothing is known of its names: what is sent waits. When the next process is there and nobody in it has the name, the client is
// told, though it has said nothing since.
func TestNameOfADeadProcess(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	d := join(t, root)
	p := killtest.Start(t, "room", roomArgs{Root: root})
	if line := p.Line(); line != "ready" {
		t.Fatalf("the room says %q", line)
	}
	g := open(t, d, gateA, gateConfig())
	c := connect(t, g.address, dial.Options{Auth: []byte("x"), Resume: true})
	say(t, c, "1")
	expect(t, c, "e1")
	p.Kill()
	say(t, c, "2")
	h := g.home(gateA)
	eventually(t, "the gate to find that nobody can answer", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := h.names[ToName(room, "room")]
		return f != nil && f.sent.Load() && !f.asking && !h.mayAnswer(ToName(room, "room"))
	})
	if err := c.Err(); err != nil {
		t.Fatalf("the session has ended: %v", err)
	}
	process(t, d, room, (&diary{}).spec("hall"))
	kicked(t, c, true)
}

// A name at an address that was never bound may be one of another host: who is silent may have a service of that name. The next question waits longer. A question that
// nobody answers does not hold up the end of the gate.
func TestNameOfNobodyKnown(t *testing.T) {
	unknown := ToName(addr.MustParse("0.0.9.9"), "room")
	for _, patience := range []time.Duration{time.Millisecond, time.Hour} {
		t.Run(fmt.Sprint(patience), func(t *testing.T) {
			d := domain(t)
			g := open(t, d, gateA, Config{Auth: letIn(unknown), Resume: &Resume{}, Node: node.Config{Patience: patience}})
			c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: true})
			h := g.home(gateA)
			eventually(t, "the node to be asked", func() bool {
				h.mu.Lock()
				defer h.mu.Unlock()
				f := h.names[unknown]
				return f != nil && (f.asking && patience == time.Hour || f.pause > askEach && f.sent.Load())
			})
			if err := c.Err(); err != nil {
				t.Fatalf("the session has ended: %v", err)
			}
			g.shut(t)
		})
	}
}
