// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/node"
)

// do runs f in a handler of a service, which has an Outbox.
func do(t testing.TB, n *node.Node, f func(c *actor.Context) error) {
	t.Helper()
	p, err := n.Runtime().Start(soon(t), actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		if err := f(c); err != nil {
			return err
		}
		return c.Reply(nil)
	})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Runtime().Call(soon(t), p, nil); err != nil {
		t.Fatal(err)
	}
	if err := n.Runtime().Stop(soon(t), p); err != nil {
		t.Fatal(err)
	}
}

// crowd lets in some clients, and returns them with their names for services.
func crowd(t testing.TB, g *place, book *diary, n int, resume bool) (list []*dial.Client, clients []Client) {
	t.Helper()
	for i := range n {
		list = append(list, connect(t, g.address, dial.Options{Auth: fmt.Append(nil, i), Resume: resume, Buffered: 2000}))
		clients = append(clients, book.client(t, i))
	}
	return list, clients
}

// Groups have those members that a service has put in, at each home, until their sessions end.
func TestGroups(t *testing.T) {
	for _, resume := range []bool{false, true} {
		d := domain(t)
		book := &diary{}
		n := process(t, d, room, book.spec("room"))
		cfg := Config{Auth: letIn(ToName(room, "room"))}
		if resume {
			cfg.Resume = &Resume{}
		}
		a, b := open(t, d, gateA, cfg), open(t, d, gateB, cfg)
		la, ca := crowd(t, a, book, 3, resume)
		var lb []*dial.Client
		for i := range 2 {
			lb = append(lb, connect(t, b.address, dial.Options{Auth: []byte("b"), Resume: resume}))
			ca = append(ca, book.client(t, 3+i))
		}
		everybody := append(append([]*dial.Client(nil), la...), lb...)
		out := &book.out
		do(t, n, func(c *actor.Context) error {
			for _, x := range ca {
				out.Join(x, "all")
				out.Join(x, "all") // changes nothing
			}
			out.Join(ca[0], "few")
			out.Join(ca[4], "few")
			out.ToGroup("all", Must, []byte("to all"))
			out.ToGroup("few", Must, []byte("to few"))
			out.ToGroup("all", Must, []byte("to all but 1 and 3"), ca[1], ca[3])
			out.Leave(ca[2], "all")
			out.ToGroup("all", Must, []byte("not to 2"))
			out.Broadcast(ca, Must, []byte("broadcast"))
			out.Broadcast([]Client{ca[0], ca[3], ca[1]}, Must, []byte("mixed"))
			out.ToGroup("nobody", Must, []byte("nothing"))
			return out.Flush(c)
		})
		if g := out.Group("all"); g.Len() != 4 || g.At(gateA) != 2 || g.At(gateB) != 2 || g.Has(ca[2]) || !g.Has(ca[0]) {
			t.Errorf("the group has %d members", g.Len())
		}
		for i, want := range []string{
			"to all|to few|to all but 1 and 3|not to 2|broadcast|mixed",
			"to all|not to 2|broadcast|mixed",
			"to all|to all but 1 and 3|broadcast",
			"to all|not to 2|broadcast|mixed",
			"to all|to few|to all but 1 and 3|not to 2|broadcast",
		} {
			expect(t, everybody[i], strings.Split(want, "|")...)
		}
		if resume {
			if i, _ := a.Session(ca[0]); strings.Join(i.Groups, ",") != "all,few" || i.Sent != 6 {
				t.Errorf("the session is %+v", i)
			}
		}
		for _, c := range everybody {
			c.Close()
		}
		eventually(t, "all to be gone", func() bool {
			return a.Stats().Sessions+b.Stats().Sessions == 0 && a.Stats().Groups+b.Stats().Groups == 0
		})
		for _, x := range ca {
			out.Forget(x)
		}
		if out.Group("all") != nil || out.Group("few") != nil || len(out.joined) != 0 {
			t.Error("the Outbox has members still")
		}
		a.shut(t)
		b.shut(t)
	}
}

