// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// The simulated cluster: one host that sends and two that its messages may be
// routed to. All lanes, tables and sessions are those that ship; only sockets, clock and
// scheduling are the simulator's.
const (
	simLanes    = 2
	simKey      = 7
	simRelayKey = 9
	simMax      = 40 << 10 // bytes of a message
)

func simSrc(lane int) addr.Addr { return addr.Addr(0x0101 + lane) }
func simDst(lane int) addr.Addr { return addr.Addr(0x0201 + lane) }

// killedNow is what a process is stopped with.
type killedNow struct{}

// A simHost is a machine: what is in its folder survives its processes.
type simHost struct {
	w       *simWorld
	name    string
	root    string
	daemon  *simDaemon
	sender  *simSender
	readers [simLanes]*simReader
}

// A simWorld is one run.
type simWorld struct {
	rng    *rand.Rand
	hosts  [3]*simHost // 0 sends, 1 and 2 receive
	now    int64
	at     [simLanes]int // which host a lane's destination is on
	stored bool          // released when stored, not when consumed
	roams  bool          // routes change
	pipes  map[int]*simPipe
	books  [simLanes]simBook
	log    []string
	out    link.Out
	calm   bool // no more faults
	err    error
}

func (w *simWorld) note(format string, args ...any) {
	if len(w.log) > 4000 {
		w.log = w.log[1000:]
	}
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *simWorld) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		w.note("FAILED: %v", w.err)
	}
}

// remote says where an address is, for the tables of host h.
func (h *simHost) remote(a addr.Addr) (bool, error) {
	for i := range simLanes {
		switch {
		case a == simSrc(i):
			return h != h.w.hosts[0], nil
		case a == simDst(i):
			return h != h.w.hosts[h.w.at[i]], nil
		}
	}
	return false, nil
}

// table opens the host's domain for a new process.
func (h *simHost) table() *channel.Table {
	t, err := channel.Open(h.root, simKey, channel.Config{AllowUnknown: true, Limits: channel.Limits{
		GrowBytes: 16 << 10, IdleAfter: time.Second, MaxBytes: 8 << 20, MaxMessage: 1 << 20,
	}}, true)
	if err != nil {
		panic(err)
	}
	t.SetRoutes(h.remote)
	if t.RelayKey() == 0 {
		if err := t.SetRelayKey(simRelayKey); err != nil {
			panic(err)
		}
	}
	return t
}

// reboot takes the host's memory away, with its processes.
func (h *simHost) reboot() {
	h.killDaemon()
	h.killSender()
	for i := range h.readers {
		h.killReader(i)
	}
	if err := os.RemoveAll(h.root); err != nil {
		panic(err)
	}
	if err := os.MkdirAll(h.root, 0o700); err != nil {
		panic(err)
	}
	time.Sleep(2 * time.Millisecond) // epochs are of milliseconds: no host boots faster
}

// mayDie runs f and stops it after a random number of steps, if at all. It
// reports whether it was stopped.
func (w *simWorld) mayDie(odds int, f func()) (died bool) {
	if w.calm || w.rng.IntN(odds) > 0 {
		f()
		return false
	}
	left := 1 + w.rng.IntN(1+w.rng.IntN(60))
	site := ""
	invariant.SetHook(func(s string) {
		if left--; left == 0 {
			site = s
			panic(killedNow{})
		}
	})
	defer invariant.SetHook(nil)
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killedNow); !ok {
				panic(r)
			}
			w.note("  killed before %s", site)
			died = true
		}
	}()
	f()
	return false
}

// A simSender is the process that has the sources bound.
type simSender struct {
	t     *channel.Table
	binds [simLanes]*channel.Binding
	lanes [simLanes]*channel.Sender
}

func (h *simHost) killSender() {
	if h.sender != nil {
		h.sender.t.Abandon()
		h.sender = nil
	}
}

