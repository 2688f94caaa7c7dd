// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
)

const (
	maxRecord = 16 << 20
	epoch1    = 5 << 20
	ms        = int64(1e6)
)

func config(host, expected string) Config {
	return Config{
		Hello: wire.Hello{
			Lowest: wire.Version, Highest: wire.Version, Key: 1000, Incarnation: 1, MaxRecord: maxRecord, Conns: 1,
			Template: "8.8.8.8", Host: host, Expected: expected,
		},
		Handshake: 10e9,
	}
}

// An end is one side of a rig: a session and what it has not read yet.
type end struct {
	*Session
	host *fakeHost
	cfg  Config
	out  Out
	in   []byte
	read func(b []byte) // watches what comes in, if set
}

// A rig is two sessions whose connection is a piece of memory.
type rig struct {
	t    testing.TB
	a, b *end // a is the origin, b the far side
	now  int64

	streams []*Stream // of a, on this connection
}

func newRig(t testing.TB, change func(a, b *Config)) *rig {
	t.Helper()
	r := &rig{t: t, a: &end{host: newHost(t)}, b: &end{host: newHost(t)}, now: 1e12}
	r.a.cfg, r.b.cfg = config("north", "south"), config("south", "")
	if change != nil {
		change(&r.a.cfg, &r.b.cfg)
	}
	r.connect()
	return r
}

// connect begins a new connection between the same hosts.
func (r *rig) connect() {
	for _, e := range []*end{r.a, r.b} {
		if e.Session != nil {
			e.Close()
		}
		e.Session, e.in = New(&e.cfg, e.host, r.now), e.in[:0]
		e.host.opened = nil
	}
	r.streams = nil
}

// open begins the stream from the lane l.
func (r *rig) open(l *fakeLane, src, dst addr.Addr) *Stream {
	return r.openAs(l, src, dst, 0, OnConsumed)
}

func (r *rig) openAs(l *fakeLane, src, dst addr.Addr, priority uint8, release Release) *Stream {
	st := r.a.Open(l, src, dst, priority, release)
	r.streams = append(r.streams, st)
	return st
}

// poll is what a daemon does all the time: it looks for what senders have sent.
func (r *rig) poll() {
	for _, st := range r.streams {
		if st.Ready() {
			r.a.Wake(st)
		}
	}
}

// write moves what e has to say to the other end.
func (r *rig) write(e, to *end) {
	e.Output(&e.out, r.now)
	for _, s := range e.out.Segments {
		to.in = append(to.in, s...)
	}
}

// read lets e read what has come.
func (r *rig) read(e *end) error {
	if e.read != nil {
		e.read(e.in)
	}
	n, err := e.Input(e.in, r.now)
	e.in = append(e.in[:0], e.in[n:]...)
	return err
}

// run moves everything to and fro until both sides are silent.
func (r *rig) run() {
	r.t.Helper()
	for range 200_000 {
		busy := false
		r.poll()
		for _, way := range [][2]*end{{r.a, r.b}, {r.b, r.a}} {
			e, to := way[0], way[1]
			if _, err := e.Tick(r.now); err != nil && e.Err() == nil {
				r.t.Fatal("an error of Tick is not the session's")
			}
			if e.Pending(r.now) {
				busy = true
				r.write(e, to)
			}
			if len(to.in) > 0 && to.Err() == nil {
				_ = r.read(to)
			}
		}
		if !busy {
			return
		}
	}
	r.t.Fatal("the sessions do not come to rest")
}

// mustRun is run of sessions that stay up.
func (r *rig) mustRun() {
	r.t.Helper()
	r.run()
	if err := errors.Join(r.a.Err(), r.b.Err()); err != nil || !r.a.Up() || !r.b.Up() {
		r.t.Fatalf("the sessions are not up: %v", err)
	}
}

// settle runs until time has brought out every ACK.
func (r *rig) settle() {
	r.t.Helper()
	r.mustRun()
	r.now += 2 * ms
	r.mustRun()
}

// consume has the far process of m take n messages, and the relay be told.
func (r *rig) consume(m *fakeMirror, n int) {
	r.t.Helper()
	m.read(n)
	r.touch()
	r.settle()
}