// A session that joins more groups than the vault holds ends: it would miss packets after a restart.
func TestTooManyGroups(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}})
	list, clients := crowd(t, g, book, 1, true)
	do(t, n, func(c *actor.Context) error {
		for i := range 6 {
			book.out.Join(clients[0], fmt.Sprintf("%d%s", i, strings.Repeat("x", 100)))
		}
		return book.out.Flush(c)
	})
	<-list[0].Done()
	var e *frame.End
	if !errors.As(list[0].Err(), &e) || e.Code != frame.CodeService {
		t.Errorf("the client ends with %v, want code %d", list[0].Err(), frame.CodeService)
	}
	eventually(t, "Closed", func() bool { return book.has("*gate.Closed") })
}

// stuck connects a client that reads nothing by itself.
func stuck(t testing.TB, g *place, auth string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	b, _ := frame.Length2.Append(nil, []byte(auth))
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	return c
}

// Of packets with a key a slow client gets the newest one, in the place of the first; droppable ones it does not get.
func TestNewestAndDroppable(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Client: client.Options{Marks: queue.Marks{Hard: 8 << 20}}})
	conn := stuck(t, g, "ann")
	c := book.client(t, 0)
	big := bytes.Repeat([]byte("x"), 60_000)
	// So much waits that it stays slow whatever the network still takes.
	for sent := uint64(1); ; sent++ {
		if sent > 400 {
			t.Fatal("the client does not become slow")
		}
		do(t, n, func(ctx *actor.Context) error {
			book.out.Send(c, Must, big)
			return book.out.Flush(ctx)
		})
		eventually(t, "the packet to be queued", func() bool { return g.Stats().Out == sent })
		if i, ok := g.Session(c); !ok {
			t.Fatal("the session has ended")
		} else if i.Conn.Queue.Bytes > 6<<20 {
			break
		}
	}
	do(t, n, func(ctx *actor.Context) error {
		for i := range 100 {
			book.out.SendNewest(c, 7, fmt.Append(nil, "seven ", i))
			book.out.SendNewest(c, 8, fmt.Append(nil, "eight ", i))
			book.out.Send(c, Droppable, []byte("dropped"))
		}
		book.out.Send(c, Must, []byte("last"))
		return book.out.Flush(ctx)
	})
	eventually(t, "all to be queued", func() bool { return g.Stats().Dropped >= 100 })
	var small []string
	var buf []byte
	for len(small) < 3 {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64<<10)
		k, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		buf = append(buf, b[:k]...)
		for {
			p, k, err := frame.Length2.Split(buf, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				break
			}
			if len(p) < 100 {
				small = append(small, string(p))
			}
			buf = buf[k:]
		}
	}
	if got := strings.Join(small, ","); got != "seven 99,eight 99,last" {
		t.Errorf("the client gets %s", got)
	}
	st := g.Stats()
	if st.Replaced != 198 || st.Dropped != 100 || st.Slow == 0 {
		t.Errorf("replaced %d, dropped %d, slow %d", st.Replaced, st.Dropped, st.Slow)
	}
	// It was slow more than once if the network was, before its own memory was full.
	edges := int(2 * st.Slow)
	eventually(t, "the client to be quick again", func() bool {
		return book.count(func(b *diary) int { return len(b.others) }) >= edges
	})
	book.mu.Lock()
	defer book.mu.Unlock()
	overs := 0
	for _, o := range book.others {
		if s := o.(*Slow); s.Over && s.Queued >= queue.DefaultSoft {
			overs++
		} else if s.Over || s.Queued > queue.DefaultSoft/2 {
			t.Errorf("got %+v", s)
		}
	}
	if last := book.others[len(book.others)-1].(*Slow); len(book.others) != edges || 2*overs != edges || last.Over {
		t.Errorf("of %d edges, want %d, %d are above the mark; the last one is %+v", len(book.others), edges, overs, last)
	}
}

