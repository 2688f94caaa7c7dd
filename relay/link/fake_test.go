// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

const (
	north = addr.Addr(0x0101) // lives on host "north"
	south = addr.Addr(0x0201) // lives on host "south"
)

var (
	errBudget = errors.New("no memory for a ring of that size")
	errBroken = errors.New("the lane is damaged")
)

func newRegion(t testing.TB, size, seq uint64) ring.Region {
	t.Helper()
	words := make([]byte, size+ring.MarksSize+32)
	r, err := ring.NewRegion(words[size:], words[:size])
	if err != nil {
		t.Fatal(err)
	}
	r.Format(seq)
	return r
}

// A fakeLane is a lane at its origin: a ring on heap bytes that is read as
// channel.Source reads it. It outlives sessions.
type fakeLane struct {
	t        testing.TB
	region   ring.Region
	tx       *ring.Tx
	rx       *ring.Rx
	epoch    uint64
	confirm  uint64 // as noted for the next daemon
	doubtful uint64 // likewise
	dropTo   uint64 // an operator has discarded up to here
	taken    []mark // seq and end of what was taken and not released
	takeErr  error
	restarts int
	held     bool // it goes on in a larger ring once all of it is released
}

// newLane makes an empty lane whose first record gets seq.
func newLane(t testing.TB, size, epoch, seq uint64) *fakeLane {
	t.Helper()
	l := &fakeLane{t: t, region: newRegion(t, size, seq), epoch: epoch}
	var err error
	if l.tx, err = ring.AttachTx(l.region); err != nil {
		t.Fatal(err)
	}
	l.attach()
	return l
}

// attach is what a daemon does that has just started.
func (l *fakeLane) attach() {
	rx, err := ring.AttachRx(l.region)
	if err != nil {
		l.t.Fatal(err)
	}
	l.rx, l.taken = rx, nil
}

// put has the lane's process send a message; false means that the lane is full.
func (l *fakeLane) put(p []byte) bool {
	err := l.tx.Send(p)
	if err != nil && !errors.Is(err, ring.ErrFull) {
		l.t.Fatal(err)
	}
	return err == nil
}

// puts sends n messages of size bytes each, numbered by their sequence.
func (l *fakeLane) puts(n, size int) {
	l.t.Helper()
	for range n {
		if !l.put(payload(l.tx.NextSeq(), size)) {
			l.t.Fatalf("the origin's lane is full at record %d", l.tx.NextSeq())
		}
	}
}

func (l *fakeLane) Epoch() uint64      { return l.epoch }
func (l *fakeLane) Size() uint64       { return l.region.Size() }
func (l *fakeLane) Next() uint64       { return l.rx.Seq() }
func (l *fakeLane) Consumed() uint64   { return l.confirm }
func (l *fakeLane) Confirm(seq uint64) { l.confirm = max(l.confirm, seq) }
func (l *fakeLane) Ready() bool        { return l.rx.Ready() }

func (l *fakeLane) Held() bool       { return l.held && len(l.taken) > 0 }
func (l *fakeLane) Doubtful() uint64 { return l.doubtful }

func (l *fakeLane) Again() error {
	seq, err := l.rx.Shown()
	l.doubtful = max(l.doubtful, seq)
	return err
}

func (l *fakeLane) First() uint64 {
	seq, err := ring.Released(l.region)
	if err != nil {
		l.t.Fatal(err)
	}
	return seq
}

func (l *fakeLane) Take(recs []ring.Record, maxBytes uint64) (int, error) {
	if l.takeErr != nil {
		return 0, l.takeErr
	}
	for {
		n, err := l.rx.Take(recs, maxBytes)
		if n == 0 {
			return 0, err
		}
		drop := 0
		for drop < n && recs[drop].Seq <= l.dropTo {
			drop++
		}
		if drop > 0 {
			l.rx.ReleaseTo(recs[drop-1].End())
		}
		if drop < n {
			l.taken = append(l.taken, mark{recs[n-1].Seq, recs[n-1].End()})
		}
		if n = copy(recs, recs[drop:n]); n > 0 {
			return n, nil
		}
	}
}