func (h *simHost) startSender() {
	s := &simSender{t: h.table()}
	h.sender = s
	for i := range simLanes {
		b, err := s.t.Bind(simSrc(i))
		if err != nil {
			panic(err)
		}
		s.binds[i] = b
	}
}

// A simReader is a process that has one destination bound.
type simReader struct {
	t *channel.Table
	b *channel.Binding
	d *channel.Drain
}

func (h *simHost) killReader(i int) {
	if h.readers[i] != nil {
		h.readers[i].t.Abandon()
		h.readers[i] = nil
	}
}

func (h *simHost) startReader(i int) {
	r := &simReader{t: h.table()}
	h.readers[i] = r
	var err error
	if r.b, err = r.t.Bind(simDst(i)); err != nil {
		panic(err)
	}
	if r.d, err = r.b.Drain(); err != nil {
		panic(err)
	}
	r.d.Sweep()
}

// A simPipe is a connection: what each end has written and the other not read.
type simPipe struct {
	a, b     *link.Session // of the sending host, of the receiving one
	ab, ba   []byte
	from, to *simHost
}

// A simDaemon is a host's daemon.
type simDaemon struct {
	h     *simHost
	t     *channel.Table
	r     *channel.Relay
	lanes map[uint32]*simLane      // the sending host's, by their bits
	in    map[uint32]*link.Inbound // the receiving ones', by their bits
	sess  map[*simHost]*link.Session
	// memory is for a mutant that remembers what it should read.
	memory map[[2]addr.Addr]uint64
}

type simLane struct {
	channel.RelayLane
	src    *channel.Source
	host   *simHost
	stream *link.Stream
}

func (h *simHost) startDaemon() {
	d := &simDaemon{h: h, t: h.table(), lanes: map[uint32]*simLane{}, in: map[uint32]*link.Inbound{}, sess: map[*simHost]*link.Session{},
		memory: map[[2]addr.Addr]uint64{}}
	h.daemon = d
	var err error
	if d.r, err = d.t.BindRelay(); err != nil {
		panic(err)
	}
}

func (h *simHost) killDaemon() {
	d := h.daemon
	if d == nil {
		return
	}
	for i, p := range h.w.pipes {
		if p.from == h || p.to == h {
			h.w.cutOther(i, h)
		}
	}
	d.t.Abandon()
	h.daemon = nil
}

// cutOther drops connection i because a daemon at one of its ends died: the other
// one notices.
func (w *simWorld) cutOther(i int, dead *simHost) {
	p := w.pipes[i]
	delete(w.pipes, i)
	if p.from != dead {
		p.from.daemon.over(p.to, p.a)
	}
	if p.to != dead {
		p.to.daemon.over(p.from, p.b)
	}
}

func (d *simDaemon) over(other *simHost, s *link.Session) {
	s.Close()
	delete(d.sess, other)
	for _, l := range d.lanes {
		if l.host == other {
			l.stream = nil
		}
	}
}

// connect joins the sending host's daemon and that of host i, as TCP would.
func (w *simWorld) connect(i int) {
	a, b := w.hosts[0], w.hosts[i]
	p := &simPipe{from: a, to: b}
	hello := func(h, other *simHost) link.Config {
		return link.Config{InFlight: 256 << 10, Handshake: 5e9, Hello: wire.Hello{
			Lowest: 1, Highest: 1, Key: simKey, Incarnation: uint64(w.now), MaxRecord: 1 << 20, Conns: 1, Template: "8.8.8.8", Host: h.name, Expected: other.name,
		}}
	}
	ca, cb := hello(a, b), hello(b, a)
	p.a = link.New(&ca, &simPeer{a.daemon, b}, w.now)
	p.b = link.New(&cb, &simPeer{b.daemon, a}, w.now)
	a.daemon.sess[b], b.daemon.sess[a] = p.a, p.b
	for _, l := range a.daemon.lanes {
		if l.host == b {
			a.daemon.open(l)
		}
	}
	w.pipes[i] = p
}