// touch has the far side look what all far processes have taken.
func (r *rig) touch() {
	for _, in := range r.b.host.opened {
		r.b.Touch(in, r.now)
	}
}

// wantGot checks that the far process of m got the records from to to once each, in
// order, whole and without a flag.
func wantGot(t testing.TB, m *fakeMirror, from, to uint64) {
	t.Helper()
	if n := uint64(len(m.got)); n != to-from+1 {
		t.Errorf("%d messages arrived, want %d", n, to-from+1)
	}
	for i, g := range m.got {
		want := received{g.epoch, from + uint64(i), 0, payload(from+uint64(i), len(g.data))}
		if g.seq != want.seq || g.flags != want.flags || !bytes.Equal(g.data, want.data) {
			t.Fatalf("message %d is number %d with flags %d and %d bytes, want number %d whole and without flags", i, g.seq, g.flags, len(g.data), want.seq)
		}
	}
	if m.tight != 0 {
		t.Errorf("L7: %d times something within the credit had no room", m.tight)
	}
}

// A frame is what a session has written.
type frame struct {
	wire.Header
	body []byte
}

// A hand is a session whose peer is played by the test.
type hand struct {
	t    testing.TB
	s    *Session
	host *fakeHost
	out  Out
	now  int64
}

// newHand returns a session that is up.
func newHand(t testing.TB) *hand {
	t.Helper()
	h := newHandBeforeHello(t, config("south", "north"))
	h.must(helloOf("north"))
	h.only(wire.TypeHello)
	return h
}

func newHandBeforeHello(t testing.TB, cfg Config) *hand {
	h := &hand{t: t, host: newHost(t), now: 1e12}
	h.s = New(&cfg, h.host, h.now)
	return h
}

func helloOf(host string) []byte {
	cfg := config(host, "")
	return wire.AppendHello(nil, &cfg.Hello)
}

// send feeds frames to the session.
func (h *hand) send(frames ...[]byte) error {
	for _, f := range frames {
		n, err := h.s.Input(f, h.now)
		if err != nil {
			return err
		}
		if n != len(f) {
			h.t.Fatalf("of a frame of %d bytes %d were taken", len(f), n)
		}
	}
	return nil
}

func (h *hand) must(frames ...[]byte) {
	h.t.Helper()
	if err := h.send(frames...); err != nil {
		h.t.Fatal(err)
	}
}

// frames returns what the session writes now.
func (h *hand) frames() (all []frame) {
	h.t.Helper()
	h.s.Output(&h.out, h.now)
	b := bytes.Join(h.out.Segments, nil)
	if len(b) != h.out.Bytes {
		h.t.Errorf("%d bytes are written and %d counted", len(b), h.out.Bytes)
	}
	for len(b) > 0 {
		hd, err := wire.ParseHeader(b)
		if err != nil {
			h.t.Fatalf("what is written breaks the format: %v", err)
		}
		all = append(all, frame{hd, b[wire.HeaderSize : wire.HeaderSize+hd.Length]})
		b = b[wire.HeaderSize+hd.Length:]
	}
	return all
}

// drain returns what the session writes until it has nothing more to say.
func (h *hand) drain() (all []frame) {
	h.t.Helper()
	for range 10_000 {
		if !h.s.Pending(h.now) {
			return all
		}
		all = append(all, h.frames()...)
	}
	h.t.Fatal("the session does not come to rest")
	return nil
}

// only returns the frames of one type, and fails if there are others.
func (h *hand) only(typ wire.Type) []frame {
	h.t.Helper()
	all := h.drain()
	if got := typesOf(all); len(all) == 0 || strings.Trim(strings.ReplaceAll(got, typ.String(), ""), " ") != "" {
		h.t.Fatalf("the session writes %q, want only %v", got, typ)
	}
	return all
}

// silent fails if the session has something to say.
func (h *hand) silent() {
	h.t.Helper()
	if all := h.drain(); len(all) > 0 {
		h.t.Fatalf("the session writes %q, want nothing", typesOf(all))
	}
}

func typesOf(all []frame) string {
	var names []string
	for _, f := range all {
		names = append(names, f.Type.String())
	}
	return strings.Join(names, " ")
}