func (l *fakeLane) Release(seq uint64) {
	n := 0
	for n < len(l.taken) && l.taken[n].seq <= seq {
		n++
	}
	if n > 0 {
		l.rx.ReleaseTo(l.taken[n-1].bytes)
		l.taken = append(l.taken[:0], l.taken[n:]...)
	}
}

func (l *fakeLane) Restart() {
	l.restarts++
	l.rx.Restart()
	l.taken = l.taken[:0]
}

// A fakeGen is a generation of a mirrored lane.
type fakeGen struct {
	region ring.Region
	tx     *ring.Tx
	rx     *ring.Rx
	epoch  uint64
}

// A received is a record that the far process has taken.
type received struct {
	epoch, seq uint64
	flags      uint8
	data       []byte
}

// A fakeMirror is a mirrored lane as channel.Sink writes it, with the process
// that reads it. It outlives sessions.
type fakeMirror struct {
	t      testing.TB
	gens   []*fakeGen // the reader is in the first, the relay in the last
	most   uint64     // bytes of the largest ring that it grows to because it is full
	budget uint64     // bytes of the largest ring at all
	life   uint64     // the number with which this life began
	given  bool       // its memory was given back: the next ring is a small one
	addErr error
	endErr error // of Consumed

	open, opens, aborts, grows, tight int
	got                               []received
	gaps                              []wire.Gap
}

func newMirror(t testing.TB, size, epoch, seq uint64, gap []byte) *fakeMirror {
	m := &fakeMirror{t: t, most: 1 << 20, budget: ring.MaxSize, life: seq}
	m.begin(size, epoch, seq, gap)
	return m
}

// begin adds a generation; a gap has the number before seq.
func (m *fakeMirror) begin(size, epoch, seq uint64, gap []byte) {
	if gap != nil {
		seq--
	}
	g := &fakeGen{region: newRegion(m.t, size, seq), epoch: epoch}
	var err, err2 error
	g.tx, err = ring.AttachTx(g.region)
	g.rx, err2 = ring.AttachRx(g.region)
	if err = errors.Join(err, err2); err != nil {
		m.t.Fatal(err)
	}
	if gap != nil {
		b, err := g.tx.ClaimFlagged(len(gap), ring.FlagGap)
		if err != nil {
			m.t.Fatal(err)
		}
		copy(b, gap)
		g.tx.Commit()
	}
	if n := len(m.gens); n > 0 {
		m.gens[n-1].tx.Move()
	}
	m.gens = append(m.gens, g)
}

func (m *fakeMirror) last() *fakeGen { return m.gens[len(m.gens)-1] }

// attach opens the lane for a session; what was not committed is gone.
func (m *fakeMirror) attach() *fakeMirror {
	m.open++
	m.opens++
	if m.open != 1 {
		m.t.Errorf("the mirrored lane is open %d times", m.open)
	}
	tx, err := ring.AttachTx(m.last().region)
	if err != nil {
		m.t.Fatal(err)
	}
	m.last().tx = tx
	return m
}

// usable checks that whoever calls has the lane open.
func (m *fakeMirror) usable() {
	if m.open != 1 {
		m.t.Errorf("the mirrored lane is used and not open")
	}
}

func (m *fakeMirror) Epoch() uint64  { return m.last().epoch }
func (m *fakeMirror) Fresh() bool    { return m.last().tx.NextSeq() == m.life }
func (m *fakeMirror) Stored() uint64 { return m.last().tx.NextSeq() - 1 }

func (m *fakeMirror) Consumed() (uint64, error) {
	if m.gens[0].epoch != m.last().epoch {
		return 0, m.endErr
	}
	seq, err := ring.Released(m.gens[0].region)
	return seq - 1, errors.Join(err, m.endErr)
}

