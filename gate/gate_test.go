// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/node"
)

// A client speaks with a service of the gate's process, with and without resume, in each framing, and over WebSocket.
func TestEcho(t *testing.T) {
	for _, f := range []frame.Framing{frame.Length2, frame.Length4, frame.Varint, frame.Line} {
		for _, resume := range []bool{false, true} {
			for _, web := range []bool{false, true} {
				if resume && !frame.Binary(f) {
					continue
				}
				t.Run(fmt.Sprintf("%v-resume=%v-web=%v", f, resume, web), func(t *testing.T) {
					d := domain(t)
					book := &diary{react: echo}
					cfg := Config{Node: node.Config{Services: []actor.Spec{book.spec("echo")}}, Client: client.Options{Framing: f}}
					if resume {
						cfg.Resume = &Resume{}
					}
					cfg.Auth = letIn(ToName(gateA, "echo"))
					g := open(t, d, gateA, cfg)
					address := g.address
					if web {
						address = "ws://" + address + "/"
					}
					c := connect(t, address, dial.Options{Auth: []byte("ann"), Resume: resume, Framing: f})
					for i := range 100 {
						say(t, c, fmt.Sprint("hello ", i))
					}
					for i := range 100 {
						expect(t, c, fmt.Sprint("hello ", i))
					}
					book.mu.Lock()
					o := book.opened[0]
					book.mu.Unlock()
					if string(o.Identity) != "ann" || o.Client.Home != gateA || !strings.HasPrefix(o.Remote, "127.0.0.1:") {
						t.Errorf("got %+v", o)
					}
					c.Close()
					eventually(t, "the service to hear of the end", func() bool { return book.has("*gate.Closed") })
					if n := g.Stats().Sessions; n != 0 {
						t.Errorf("%d sessions are left", n)
					}
				})
			}
		}
	}
}

// The messages of a session come in the order in which things have happened, with numbers.
func TestOrder(t *testing.T) {
	d := domain(t)
	book := &diary{}
	process(t, d, room, book.spec("room"))
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room"))})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann")})
	for i := 1; i <= 5000; i++ {
		say(t, c, fmt.Sprint(i))
	}
	c.Close()
	eventually(t, "the service to hear of the end", func() bool { return book.has("*gate.Closed") })
	if len(book.log) != 5002 || book.log[0] != "*gate.Opened" || book.log[5001] != "*gate.Closed" {
		t.Fatalf("%d things have come, from %s to %s", len(book.log), book.log[0], book.log[len(book.log)-1])
	}
	for i := 1; i <= 5000; i++ {
		if want := fmt.Sprintf("%d:%d", i, i); book.log[i] != want {
			t.Fatalf("thing %d is %s, want %s", i, book.log[i], want)
		}
	}
	for _, p := range book.packets {
		if p.Again {
			t.Fatalf("%d packets from %d on are flagged", len(p.Data), p.First)
		}
	}
}

func TestRefusals(t *testing.T) {
	panics := func(context.Context, *Hello) (*Grant, error) { panic("oh") }
	fails := func(context.Context, *Hello) (*Grant, error) { return nil, errors.New("the database says 42") }
	none := func(context.Context, *Hello) (*Grant, error) { return nil, nil }
	nowhere := func(context.Context, *Hello) (*Grant, error) { return &Grant{}, nil }
	says := func(context.Context, *Hello) (*Grant, error) { return &Grant{Refuse: 2001, Why: "not today"}, nil }
	for _, tt := range []struct {
		name string
		auth func(context.Context, *Hello) (*Grant, error)
		data string
		code frame.Code
		why  string
	}{
		{"by Refusal", letIn(ToName(room, "room")), "no", 2000, "you said so"},
		{"by Grant", says, "x", 2001, "not today"},
		{"by another error", fails, "x", frame.CodeUnauthorized, "not authorized"},
		{"by a panic", panics, "x", frame.CodeUnauthorized, "not authorized"},
		{"without Grant", none, "x", frame.CodeUnauthorized, "not authorized"},
		{"without target", nowhere, "x", frame.CodeService, "there is no service for the client"},
		{"too large", letIn(ToName(room, "room")), strings.Repeat("x", 5000), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := domain(t)
			g := open(t, d, gateA, Config{Auth: tt.auth, Resume: &Resume{}})
			_, err := dial.Dial(soon(t), g.address, dial.Options{Auth: []byte(tt.data), Resume: true})
			var e *frame.End
			if tt.code == 0 {
				if err == nil || errors.As(err, &e) {
					t.Fatalf("got %v, want a lost connection", err)
				}
				return
			}
			if !errors.As(err, &e) || e.Code != tt.code || e.Text != tt.why || e.Kind != frame.KindRefused {
				t.Fatalf("got %v, want code %d, %q", err, tt.code, tt.why)
			}
			if st := g.Stats(); st.Refused != 1 || st.Opened != 0 {
				t.Errorf("refused %d, opened %d", st.Refused, st.Opened)
			}
		})
	}
}

