// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A raw client of the protocol says what a test wants.
type raw struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

func rawDial(t testing.TB, address string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &raw{t: t, conn: c}
}

func (r *raw) write(packet []byte) {
	r.t.Helper()
	b, err := frame.Length2.Append(nil, packet)
	if err == nil {
		_, err = r.conn.Write(b)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// read returns the next packet; nil: the connection is over.
func (r *raw) read() []byte {
	r.t.Helper()
	for {
		p, n, err := frame.Length2.Split(r.buf, 1<<20)
		if err != nil {
			r.t.Fatal(err)
		}
		if n > 0 {
			r.buf = r.buf[n:]
			return p
		}
		b := make([]byte, 4<<10)
		_ = r.conn.SetReadDeadline(time.Now().Add(patience))
		n, err = r.conn.Read(b)
		r.buf = append(r.buf, b[:n]...)
		if errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), "reset") {
			return nil
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *raw) welcome(user string) frame.Welcome {
	r.t.Helper()
	r.write(frame.AppendAuth(nil, &frame.Auth{User: []byte(user)}))
	w, err := frame.ParseWelcome(r.read())
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

// resume sends a RESUME, and returns what comes back.
func (r *raw) resume(w *frame.Welcome, epoch uint32, received uint64) []byte {
	r.t.Helper()
	r.write(frame.AppendResume(nil, &frame.Resume{Home: w.Home, ID: w.ID, Epoch: epoch, Received: received}, w.Key[:]))
	return r.read()
}

// refused checks that a packet ends the connection with a code.
func (r *raw) refused(b []byte, code frame.Code) {
	r.t.Helper()
	e, err := frame.ParseEnd(b)
	if err != nil || e.Code != code {
		r.t.Fatalf("got %v %v, want code %v", &e, err, code)
	}
	if b := r.read(); b != nil {
		r.t.Errorf("%q comes behind the end", b)
	}
}

func (r *raw) data(want string) {
	r.t.Helper()
	if b := r.read(); string(b) != string(frame.AppendData(nil, []byte(want))) {
		r.t.Fatalf("got %q, want DATA %q", b, want)
	}
}

// begin starts a gate with resume, a room, and a client that is let in.
func begin(t testing.TB, cfg Config) (g *place, book *diary, send func(packets ...string), r *raw, w frame.Welcome) {
	t.Helper()
	d := domain(t)
	book = &diary{}
	n := process(t, d, room, book.spec("room"))
	cfg.Auth = letIn(ToName(room, "room"))
	if cfg.Resume == nil {
		cfg.Resume = &Resume{}
	}
	g = open(t, d, gateA, cfg)
	r = rawDial(t, g.address)
	w = r.welcome("ann")
	c := book.client(t, 0)
	if c.ID != w.ID || uint32(c.Home) != w.Home {
		t.Fatalf("the service knows %v, the client %d", c, w.ID)
	}
	send = func(packets ...string) {
		t.Helper()
		do(t, n, func(ctx *actor.Context) error {
			for _, p := range packets {
				book.out.Send(c, Must, []byte(p))
			}
			return book.out.Flush(ctx)
		})
	}
	return g, book, send, r, w
}

func TestRefusedResumes(t *testing.T) {
	g, book, send, r, w := begin(t, Config{})
	send("1", "2")
	r.data("1")
	r.data("2")
	r.conn.Close()
	eventually(t, "Away", func() bool { return book.has("*gate.Away") })
	send("3")
	eventually(t, "the packet to be kept", func() bool { return g.Stats().Out == 3 })

	no := rawDial(t, g.address)
	bad := frame.AppendResume(nil, &frame.Resume{Home: w.Home, ID: w.ID, Epoch: 2, Received: 2}, w.Key[:])
	bad[len(bad)-1] ^= 1
	no.write(bad)
	no.refused(no.read(), frame.CodeProof)

	no = rawDial(t, g.address)
	unknown := w
	unknown.ID++
	no.refused(no.resume(&unknown, 2, 0), frame.CodeNoSession)

	no = rawDial(t, g.address)
	elsewhere := w
	elsewhere.Home++
	no.refused(no.resume(&elsewhere, 2, 0), frame.CodeNoSession)

	no = rawDial(t, g.address)
	no.refused(no.resume(&w, 1, 2), frame.CodeEpoch)

	yes := rawDial(t, g.address)
	if got, err := frame.ParseResumed(yes.resume(&w, 7, 2)); err != nil || got.Epoch != 7 || got.Accepted != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	yes.data("3")

	// What somebody has recorded is of no use.
	no = rawDial(t, g.address)
	no.refused(no.resume(&w, 7, 2), frame.CodeEpoch)
	send("4")
	yes.data("4")

	// Another connection takes the session.
	other := rawDial(t, g.address)
	if _, err := frame.ParseResumed(other.resume(&w, 8, 3)); err != nil {
		t.Fatal(err)
	}
	other.data("4")
	if b := yes.read(); b != nil {
		yes.refused(b, frame.CodeElsewhere)
	}

	// One that has counted more than there was.
	no = rawDial(t, g.address)
	no.refused(no.resume(&w, 9, 5), frame.CodeAhead)
	eventually(t, "the end", func() bool { return book.has("*gate.Closed") })
	if st := g.Stats(); st.BadProofs != 1 || st.OldEpochs != 2 || st.Resumed != 2 || st.Replayed != 2 {
		t.Errorf("%+v", st)
	}
	want := "*gate.Opened *gate.Away *gate.Resumed *gate.Away *gate.Resumed *gate.Closed"
	if got := strings.Join(book.log, " "); got != want {
		t.Errorf("the service sees %s, want %s", got, want)
	}
}

// Who has missed more than the vault keeps begins anew.
func TestTooMuchMissed(t *testing.T) {
	g, book, send, r, w := begin(t, Config{})
	r.conn.Close()
	eventually(t, "Away", func() bool { return book.has("*gate.Away") })
	for i := range 70 {
		send(string(numbered(uint64(i), 1000)))
	}
	eventually(t, "all to be kept", func() bool { return g.Stats().Out == 70 })
	no := rawDial(t, g.address)
	no.refused(no.resume(&w, 2, 0), frame.CodeGap)
	eventually(t, "the end", func() bool { return book.has("*gate.Closed") })
	no = rawDial(t, g.address)
	no.refused(no.resume(&w, 3, 0), frame.CodeNoSession)
}

// A client that does not come back in time has lost its session, and its groups.
func TestAwayForTooLong(t *testing.T) {
	g, book, _, r, w := begin(t, Config{Resume: &Resume{Window: 300 * time.Millisecond}})
	c := book.client(t, 0)
	do(t, g.Node(), func(ctx *actor.Context) error {
		book.out.Join(c, "all")
		return book.out.Flush(ctx)
	})
	eventually(t, "the client to be in the group", func() bool { return g.Stats().Groups == 1 })
	r.conn.Close()
	eventually(t, "the end", func() bool { return book.has("*gate.Closed") })
	if st := g.Stats(); st.Groups != 0 || st.Sessions != 0 || st.Ended != 1 {
		t.Errorf("%+v", st)
	}
	eventually(t, "the vault to forget it", func() bool { v := g.Stats().Vault; return v.Live+v.Away+v.Ended == 0 })
	no := rawDial(t, g.address)
	no.refused(no.resume(&w, 2, 0), frame.CodeNoSession)
	if e := book.others[len(book.others)-1].(*Closed); e.Code != frame.CodeNoSession {
		t.Errorf("got %+v", e)
	}
}

// What breaks the protocol ends the session; BYE does, and PING says what is accepted.
func TestProtocol(t *testing.T) {
	g, book, send, r, w := begin(t, Config{})
	r.write(frame.AppendData(nil, []byte("a")))
	r.write(frame.AppendData(nil, nil))
	r.write(frame.AppendPing(nil, [8]byte{5}))
	p, err := frame.ParsePong(r.read())
	if err != nil || p.Accepted != 2 || p.Echo != [8]byte{5} {
		t.Fatalf("got %+v, %v", p, err)
	}
	send("x")
	r.data("x")
	r.write(frame.AppendAuth(nil, &frame.Auth{}))
	r.refused(r.read(), frame.CodeMalformed)
	eventually(t, "the first end", func() bool { return book.has("*gate.Closed") })
	no := rawDial(t, g.address)
	no.refused(no.resume(&w, 2, 0), frame.CodeNoSession)
	for _, first := range [][]byte{{}, {99}, frame.AppendData(nil, nil), frame.AppendBye(nil), {1, 9, 0, 0}} {
		code := frame.CodeMalformed
		if len(first) > 1 && first[1] == 9 {
			code = frame.CodeVersion
		}
		no := rawDial(t, g.address)
		no.write(first)
		no.refused(no.read(), code)
	}
	bye := rawDial(t, g.address)
	w = bye.welcome("bob")
	bye.write(frame.AppendBye(nil))
	if b := bye.read(); b != nil {
		t.Errorf("%q comes behind BYE", b)
	}
	eventually(t, "both ends", func() bool {
		return book.count(func(b *diary) int { return len(b.others) }) == 2
	})
	if a, b := book.others[0].(*Closed), book.others[1].(*Closed); a.Code != frame.CodeMalformed || b.Code != 0 {
		t.Errorf("got %+v and %+v", a, b)
	}
}

// ledger reads what an echo sends to a client and checks it: each number once, in order.
func ledger(c *dial.Client, most uint64, got *atomic.Uint64) error {
	for want := uint64(1); want <= most; want++ {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		p, err := c.Recv(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("packet %d: %w", want, err)
		}
		if got := string(p.Data); got != fmt.Sprint(want) {
			return fmt.Errorf("got packet %s, want %d", got, want)
		}
		got.Store(want)
	}
	return nil
}

// Connections are lost again and again while packets go both ways: none is missed and none comes twice, on either side.
func TestLostConnections(t *testing.T) {
	testutil.NoLeaks(t)
	for _, scheme := range []string{"", "ws://"} {
		d := join(t, testutil.Dir(t))
		book := &diary{react: echo}
		process(t, d, room, book.spec("room"))
		g := open(t, d, gateA, Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}})
		c := connect(t, scheme+g.address, dial.Options{Auth: []byte("ann"), Resume: true, Window: 100})
		rng := testutil.Rand(t)
		const most = 5000
		done := make(chan error, 1)
		var got atomic.Uint64
		go func() { done <- ledger(c, most, &got) }()
		cut := make(chan struct{})
		stop := make(chan struct{})
		go func() {
			defer close(cut)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(5+rng.IntN(30)) * time.Millisecond):
					c.Cut()
				}
			}
		}()
		for i := range most {
			if err := c.Send(soon(t), fmt.Append(nil, i+1)); err != nil {
				t.Fatal(err)
			}
			for uint64(i+1)-got.Load() > 100 && c.Err() == nil { // no more may be lost at once than the vault keeps
				time.Sleep(100 * time.Microsecond)
			}
		}
		err := <-done
		close(stop)
		<-cut
		if err != nil {
			t.Fatal(err)
		}
		if c.Resumes() == 0 {
			t.Error("the connection was never lost")
		}
		t.Logf("%d resumes", c.Resumes())
		want := uint64(1)
		book.mu.Lock()
		packets := slices.Clone(book.packets)
		book.mu.Unlock()
		for _, p := range packets {
			for i, b := range p.Data {
				if n := p.First + uint64(i); n != want || string(b) != fmt.Sprint(n) || p.Again {
					t.Fatalf("packet %d (again %v) is %s, want %d", n, p.Again, b, want)
				}
				want++
			}
		}
		c.Close()
		g.shut(t)
	}
}