func (m *fakeMirror) Space() (free, size uint64) {
	m.usable()
	if m.given {
		return ring.MinSize, ring.MinSize
	}
	tx := m.last().tx
	return tx.Size() - tx.Used(), tx.Size()
}

func (m *fakeMirror) Renew(epoch, seq uint64, gap []byte) error {
	m.usable()
	if epoch != m.Epoch() {
		m.life = seq
	}
	m.begin(m.last().tx.Size(), epoch, seq, gap)
	return nil
}

func (m *fakeMirror) Grow(n int) error {
	m.usable()
	m.grows++
	if m.given {
		m.given = false
		m.begin(ring.MinSize, m.Epoch(), m.Stored()+1, nil)
	}
	size := m.last().tx.Size()
	to := min(ring.SizeFor(0, 4*ring.RecordSize(n)), ring.MaxSize)
	if n == 0 {
		to = min(4*size, m.most)
	}
	if to <= size || to > m.budget {
		return fmt.Errorf("%w: %d, it has %d", errBudget, to, size)
	}
	m.begin(to, m.Epoch(), m.Stored()+1, nil)
	return nil
}

// Claim counts it as tight when it finds no room: what is within credit has room (L7).
func (m *fakeMirror) Claim(n int, flags uint8) ([]byte, error) {
	m.usable()
	if m.addErr != nil {
		return nil, m.addErr
	}
	b, err := m.last().tx.ClaimFlagged(n, flags)
	if err != nil {
		m.tight++
		m.last().tx.Commit()
		if err = m.Grow(n); err == nil {
			b, err = m.last().tx.ClaimFlagged(n, flags)
		}
	}
	return b, err
}

func (m *fakeMirror) Add(p []byte) error {
	b, err := m.Claim(len(p), 0)
	copy(b, p)
	return err
}

func (m *fakeMirror) Commit() { m.usable(); m.last().tx.Commit() }
func (m *fakeMirror) Abort()  { m.usable(); m.aborts++; m.last().tx.Abort() }
func (m *fakeMirror) Close()  { m.usable(); m.open-- }

// follow has the far process come to the ring's end, and go on in the next one.
func (m *fakeMirror) follow() {
	for m.gens[0].rx.Ready() && m.gens[0].rx.AtEnd() {
		m.gens = m.gens[1:]
	}
}

// read has the far process take up to n messages, and reports how many it took.
func (m *fakeMirror) read(n int) (took int) {
	var rec [1]ring.Record
	for took < n {
		g := m.gens[0]
		k, err := g.rx.TakeOne(&rec)
		if errors.Is(err, ring.ErrMoved) {
			m.gens = m.gens[1:]
			continue
		}
		if err != nil {
			m.t.Fatalf("the mirrored lane cannot be read: %v", err)
		}
		if k == 0 {
			break
		}
		r := received{g.epoch, rec[0].Seq, rec[0].Flags, append([]byte(nil), rec[0].Data...)}
		g.rx.Release(&rec[0], true)
		took++
		if r.flags&ring.FlagGap != 0 {
			gap, err := wire.ParseGap(r.data)
			if err != nil {
				m.t.Errorf("a GAP record: %v", err)
			}
			m.gaps = append(m.gaps, gap)
			continue
		}
		m.got = append(m.got, r)
	}
	return took
}

// payload returns a message of n bytes that says its sequence, as far as it has room.
func payload(seq uint64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(seq>>(8*(i%4))) ^ byte(i*7)
	}
	return p
}

// A refusal is what a host was told of a stream that the peer does not take.
type refusal struct {
	st *Stream
	n  wire.Notice
}

