// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// roles are what processes of tests do.
var roles = map[string]killtest.Role{"gate": gateRole, "room": roomRole}

type gateArgs struct {
	Root  string
	Log   string // the file for its log
	At    addr.Addr
	Adopt []addr.Addr
}

// gateConfig is that of all gates of these tests.
func gateConfig() Config {
	cfg := Config{Auth: letIn(ToName(room, "room")), Log: slog.New(slog.DiscardHandler), Resume: &Resume{}}
	unhurried(&cfg)
	return cfg
}

// gateRole is a gate until its standard input ends; then it closes in good order. It says where it listens.
func gateRole(args []byte) error {
	a, err := killtest.Args[gateArgs](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: a.Root, AllowUnknown: true})
	if err != nil {
		return err
	}
	defer d.Close()
	log, err := os.OpenFile(a.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cfg := gateConfig()
	cfg.Log = slog.New(slog.NewTextHandler(log, nil)).With("process", os.Getpid())
	cfg.Adopt = a.Adopt
	g, err := Start(d, a.At, cfg)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l, entry.Config{}) }()
	fmt.Println("ready", l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if err := g.Close(ctx); err != nil {
		return err
	}
	return <-served
}

// A witness is a room that checks what clients send, and answers each packet once.
type witness struct {
	mu     sync.Mutex
	out    Outbox
	last   map[Client]uint64
	again  uint64 // packets that came again, flagged
	ticks  uint64
	faults []string
}

func (w *witness) fault(format string, args ...any) {
	if len(w.faults) < 20 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

type tick struct{}

func (w *witness) spec() actor.Spec {
	return actor.Spec{Name: "room", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		w.mu.Lock()
		defer w.mu.Unlock() // Flush does not wait: the lanes have room
		switch v := m.Value.(type) {
		case *Opened:
			if _, known := w.last[v.Client]; !known {
				w.last[v.Client] = 0
			} else if !v.Again {
				w.fault("%v is opened again", v.Client)
			}
			w.out.Join(v.Client, "all")
		case *Packets:
			w.packets(v)
		case *Closed:
			w.out.Forget(v.Client)
		case tick:
			w.ticks++
			w.out.ToGroup("all", Must, fmt.Append(nil, "t", w.ticks))
		}
		return w.out.Flush(c)
	})}
}

func (w *witness) packets(p *Packets) {
	for i, b := range p.Data {
		n, last := p.First+uint64(i), w.last[p.Client]
		switch {
		case string(b) != strconv.FormatUint(n, 10):
			w.fault("%v: packet %d is %q", p.Client, n, b)
		case n <= last && !p.Again:
			w.fault("%v: packet %d comes again without flag, after %d", p.Client, n, last)
		case n <= last:
			w.again++
		case n != last+1:
			w.fault("%v: packet %d comes after %d", p.Client, n, last)
		default:
			w.last[p.Client] = n
			w.out.Send(p.Client, Must, append([]byte("e"), b...))
		}
	}
}

// A player sends numbers, and checks what comes: its own and the room's, each once and in order.
type player struct {
	c              *dial.Client
	sent, got, all atomic.Uint64
	err            chan error
}