// A client that comes to another gate of the host is handed over to the one that has its session, whatever it speaks.
func TestHandOver(t *testing.T) {
	cert := certificate(t)
	for _, scheme := range []string{"", "ws://", "tls://", "wss://"} {
		t.Run("over "+scheme, func(t *testing.T) {
			d := domain(t)
			book := &diary{react: echo}
			process(t, d, room, book.spec("room"))
			cfg := Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}}
			ec := entry.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}
			a, b := openWith(t, d, gateA, cfg, ec), openWith(t, d, gateB, cfg, ec)
			var turn atomic.Int64 // of the two gates; an attempt that fails is made again at the same one
			addresses := []string{a.address, b.address}
			c := connect(t, scheme+a.address, dial.Options{
				Auth: []byte("ann"), Resume: true, TLS: &tls.Config{InsecureSkipVerify: true},
				Connect: func(ctx context.Context, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", addresses[turn.Load()%2])
				},
			})
			for i := range 6 {
				say(t, c, fmt.Sprint("hello ", i))
				expect(t, c, fmt.Sprint("hello ", i))
				turn.Store(int64(i + 1))
				c.Cut()
				eventually(t, "the client to be back", func() bool { return c.Resumes() == i+1 })
			}
			say(t, c, strings.Repeat("long ", 10_000))
			if got := hear(t, c); len(got) != 50_000 {
				t.Errorf("got %d bytes", len(got))
			}
			// A gate counts what it has handed over when the other one has said that it has it, and that may let the client in first.
			eventually(t, "the last one to be counted", func() bool { return b.Stats().HandedOver >= 3 })
			if x, y := b.Stats().HandedOver, a.Stats().TakenOver; x != 3 || y != 3 {
				t.Errorf("%d were handed over, %d taken", x, y)
			}
			if i, ok := a.Session(book.client(t, 0)); !ok || !strings.HasPrefix(i.Remote, "127.0.0.1:") {
				t.Errorf("the session is %+v", i)
			}
		})
	}
}