func (d *simDaemon) open(l *simLane) {
	rel := link.OnConsumed
	if d.h.w.stored {
		rel = link.OnStored
	}
	l.stream = d.sess[l.host].Open(l.src, l.Src, l.Dst, 0, rel)
	l.stream.Owner = l
}

// turn is what the daemon's pump does, once.
func (d *simDaemon) turn() {
	w := d.h.w
	d.r.News(func(slot uint32) {
		if in := d.in[slot]; in != nil {
			for _, s := range d.sess {
				s.Touch(in, w.now)
			}
			return
		}
		if d.lanes[slot] == nil {
			if rl, ok := d.r.Find(slot); ok && !rl.Mirror {
				d.add(rl)
				return
			}
			d.r.Cool(slot)
		}
	})
	if w.calm || w.rng.IntN(10) == 0 {
		for _, s := range d.sess {
			s.Sweep(w.now)
		}
	}
	for _, rl := range d.r.Lanes() {
		if !rl.Mirror && d.lanes[rl.Slot] == nil {
			d.add(rl)
		}
	}
	for _, l := range d.lanes {
		if l.host == nil {
			continue
		}
		if l.stream == nil && d.sess[l.host] != nil {
			d.open(l)
		}
		if l.stream != nil && l.stream.Ready() {
			d.sess[l.host].Wake(l.stream)
		}
	}
}

func (d *simDaemon) add(rl channel.RelayLane) {
	src, err := d.r.Source(rl.Pair)
	if errors.Is(err, channel.ErrNoRoute) {
		return // its maker died before it was counted
	}
	if err != nil {
		panic(err)
	}
	l := &simLane{RelayLane: rl, src: src}
	d.lanes[rl.Slot] = l
	d.place(l)
}

func (d *simDaemon) place(l *simLane) {
	w := d.h.w
	to := w.hosts[w.at[int(l.Dst)-int(simDst(0))]]
	if to == l.host || to == d.h {
		return
	}
	if l.stream != nil {
		d.sess[l.host].Shut(l.stream)
	}
	l.host, l.stream = to, nil
}

// follow has the daemon look at the routes.
func (d *simDaemon) follow() {
	for _, err := range d.r.Reroute(d.let) {
		d.h.w.note("  not turned: %v", err)
	}
	for _, l := range d.lanes {
		d.place(l)
	}
}

func (d *simDaemon) let(p channel.Pair) {
	for slot, l := range d.lanes {
		if l.Pair == p {
			if l.stream != nil {
				d.sess[l.host].Shut(l.stream)
			}
			l.src.Close()
			delete(d.lanes, slot)
		}
	}
	for _, in := range d.in {
		if in.Src == p.Src && in.Dst == p.Dst {
			for _, s := range d.sess {
				s.Dismiss(in)
			}
		}
	}
}

// simPeer is what a session of d asks, whose other side is host other.
type simPeer struct {
	d     *simDaemon
	other *simHost
}

func (p *simPeer) Greet(*wire.Hello) *wire.Notice { return nil }
func (p *simPeer) Join(*wire.Join) (*wire.Joined, *wire.Notice) {
	return nil, &wire.Notice{Code: wire.CodeNoCluster}
}

func (p *simPeer) Admit(src, dst addr.Addr) *wire.Notice {
	if r, _ := p.d.h.remote(dst); r {
		return &wire.Notice{Code: wire.CodeNoRoute, Text: "not here"}
	}
	return nil
}