// A fakeHost is a daemon that has any lane to or from anybody.
type fakeHost struct {
	t             testing.TB
	mirrors       map[[2]addr.Addr]*fakeMirror
	size          uint64 // of a new mirrored lane's ring, if not the origin's
	most          uint64
	budget        uint64
	greet         func(h *wire.Hello) *wire.Notice
	joined        *wire.Joined // the answer to JOIN; nil refuses it
	admit         func(src, dst addr.Addr) *wire.Notice
	sinkErr       error
	undeliverable error

	looks          int
	opened, closed []*Inbound
	live           []*Inbound // opened, and not closed
	woken          []*Stream
	refused        []refusal
	rejects        []uint64
	lost           []wire.Gap
}

func newHost(t testing.TB) *fakeHost {
	return &fakeHost{t: t, mirrors: map[[2]addr.Addr]*fakeMirror{}, most: 1 << 20, budget: ring.MaxSize}
}

func (h *fakeHost) Greet(hello *wire.Hello) *wire.Notice {
	if h.greet == nil {
		return nil
	}
	return h.greet(hello)
}

func (h *fakeHost) Join(*wire.Join) (*wire.Joined, *wire.Notice) {
	if h.joined == nil {
		return nil, &wire.Notice{Code: wire.CodeNoCluster}
	}
	return h.joined, nil
}

func (h *fakeHost) Admit(src, dst addr.Addr) *wire.Notice {
	if h.admit == nil {
		return nil
	}
	return h.admit(src, dst)
}

func (h *fakeHost) Sink(src, dst addr.Addr) (Sink, error) {
	if m := h.mirrors[[2]addr.Addr{src, dst}]; m != nil && h.sinkErr == nil {
		return m.attach(), nil
	}
	return nil, h.sinkErr
}

func (h *fakeHost) MakeSink(src, dst addr.Addr, epoch, seq, size uint64, gap []byte) (Sink, error) {
	if h.size != 0 {
		size = h.size
	}
	m := newMirror(h.t, ring.SizeFor(0, min(size, 1<<24)), epoch, seq, gap)
	m.most, m.budget = h.most, h.budget
	h.mirrors[[2]addr.Addr{src, dst}] = m
	return m.attach(), nil
}

func (h *fakeHost) Code(err error) wire.Code {
	if errors.Is(err, errBudget) {
		return wire.CodeBudget
	}
	return wire.CodeDamaged
}

func (h *fakeHost) Look(in *Inbound) {
	h.looks++
	if in.Sink() == nil {
		h.t.Error("a lane is looked at that was let go")
	}
}
func (h *fakeHost) Woken(st *Stream) { h.woken = append(h.woken, st) }
func (h *fakeHost) Opened(in *Inbound) {
	h.opened, h.live = append(h.opened, in), append(h.live, in)
}
func (h *fakeHost) Closed(in *Inbound) {
	if in.Sink() == nil {
		h.t.Error("a lane was let go before the host was told")
	}
	h.closed = append(h.closed, in)
	h.live = slices.DeleteFunc(h.live, func(o *Inbound) bool { return o == in })
}

func (h *fakeHost) Refused(st *Stream, n wire.Notice) { h.refused = append(h.refused, refusal{st, n}) }

func (h *fakeHost) Undeliverable(_ *Stream, rec *ring.Record) error {
	if h.undeliverable == nil {
		h.rejects = append(h.rejects, rec.Seq)
	}
	return h.undeliverable
}

func (h *fakeHost) Lost(_, _ addr.Addr, g *wire.Gap) { h.lost = append(h.lost, *g) }

// only returns the one mirrored lane that the host has.
func (h *fakeHost) only() *fakeMirror {
	h.t.Helper()
	for _, m := range h.mirrors {
		if len(h.mirrors) == 1 {
			return m
		}
	}
	h.t.Fatalf("the host has %d mirrored lanes, want 1", len(h.mirrors))
	return nil
}

var (
	_ Source = (*fakeLane)(nil)
	_ Sink   = (*fakeMirror)(nil)
	_ Host   = (*fakeHost)(nil)
)