// A gate that is closed in good order, and started again, goes on with its sessions.
func TestRestart(t *testing.T) {
	d := domain(t)
	book := &diary{react: echo}
	process(t, d, room, book.spec("room"))
	cfg := Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}}
	var at string
	g := open(t, d, gateA, cfg)
	at = g.address
	c := connect(t, at, dial.Options{Auth: []byte("ann"), Resume: true, Connect: func(ctx context.Context, _ string) (net.Conn, error) {
		book.mu.Lock()
		defer book.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	}})
	for i := range 3 {
		say(t, c, fmt.Sprint(i))
		expect(t, c, fmt.Sprint(i))
		g.shut(t)
		say(t, c, "while it is away")
		g = open(t, d, gateA, cfg)
		book.mu.Lock()
		at = g.address
		book.mu.Unlock()
		expect(t, c, "while it is away")
	}
	if got := strings.Join(kinds(book), " "); got != "Opened Away Resumed Away Resumed Away Resumed" {
		t.Errorf("the service sees %s", got)
	}
	for _, p := range book.packets {
		if p.Again && p.First == 1 {
			t.Error("the first packet is flagged")
		}
	}
}

func kinds(b *diary) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.log {
		if name, is := strings.CutPrefix(l, "*gate."); is {
			list = append(list, name)
		}
	}
	return list
}