func (p *simPeer) Sink(src, dst addr.Addr) (link.Sink, error) {
	k, err := p.d.r.Sink(channel.Pair{Src: src, Dst: dst})
	if errors.Is(err, channel.ErrNoLane) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (p *simPeer) MakeSink(src, dst addr.Addr, epoch, seq, size uint64, gap []byte) (link.Sink, error) {
	k, err := p.d.r.MakeSink(channel.Pair{Src: src, Dst: dst}, epoch, seq, size, gap)
	if err != nil {
		return nil, err
	}
	for i, h := range p.d.h.w.hosts {
		if h == p.d.h {
			p.d.h.w.books[dst-simDst(0)].hosts[i].knows = true
		}
	}
	return k, nil
}

func (p *simPeer) Code(err error) wire.Code {
	p.d.h.w.note("  %s: %v", p.d.h.name, err)
	return wire.CodeBudget
}

func (p *simPeer) Look(in *link.Inbound) { p.d.r.Cool(in.Sink().(*channel.Sink).Slot()) }
func (p *simPeer) Woken(*link.Stream)    {}
func (p *simPeer) Opened(in *link.Inbound) {
	p.d.in[in.Sink().(*channel.Sink).Slot()] = in
}

func (p *simPeer) Closed(in *link.Inbound) {
	delete(p.d.in, in.Sink().(*channel.Sink).Slot())
}

func (p *simPeer) Refused(st *link.Stream, n wire.Notice) {
	p.d.h.w.note("  refused by %s: %v %s", p.other.name, n.Code, n.Text)
	st.Owner.(*simLane).stream = nil
}

func (p *simPeer) Undeliverable(st *link.Stream, rec *ring.Record) error {
	return fmt.Errorf("record %d of %v -> %v", rec.Seq, st.Src, st.Dst)
}

func (p *simPeer) Lost(src, dst addr.Addr, g *wire.Gap) {
	p.d.h.w.note("  %s: gap %v -> %v from %d to %d: %s", p.d.h.name, src, dst, g.From, g.To, g.Text)
}

// Remember and Remembered are for a mistake that a test makes: a daemon that keeps
// in its memory what is stored.
func (p *simPeer) Remember(src, dst addr.Addr, seq uint64) { p.d.memory[[2]addr.Addr{src, dst}] = seq }

func (p *simPeer) Remembered(src, dst addr.Addr) uint64 { return p.d.memory[[2]addr.Addr{src, dst}] }

// simPayload is a message that can be judged: its number, and a sum.
func simPayload(lane int, n uint64, size int) []byte {
	b := make([]byte, max(size, 16))
	binary.LittleEndian.PutUint64(b, n)
	b[8] = byte(lane)
	for i := 16; i < len(b); i++ {
		b[i] = byte(n + uint64(i))
	}
	binary.LittleEndian.PutUint32(b[12:], crc32.ChecksumIEEE(append(b[:12:12], b[16:]...)))
	return b
}

func simParse(lane int, b []byte) (uint64, error) {
	if len(b) < 16 || int(b[8]) != lane || binary.LittleEndian.Uint32(b[12:]) != crc32.ChecksumIEEE(append(b[:12:12], b[16:]...)) {
		return 0, fmt.Errorf("%d bytes that nobody sent", len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}

func newSimWorld(root string, seed uint64) *simWorld {
	w := &simWorld{rng: rand.New(rand.NewPCG(seed, 1)), now: 1e9, pipes: map[int]*simPipe{}}
	for i := range w.hosts {
		h := &simHost{w: w, name: string(rune('a' + i)), root: filepath.Join(root, string(rune('a'+i)))}
		if err := os.MkdirAll(h.root, 0o700); err != nil {
			panic(err)
		}
		w.hosts[i] = h
	}
	for i := range w.at {
		w.at[i] = 1
		w.books[i].unsure, w.books[i].have = map[uint64]bool{}, map[uint64]bool{}
	}
	w.stored, w.roams = w.rng.IntN(4) == 0, w.rng.IntN(3) == 0
	return w
}

func (w *simWorld) close() {
	for _, h := range w.hosts {
		h.killDaemon()
		h.killSender()
		for i := range h.readers {
			h.killReader(i)
		}
		os.RemoveAll(h.root)
	}
}
