// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/dial"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/vault"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

const patience = 90 * time.Second

// window is for how long sessions wait for their clients, unless a test says so: longer than a machine stands still, and shorter than patience.
const window = 80 * time.Second

// unhurried takes from a gate the limits that a client of a busy machine would exceed without being slow.
func unhurried(cfg *Config) {
	for _, limit := range []*time.Duration{
		&cfg.Entry.FirstByte, &cfg.Entry.TLS, &cfg.Entry.Upgrade, &cfg.Entry.Auth, &cfg.Entry.HalfPacket, &cfg.Client.Marks.Slow, &cfg.Client.Marks.Stall,
	} {
		*limit = cmp.Or(*limit, -1)
	}
	if cfg.Resume != nil {
		r := *cfg.Resume
		r.Window = cmp.Or(r.Window, window)
		r.Vault = cmp.Or(r.Vault, vault.Config{Sessions: 128, Ring: 4 << 20, Sources: 64})
		cfg.Resume = &r
	}
}

// The addresses of tests.
var (
	gateA = addr.MustParse("0.0.1.1")
	gateB = addr.MustParse("0.0.1.2")
	room  = addr.MustParse("0.0.3.1")
)

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(m.Run())
}

func domain(t testing.TB) *skybus.Domain {
	t.Helper()
	testutil.NoLeaks(t)
	return join(t, testutil.Dir(t))
}

func join(t testing.TB, root string) *skybus.Domain {
	t.Helper()
	d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func quiet() *slog.Logger {
	if testing.Verbose() {
		return slog.Default()
	}
	return slog.New(slog.DiscardHandler)
}

// A place is a gate with a listener.
type place struct {
	*Gate
	address string
	served  chan error
}

func open(t testing.TB, d *skybus.Domain, at addr.Addr, cfg Config) *place {
	t.Helper()
	return openWith(t, d, at, cfg, entry.Config{})
}

func openWith(t testing.TB, d *skybus.Domain, at addr.Addr, cfg Config, ec entry.Config) *place {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	unhurried(&cfg)
	g, err := Start(d, at, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{Gate: g, served: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	go func() { p.served <- g.Serve(l, ec) }()
	t.Cleanup(func() { p.shut(t) })
	return p
}

// shut closes a gate in good order.
func (p *place) shut(t testing.TB) {
	t.Helper()
	if p.served == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Errorf("close the gate: %v", err)
	}
	if err := <-p.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	p.served = nil
}

// process starts a node, as another process would.
func process(t testing.TB, d *skybus.Domain, at addr.Addr, services ...actor.Spec) *node.Node {
	t.Helper()
	if err := Register(codec.Default); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(d, at, node.Config{Services: services, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// A diary is what a service has got, and an Outbox for it to answer with.
type diary struct {
	mu      sync.Mutex
	out     Outbox
	opened  []*Opened
	packets []*Packets
	others  []any
	log     []string
	again   []string                                      // what of log came with Message.Again
	react   func(c *actor.Context, d *diary, v any) error // nil: nothing
}

// spec is a service that writes a diary.
func (d *diary) spec(name string) actor.Spec {
	return actor.Spec{Name: name, New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		d.note(m)
		if d.react != nil {
			return d.react(c, d, m.Value)
		}
		return nil
	})}
}

func (d *diary) note(m *actor.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.log)
	defer func() {
		if m.Again {
			d.again = append(d.again, d.log[before:]...)
		}
	}()
	switch v := m.Value.(type) {
	case *Opened:
		d.opened = append(d.opened, v)
	case *Packets:
		d.packets = append(d.packets, v)
		for i, b := range v.Data {
			d.log = append(d.log, fmt.Sprintf("%d:%s", v.First+uint64(i), b))
		}
		return
	default:
		d.others = append(d.others, v)
	}
	d.log = append(d.log, fmt.Sprintf("%T", m.Value))
}

func (d *diary) count(f func(d *diary) int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f(d)
}

// closed returns what there is of Closed.
func (d *diary) closed() (list []*Closed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.others {
		if e, is := o.(*Closed); is {
			list = append(list, e)
		}
	}
	return list
}

func (d *diary) has(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.log {
		if l == what {
			return true
		}
	}
	return false
}

func (d *diary) client(t testing.TB, n int) Client {
	t.Helper()
	eventually(t, "a client to be let in", func() bool { return d.count(func(d *diary) int { return len(d.opened) }) > n })
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened[n].Client
}

// echo sends back what comes.
func echo(c *actor.Context, d *diary, v any) error {
	p, is := v.(*Packets)
	if !is {
		return nil
	}
	for _, b := range p.Data {
		d.out.Send(p.Client, Must, b)
	}
	return d.out.Flush(c)
}

// letIn is an auth function that takes everybody whose packet is not "no", for the service.
func letIn(to Target) func(context.Context, *Hello) (*Grant, error) {
	return letInBy(func(string) Target { return to })
}

// letInBy is letIn for the service that is each client's.
func letInBy(to func(who string) Target) func(context.Context, *Hello) (*Grant, error) {
	return func(_ context.Context, h *Hello) (*Grant, error) {
		if bytes.Equal(h.Data, []byte("no")) {
			return nil, &Refusal{Code: 2000, Why: "you said so"}
		}
		return &Grant{Bind: to(string(h.Data)), Identity: h.Data}, nil
	}
}

func connect(t testing.TB, address string, o dial.Options) *dial.Client {
	t.Helper()
	o.Handshake = cmp.Or(o.Handshake, patience)
	o.Ping = cmp.Or(o.Ping, 10*patience) // a gate on a machine that stands still is silent, too
	c, err := dial.Dial(soon(t), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t testing.TB, c *dial.Client, text string) {
	t.Helper()
	if err := c.Send(soon(t), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, c *dial.Client) string {
	t.Helper()
	p, err := c.Recv(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(p.Data)
}

// expect reads packets and compares them.
func expect(t testing.TB, c *dial.Client, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if got := hear(t, c); got != want {
			t.Fatalf("the client gets %q, want %q", got, want)
		}
	}
}

func numbered(n uint64, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(b, n)
	return b
}