// A home whose process is gone is adopted, and given back.
func TestAdoption(t *testing.T) {
	d := domain(t)
	book := &diary{react: echo}
	process(t, d, room, book.spec("room"))
	cfg := Config{Auth: letIn(ToName(room, "room")), Resume: &Resume{}}
	a := open(t, d, gateA, cfg)
	withAdopt := cfg
	withAdopt.Adopt = []addr.Addr{gateA}
	b := open(t, d, gateB, withAdopt)
	c := connect(t, a.address, dial.Options{Auth: []byte("ann"), Resume: true, Others: []string{b.address}})
	say(t, c, "one")
	expect(t, c, "one")
	for i := range 2 {
		a.shut(t)
		eventually(t, "the home to be adopted", func() bool { return len(b.Homes()) == 2 })
		say(t, c, "two")
		expect(t, c, "two")
		a = open(t, d, gateA, cfg) // at another port: the client comes to b, and is handed over
		if homes := b.Homes(); len(homes) != 1 {
			t.Errorf("b has %v still", homes)
		}
		say(t, c, "three")
		expect(t, c, "three")
		if st := b.Stats(); st.Adopted != uint64(i+1) || st.GivenBack != uint64(i+1) {
			t.Errorf("adopted %d, given back %d", st.Adopted, st.GivenBack)
		}
	}
	eventually(t, "what was handed over to be counted", func() bool { return b.Stats().HandedOver > 0 })
}