func (h *hand) state(f frame) wire.State {
	h.t.Helper()
	s, err := wire.ParseState(f.Type, f.body)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// ack lets time pass until the ACK comes, and returns the one that does.
func (h *hand) ack() wire.State {
	h.t.Helper()
	h.now += AckAfter
	all := h.only(wire.TypeAck)
	return h.state(all[len(all)-1])
}

// open has the peer open stream num from north, whose next record is seq.
func (h *hand) open(num uint32, epoch, seq uint64) wire.State {
	h.t.Helper()
	h.must(openFrame(num, epoch, seq))
	return h.state(h.only(wire.TypeResume)[0])
}

func openFrame(num uint32, epoch, seq uint64) []byte {
	return wire.AppendOpen(nil, num, &wire.Open{
		Src: uint32(north) + num - 1, Dst: uint32(south), Epoch: epoch, First: seq, Next: seq, Consumed: seq - 1, Size: 1 << 16,
	})
}

// resume opens a stream from l and has the peer take it with the state st.
func (h *hand) resume(l *fakeLane, st *wire.State) *Stream {
	h.t.Helper()
	s := h.s.Open(l, south, north, 0, OnConsumed)
	h.only(wire.TypeOpen)
	h.must(wire.AppendState(nil, wire.TypeResume, 0, s.num, st))
	return s
}

// dataFrame returns a DATA frame with numbered records of size bytes.
func dataFrame(num uint32, epoch, seq uint64, sizes ...int) []byte {
	var records []byte
	for i, n := range sizes {
		records = append(wire.AppendRecord(records, n, 0), payload(seq+uint64(i), n)...)
	}
	return append(wire.AppendData(nil, num, epoch, seq, len(records)), records...)
}

// fragFrame returns the part of record seq from offset at to end.
func fragFrame(num uint32, epoch, seq uint64, length, at, end int) []byte {
	f := wire.Frag{Epoch: epoch, Seq: seq, Length: uint32(length), Offset: uint32(at)}
	return append(wire.AppendFrag(nil, num, &f, end-at), payload(seq, length)[at:end]...)
}

func stateFrame(typ wire.Type, num uint32, s wire.State) []byte {
	return wire.AppendState(nil, typ, 0, num, &s)
}

// wantRefused checks that the session has ended, that the peer was told so, and
// that both errors say why.
func (h *hand) wantRefused(err error, code wire.Code, part string) {
	h.t.Helper()
	switch {
	case err == nil || h.s.Err() == nil:
		h.t.Fatalf("the session goes on, want an end that says %q", part)
	case code == wire.CodeProtocol && !errors.Is(err, wire.ErrProtocol), !strings.Contains(err.Error(), part):
		h.t.Errorf("the session ended with %v, want %v that says %q", err, code, part)
	}
	all := h.drain()
	if len(all) == 0 || all[len(all)-1].Type != wire.TypeRefuse || all[len(all)-1].Stream != 0 {
		h.t.Fatalf("the session writes %q in the end, want REFUSE last", typesOf(all))
	}
	n, err := wire.ParseNotice(all[len(all)-1].body)
	if err != nil || n.Code != code || !strings.Contains(n.Text, part) {
		h.t.Errorf("the peer is told %+v, %v, want %v that says %q", n, err, code, part)
	}
	if err := h.send(wire.AppendPing(nil, wire.TypePing, 1)); err == nil {
		h.t.Error("a session that is over takes frames")
	}
	h.silent()
}

// wantStreamRefused checks that the peer was told that stream num is not taken.
func (h *hand) wantStreamRefused(num uint32, code wire.Code) {
	h.t.Helper()
	all := h.drain()
	var found []string
	for _, f := range all {
		if f.Type == wire.TypeRefuse {
			n, err := wire.ParseNotice(f.body)
			if err == nil && f.Stream == num && n.Code == code {
				return
			}
			found = append(found, fmt.Sprintf("stream %d: %+v %v", f.Stream, n, err))
		}
	}
	h.t.Fatalf("the session writes %q (%q), want a REFUSE of stream %d: %v", typesOf(all), found, num, code)
}