// Of 300 clients 20 never read: they are kicked, and all others get all, in order.
func TestSlowClients(t *testing.T) {
	const all, never, packets, size = 300, 20, 400, 16 << 10
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room"))})
	var wg sync.WaitGroup
	faults := make(chan error, all)
	var got [all]atomic.Uint64 // packets of each client that reads
	for i := range all {
		if i < never {
			stuck(t, g, "never")
			continue
		}
		c := connect(t, g.address, dial.Options{Auth: []byte("reads")})
		wg.Go(func() {
			for want := uint64(1); want <= packets; want++ {
				p, err := c.Recv(t.Context())
				if err != nil {
					faults <- fmt.Errorf("client %d, packet %d: %w", i, want, err)
					return
				}
				if got := binary.BigEndian.Uint64(p.Data); got != want || len(p.Data) != size {
					faults <- fmt.Errorf("client %d gets packet %d of %d bytes, want %d", i, got, len(p.Data), want)
					return
				}
				got[i].Store(want)
			}
		})
	}
	eventually(t, "all to be in", func() bool { return book.count(func(b *diary) int { return len(b.opened) }) == all })
	slow := map[Client]bool{}
	do(t, n, func(c *actor.Context) error {
		for _, o := range book.opened {
			book.out.Join(o.Client, "all")
			slow[o.Client] = string(o.Identity) == "never"
		}
		return book.out.Flush(c)
	})
	for i := range uint64(packets) {
		do(t, n, func(c *actor.Context) error {
			book.out.ToGroup("all", Must, numbered(i+1, size))
			return book.out.Flush(c)
		})
		// Who reads is never so far behind that it would have to be kicked, too.
		eventually(t, "all who read to follow", func() bool {
			for c := never; c < all; c++ {
				if got[c].Load()+queue.DefaultHard/size/2 < i {
					return len(faults) > 0
				}
			}
			return true
		})
	}
	wg.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	eventually(t, "the 20 to be kicked", func() bool { return g.Stats().Sessions <= all-never && len(book.closed()) >= never })
	kicked := book.closed()
	for _, e := range kicked {
		if !slow[e.Client] || e.Code != frame.CodeSlow {
			t.Errorf("kicked: %+v", e)
		}
	}
	if st := g.Stats(); len(kicked) != never || st.Sessions != all-never {
		t.Errorf("%d are kicked, %d sessions left", len(kicked), st.Sessions)
	}
	if st := g.Stats(); st.MostWaits > 64<<20 {
		t.Errorf("%d bytes have waited at once", st.MostWaits)
	}
}

// When all queues together are too long the client with the longest one is kicked.
func TestBudget(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Budget: 8 << 20, Client: client.Options{Marks: queue.Marks{Hard: 64 << 20}}})
	stuck(t, g, "a little")
	little := book.client(t, 0)
	stuck(t, g, "much")
	much := book.client(t, 1)
	for i := range 1200 {
		if book.has("*gate.Closed") {
			break
		}
		do(t, n, func(c *actor.Context) error {
			if i < 150 {
				book.out.Send(little, Must, numbered(1, 20_000))
			}
			book.out.Send(much, Must, numbered(1, 20_000))
			return book.out.Flush(c)
		})
	}
	eventually(t, "one to be kicked", func() bool { return book.has("*gate.Closed") })
	for _, e := range book.closed() {
		if e.Client != much || e.Code != frame.CodeMemory {
			t.Errorf("kicked: %+v, want %v", e, much)
		}
	}
	if st := g.Stats(); st.Relieved != 1 || st.Sessions != 1 || st.Waiting > 8<<20 {
		t.Errorf("relieved %d, sessions %d, waiting %d", st.Relieved, st.Sessions, st.Waiting)
	}
}