func (p *player) read(ctx context.Context) error {
	for {
		m, err := p.c.Recv(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		what, n := m.Data[0], uint64(0)
		if n, err = strconv.ParseUint(string(m.Data[1:]), 10, 64); err != nil {
			return err
		}
		switch what {
		case 'e':
			if want := p.got.Load() + 1; n != want {
				return fmt.Errorf("echo %d, want %d", n, want)
			}
			p.got.Store(n)
		case 't':
			if last := p.all.Load(); last != 0 && n != last+1 {
				return fmt.Errorf("broadcast %d after %d", n, last)
			}
			p.all.Store(n)
		}
	}
}

func (p *player) write(ctx context.Context) error {
	for ctx.Err() == nil {
		if p.sent.Load()-p.got.Load() >= 50 {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		n := p.sent.Add(1)
		if err := p.c.Send(ctx, strconv.AppendUint(nil, n, 10)); err != nil {
			if ctx.Err() != nil {
				p.sent.Add(^uint64(0))
				return nil
			}
			return err
		}
	}
	return nil
}

// A signpost knows where the gates listen: each time at another port, for one that is free for a moment may be somebody else's then.
type signpost struct{ ports sync.Map } // by the name of a home

// start starts the process of a gate.
func (s *signpost) start(t testing.TB, a gateArgs) *killtest.Process {
	t.Helper()
	p := killtest.Start(t, "gate", a)
	line := p.Line()
	port, ok := strings.CutPrefix(line, "ready ")
	if !ok {
		t.Fatalf("the gate's process says %q", line)
	}
	s.ports.Store(a.At.String(), port)
	return p
}

// kill kills the process of a gate: nobody can connect to it any more.
func (s *signpost) kill(p *killtest.Process, at addr.Addr) {
	s.ports.Delete(at.String())
	p.Kill()
}

// address returns what a client calls the gate that has a home.
func (s *signpost) address(at addr.Addr) string { return at.String() + ":1" }

// connect is for dial.Options.
func (s *signpost) connect(ctx context.Context, address string) (net.Conn, error) {
	home, _, _ := net.SplitHostPort(address)
	port, ok := s.ports.Load(home)
	if !ok {
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", port.(string))
}

// goesOn waits until a player has got so many packets.
func goesOn(t testing.TB, p *player, n uint64) {
	t.Helper()
	for end := time.Now().Add(patience); p.got.Load() < n; time.Sleep(time.Millisecond) {
		if err := p.c.Err(); err != nil || len(p.err) > 0 || time.Now().After(end) {
			t.Fatalf("the session does not go on: %v; sent %d, got %d, want %d, resumes %d", err, p.sent.Load(), p.got.Load(), n, p.c.Resumes())
		}
	}
}

// A gate's process is killed again and again while clients and a service send: each client gets each packet once and in order,
// the service gets each packet of a client, and those that come twice are flagged. With an adopting gate the sessions go on there
// until theirs is back.
func TestKill(t *testing.T) {
	for _, adopt := range []bool{false, true} {
		t.Run(fmt.Sprintf("adopt=%v", adopt), func(t *testing.T) { testKill(t, adopt) })
	}
}

func testKill(t *testing.T, adopt bool) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	d := join(t, root)
	rng := testutil.Rand(t)
	w := &witness{last: map[Client]uint64{}}
	n := process(t, d, room, w.spec())
	log := filepath.Join(t.TempDir(), "log")
	defer func() {
		if text, err := os.ReadFile(log); t.Failed() {
			t.Logf("what the gates have written: %v\n%s", err, text)
		}
	}()
	first := gateArgs{Root: root, Log: log, At: gateA}
	gates := &signpost{}
	var others []string
	if adopt {
		others = append(others, gates.address(gateB))
		p := gates.start(t, gateArgs{Root: root, Log: log, At: gateB, Adopt: []addr.Addr{gateA}})
		defer func() {
			p.In.Close()
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		}()
	}
	p := gates.start(t, first)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var players []*player
	var readers, writers sync.WaitGroup
	reading, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	for range 8 {
		pl := &player{err: make(chan error, 2)}
		pl.c = connect(t, gates.address(gateA), dial.Options{
			Auth: []byte("x"), Resume: true, Others: others, Connect: gates.connect, Max: 200 * time.Millisecond, Patience: 2 * patience,
		})
		players = append(players, pl)
		readers.Go(func() { pl.err <- pl.read(reading) })
		writers.Go(func() { pl.err <- pl.write(ctx) })
	}
	eventually(t, "all to be in", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.last) == len(players) })
	var ticks sync.WaitGroup
	roomPID, _ := n.Runtime().Lookup("room")
	ticks.Go(func() {
		for said := uint64(0); ctx.Err() == nil; pause(ctx, 15*time.Millisecond) {
			// However long a gate is away, a client does not miss more than the vault keeps.
			if slices.ContainsFunc(players, func(p *player) bool { return p.all.Load()+100 < said }) {
				continue
			}
			if n.Runtime().Send(ctx, roomPID, tick{}) == nil {
				said++
			}
		}
	})
	for i := range 4 {
		time.Sleep(time.Duration(100+rng.IntN(200)) * time.Millisecond)
		gates.kill(p, gateA)
		if adopt {
			if i%2 == 0 { // else it comes back before, or while, it is adopted
				before := players[0].got.Load()
				goesOn(t, players[0], before+200)
			}
		}
		p = gates.start(t, first)
	}
	before := players[0].got.Load()
	goesOn(t, players[0], before+100)
	stop()
	writers.Wait()
	ticks.Wait()
	w.mu.Lock()
	ticked := w.ticks
	w.mu.Unlock()
	for i, pl := range players {
		eventually(t, "all packets to come", func() bool {
			return pl.got.Load() == pl.sent.Load() && pl.all.Load() == ticked || pl.c.Err() != nil || len(pl.err) > 1
		})
		t.Logf("player %d: sent %d, got %d, broadcasts %d of %d, resumes %d", i, pl.sent.Load(), pl.got.Load(), pl.all.Load(), ticked, pl.c.Resumes())
	}
	stopReading()
	readers.Wait()
	for i, pl := range players {
		for range 2 {
			if err := <-pl.err; err != nil {
				t.Errorf("player %d: %v", i, err)
			}
		}
		if pl.c.Resumes() == 0 {
			t.Errorf("player %d has not lost its connection", i)
		}
		pl.c.Close()
	}
	p.In.Close()
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		t.Error(f)
	}
	t.Logf("%d packets of clients came again", w.again)
}

type roomArgs struct{ Root string }

// roomRole is a room in a process of its own, which numbers what it sends.
func roomRole(args []byte) error {
	a, err := killtest.Args[roomArgs](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: a.Root, AllowUnknown: true})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := Register(nil); err != nil {
		return err
	}
	w := &witness{last: map[Client]uint64{}}
	n, err := node.Start(d, room, node.Config{Services: []actor.Spec{w.spec()}, Codec: codec.Default})
	if err != nil {
		return err
	}
	defer n.Close()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
	return nil
}

// The process of a service dies: what its clients send meanwhile waits, and the next one gets it.
func TestKillService(t *testing.T) {
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
	eventually(t, "the packet to be in the lane", func() bool { i := g.Sessions(); return len(i) == 1 && i[0].Accepted == 2 })
	if err := c.Err(); err != nil {
		t.Fatalf("the session has ended: %v", err)
	}
	book := &diary{react: echo}
	process(t, d, room, book.spec("room"))
	got := hear(t, c)
	if got == "1" { // the room was killed before it could say that it had handled this
		if flagged := book.count(func(d *diary) int { return len(d.again) }); flagged == 0 {
			t.Error("packet 1 comes again without flag")
		}
		got = hear(t, c)
	}
	if got != "2" || !book.has("2:2") {
		t.Errorf("the client gets %q, and the next process %q", got, book.log)
	}
	if list := g.Sessions(); len(list) != 1 || list[0].Target != ToName(room, "room") {
		t.Errorf("the sessions are %+v", list)
	}
}