// A refusal without resume is the end of the connection.
func TestRefusedInPlain(t *testing.T) {
	d := domain(t)
	g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room"))})
	c := connect(t, g.address, dial.Options{Auth: []byte("no")})
	if _, err := c.Recv(soon(t)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
}

// A service decides, in another process.
func TestAuthService(t *testing.T) {
	d := domain(t)
	book := &diary{react: echo}
	process(t, d, room, book.spec("room"), actor.Spec{Name: "auth", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		h := m.Value.(*Hello)
		switch string(h.Data) {
		case "no":
			return c.Reply(&Grant{Refuse: 2002, Why: "no"})
		case "fail":
			return errors.New("broken")
		case "never":
			_, err := c.Later()
			return err
		}
		return c.Reply(&Grant{Bind: ToName(room, "room"), Identity: append([]byte("known as "), h.Data...), Welcome: []byte("welcome to " + h.Transport)})
	})})
	g := open(t, d, gateA, Config{AuthService: ToName(room, "auth"), Resume: &Resume{}})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: true})
	say(t, c, "hi")
	expect(t, c, "welcome to tcp", "hi")
	if i, ok := g.Session(book.client(t, 0)); !ok || string(i.Identity) != "known as ann" {
		t.Errorf("the session is %+v", i)
	}
	for data, code := range map[string]frame.Code{"no": 2002, "fail": frame.CodeUnauthorized} {
		_, err := dial.Dial(soon(t), g.address, dial.Options{Auth: []byte(data), Resume: true})
		var e *frame.End
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: got %v, want code %d", data, err, code)
		}
	}
	limited := open(t, d, gateB, Config{AuthService: ToName(room, "auth"), Resume: &Resume{}, Entry: EntryLimits{Auth: time.Second}})
	if _, err := dial.Dial(soon(t), limited.address, dial.Options{Auth: []byte("never"), Resume: true}); err == nil {
		t.Error("a client is in though nobody has answered")
	}
}

// Nobody decides: each client is bound to one service from its first byte on.
func TestOpenGate(t *testing.T) {
	d := domain(t)
	book := &diary{react: echo}
	g := open(t, d, gateA, Config{Node: node.Config{Services: []actor.Spec{book.spec("echo")}}, Bind: ToName(gateA, "echo")})
	c := connect(t, g.address, dial.Options{})
	say(t, c, "first")
	expect(t, c, "first")
}

func TestConfig(t *testing.T) {
	d := domain(t)
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "nobody can be let in"},
		{Config{Bind: Target{Name: "x"}}, "at the address"},
		{Config{Auth: letIn(Target{}), AuthService: ToName(room, "a")}, "both"},
		{Config{Bind: ToName(room, "a"), Adopt: []addr.Addr{gateB}}, "needs Config.Resume"},
		{Config{Bind: ToName(room, "a"), Resume: &Resume{}, Client: client.Options{Framing: frame.Line}}, "cannot carry any bytes"},
		{Config{Bind: ToName(room, "a"), Resume: &Resume{Window: -1}}, "Window"},
		{Config{Bind: ToName(room, "a"), Resume: &Resume{}, Client: client.Options{Marks: queue.Marks{Policy: queue.DropOld}}}, "want kick"},
		{Config{Bind: ToName(room, "a"), Client: client.Options{MaxPacket: -1}}, "MaxPacket"},
	} {
		g, err := Start(d, gateA, tt.cfg)
		if err == nil {
			g.Close(soon(t))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// Sessions go with the service that they are bound to, and go on with another one when that is said.
func TestBind(t *testing.T) {
	d := domain(t)
	first, second := &diary{}, &diary{react: echo}
	n := process(t, d, room)
	start := func(book *diary) actor.PID {
		p, err := n.Runtime().Start(soon(t), book.spec(""))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	to := start(second)
	first.react = func(c *actor.Context, b *diary, v any) error {
		if p, is := v.(*Packets); is && string(p.Data[len(p.Data)-1]) == "over" {
			b.out.Bind(p.Client, To(to))
			b.out.Send(p.Client, Must, []byte("bound"))
			return b.out.Flush(c)
		}
		return nil
	}
	from := start(first)
	for _, resume := range []*Resume{nil, {}} {
		g := open(t, d, gateA, Config{Auth: letIn(To(from)), Resume: resume})
		c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: resume != nil})
		say(t, c, "one")
		say(t, c, "over")
		expect(t, c, "bound")
		say(t, c, "three")
		expect(t, c, "three")
		second.mu.Lock()
		if got := second.packets[len(second.packets)-1].First; got != 3 {
			t.Errorf("the new service gets packet %d, want 3", got)
		}
		second.mu.Unlock()
		g.shut(t)
	}
	// Its end is that of the session.
	g := open(t, d, gateA, Config{Auth: letIn(To(from)), Resume: &Resume{}})
	c := connect(t, g.address, dial.Options{Auth: []byte("ann"), Resume: true})
	say(t, c, "one")
	eventually(t, "the packet to come", func() bool { return first.count(func(b *diary) int { return len(b.packets) }) >= 3 })
	if err := n.Runtime().Kill(from); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	var e *frame.End
	if !errors.As(c.Err(), &e) || e.Code != frame.CodeService {
		t.Errorf("the client ends with %v, want code %d", c.Err(), frame.CodeService)
	}
}