// Who wants to waits for a client.
func TestSendWait(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room"))})
	conn := stuck(t, g, "ann")
	c := book.client(t, 0)
	const packets = 400
	finished := make(chan error, 1)
	p, err := n.Runtime().Start(soon(t), actor.Spec{New: actor.Func(func(ctx *actor.Context, _ *actor.Message) error {
		var err error
		for i := range uint64(packets) {
			if err = SendWait(ctx, c, Must, numbered(i+1, 20_000)); err != nil {
				break
			}
		}
		finished <- err
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Runtime().Send(soon(t), p, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client to be slow", func() bool { return book.has("*gate.Slow") })
	select {
	case err := <-finished:
		t.Fatalf("nobody has waited: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if st := g.Stats(); st.MostWaits > 200<<10 {
		t.Errorf("%d bytes wait though the sender does", st.MostWaits)
	}
	var buf []byte
	for want := uint64(1); want <= packets; {
		b := make([]byte, 64<<10)
		k, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		buf = append(buf, b[:k]...)
		for {
			p, k, _ := frame.Length2.Split(buf, 1<<20)
			if k == 0 {
				break
			}
			if got := binary.BigEndian.Uint64(p); got != want {
				t.Fatalf("packet %d, want %d", got, want)
			}
			want++
			buf = buf[k:]
		}
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "the end", func() bool { return book.has("*gate.Closed") })
	do(t, n, func(ctx *actor.Context) error {
		if err := SendWait(ctx, c, Must, []byte("x")); err == nil || !strings.Contains(err.Error(), ErrNoSession.Error()) {
			t.Errorf("got %v, want %v", err, ErrNoSession)
		}
		return nil
	})
}

// While the service's mailbox is full its clients are not read, and nothing is lost.
func TestPaused(t *testing.T) {
	d := domain(t)
	hold := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(hold) }) }
	defer release()
	book := &diary{}
	book.react = func(*actor.Context, *diary, any) error {
		<-hold
		return nil
	}
	spec := book.spec("room")
	spec.Mailbox.Capacity = 4
	g := open(t, d, gateA, Config{Node: node.Config{Services: []actor.Spec{spec}}, Auth: letIn(ToName(gateA, "room"))})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann")})
	const packets = 50
	for i := range packets {
		say(t, c, fmt.Sprint(i+1))
		// Each one has a message of its own, until there is no more room.
		eventually(t, "the packet to be read", func() bool { st := g.Stats(); return st.In == uint64(i+1) || st.Paused == 1 })
	}
	eventually(t, "the connection to be paused", func() bool { return g.Stats().Paused == 1 })
	var list bytes.Buffer
	if err := g.Command(soon(t), &list, []string{"list"}); err != nil || !strings.Contains(list.String(), "paused") {
		t.Errorf("list: %v\n%s", err, &list)
	}
	release()
	eventually(t, "all to arrive", func() bool { return book.has(fmt.Sprintf("%d:%d", packets, packets)) })
	eventually(t, "the pause to end", func() bool { return g.Stats().Paused == 0 })
}

// A kicked client gets what was sent before, and the reason.
func TestKick(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}})
	list, clients := crowd(t, g, book, 2, true)
	do(t, n, func(c *actor.Context) error {
		book.out.Send(clients[0], Must, []byte("last words"))
		book.out.Kick(clients[0], 1500, "enough")
		book.out.Send(clients[0], Must, []byte("never seen"))
		return book.out.Flush(c)
	})
	expect(t, list[0], "last words")
	_, err := list[0].Recv(soon(t))
	var e *frame.End
	if !errors.As(err, &e) || e.Code != 1500 || e.Text != "enough" || e.Kind != frame.KindKicked {
		t.Errorf("the client ends with %v", err)
	}
	if err := g.Kick(clients[1], 0, "by hand"); err != nil {
		t.Fatal(err)
	}
	_, err = list[1].Recv(soon(t))
	if !errors.As(err, &e) || e.Code != frame.CodeKicked || e.Text != "by hand" {
		t.Errorf("the client ends with %v", err)
	}
	if err := g.Kick(clients[1], 0, ""); !errors.Is(err, ErrNoSession) {
		t.Errorf("got %v, want %v", err, ErrNoSession)
	}
	eventually(t, "both ends to be told", func() bool { return book.count(func(b *diary) int { return len(b.others) }) == 2 })
	if st := g.Stats(); st.Unknown != 1 || st.Vault.Live+st.Vault.Ended != 0 {
		eventually(t, "the vault to be empty", func() bool { v := g.Stats().Vault; return v.Live+v.Away+v.Ended == 0 })
	}
}

// A group that gates share is reached without knowing who is in it.
func TestSharedGroup(t *testing.T) {
	d := domain(t)
	book := &diary{}
	n := process(t, d, room, book.spec("room"))
	shared := func(g string) (node.Scope, bool) { return node.Host, strings.HasPrefix(g, "world") }
	a := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Shared: shared})
	b := open(t, d, gateB, Config{Auth: letIn(ToName(room, "room")), Shared: shared})
	ca := connect(t, a.address, dial.Options{Auth: []byte("a")})
	first := book.client(t, 0)
	cb := connect(t, b.address, dial.Options{Auth: []byte("b")})
	second := book.client(t, 1)
	world, err := n.SharedGroup(soon(t), node.Host, "world")
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	do(t, n, func(c *actor.Context) error {
		book.out.Join(first, "world")
		book.out.Join(second, "world")
		return book.out.Flush(c)
	})
	eventually(t, "the gates to join", func() bool { return len(world.Nodes()) == 2 })
	// They are found before they have joined their own service.
	got := func() bool {
		do(t, n, func(c *actor.Context) error { return c.Send(world.PID(), Spread("world", Must, []byte("probe"))) })
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, e1 := ca.Recv(ctx)
		_, e2 := cb.Recv(ctx)
		return e1 == nil && e2 == nil
	}
	eventually(t, "both to be reached", got)
	do(t, n, func(c *actor.Context) error {
		return errors.Join(c.Send(world.PID(), Spread("world", Must, []byte("but a"), first)),
			c.Send(world.PID(), SpreadNewest("world", 1, []byte("to all"))))
	})
	last := func(c *dial.Client) string {
		for {
			if s := hear(t, c); s != "probe" {
				return s
			}
		}
	}
	if s := last(ca); s != "to all" {
		t.Errorf("a gets %q", s)
	}
	if s := last(cb); s != "but a" {
		t.Errorf("b gets %q", s)
	}
	if s := last(cb); s != "to all" {
		t.Errorf("b gets %q then", s)
	}
	ca.Close()
	eventually(t, "a gate without members to leave", func() bool { return len(world.Nodes()) == 1 })
}

// What the console shows.
func TestCommand(t *testing.T) {
	d := domain(t)
	book := &diary{react: echo}
	process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: true})
	who := book.client(t, 0)
	run := func(args ...string) string {
		t.Helper()
		var b bytes.Buffer
		if err := g.Command(soon(t), &b, args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return b.String()
	}
	traced := make(chan string)
	go func() {
		var b bytes.Buffer
		_ = g.Command(context.Background(), &b, []string{"trace", who.String(), "2"})
		traced <- b.String()
	}()
	eventually(t, "the trace to begin", func() bool { return g.session(who).trace.Load() != nil })
	say(t, c, "hello there")
	expect(t, c, "hello there")
	if s := <-traced; strings.Count(s, "hello there") != 2 || !strings.Contains(s, " in ") || !strings.Contains(s, " out ") {
		t.Errorf("trace:\n%s", s)
	}
	for what, want := range map[string]string{"stats": "Opened       1", "list": who.String(), "show " + who.String(): `"ann"`} {
		if s := run(strings.Fields(what)...); !strings.Contains(s, want) {
			t.Errorf("%s: no %q in\n%s", what, want, s)
		}
	}
	for _, bad := range []string{"what", "show", "show x", "list 0", "show 0.0.1.1#1", "trace 0.0.1.1#1", "kick 0.0.9.9#1"} {
		if err := g.Command(soon(t), &bytes.Buffer{}, strings.Fields(bad)); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
	run("kick", who.String(), "go")
	<-c.Done()
	var e *frame.End
	if !errors.As(c.Err(), &e) || e.Text != "go" {
		t.Errorf("the client ends with %v", c.Err())
	}
}
