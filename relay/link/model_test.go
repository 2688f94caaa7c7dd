// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay/wire"
)

// A world is two hosts with lanes in both directions, joined by two pipes that take
// and give what chance says. What is stored outlives sessions.
type world struct {
	t     testing.TB
	rng   *rand.Rand
	now   int64
	ends  [2]*end
	lanes []*modelLane
	calm  bool // no more faults
	cuts  int
	log   []string
}

// A modelLane is a lane with what its two processes know.
type modelLane struct {
	*fakeLane
	from     int // which end is its origin
	src, dst addr.Addr
	priority uint8
	release  Release
	stream   *Stream // nil while it is refused or there is no connection
	expect   uint64  // the far process gets this next
	dropped  uint64  // an operator has discarded up to here
	tooBig   map[uint64]bool
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: 1e12}
	names := [2]string{"north", "south"}
	for k := range w.ends {
		e := &end{host: newHost(t), cfg: config(names[k], names[1-k])}
		e.cfg.Direct = w.rng.IntN(2) == 0
		if w.rng.IntN(2) == 0 {
			e.cfg.InFlight = uint64(500 + w.rng.IntN(20_000))
		}
		if w.rng.IntN(3) == 0 {
			e.cfg.Hello.MaxRecord = uint32(2000 + w.rng.IntN(4000))
		}
		e.host.size = 1 << (11 + w.rng.IntN(4))
		e.host.most = e.host.size << (2 * w.rng.IntN(2))
		w.ends[k] = e
	}
	for k := range 1 + w.rng.IntN(4) {
		l := &modelLane{
			fakeLane: newLane(t, 1<<15, epoch1+uint64(k), 1), from: w.rng.IntN(2), src: north + addr.Addr(k), dst: south + addr.Addr(w.rng.IntN(2)),
			priority: uint8(w.rng.IntN(9)), release: Release(w.rng.IntN(2)), expect: 1, tooBig: map[uint64]bool{},
		}
		w.lanes = append(w.lanes, l)
	}
	w.connect()
	return w
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// connect throws the sessions away, with what is in the pipes, and makes new ones.
func (w *world) connect() {
	w.note("connect")
	for _, e := range w.ends {
		if e.Session != nil {
			e.Close()
		}
		if n := len(e.host.live); n != 0 {
			w.t.Errorf("%d lanes are open and no session is", n)
		}
		e.host.refused = nil
		e.Session, e.in = New(&e.cfg, e.host, w.now), nil
	}
	for _, l := range w.lanes {
		if w.rng.IntN(3) == 0 {
			l.attach() // the daemon is a new one, too
		}
		if l.stream = nil; w.rng.IntN(4) > 0 {
			w.open(l)
		}
	}
}

func (w *world) open(l *modelLane) {
	l.stream = w.ends[l.from].Open(l, l.src, l.dst, l.priority, l.release)
}

func (w *world) mirror(l *modelLane) *fakeMirror {
	return w.ends[1-l.from].host.mirrors[[2]addr.Addr{l.src, l.dst}]
}

// step does one thing.
func (w *world) step() {
	l := w.lanes[w.rng.IntN(len(w.lanes))]
	k := w.rng.IntN(2)
	switch n := w.rng.IntN(100); {
	case n < 15:
		w.send(l)
	case n < 40:
		w.write(k)
	case n < 75:
		w.read(k)
	case n < 85:
		w.consume(l)
	case n < 92:
		w.now += w.rng.Int64N(2 * ms)
	case n < 94:
		if l.stream == nil {
			w.open(l)
		}
	case w.calm:
	case n < 95:
		w.fault(l)
	case n < 96 && w.rng.IntN(3) == 0:
		w.cuts++
		w.connect()
	}
	w.refusals(k)
}

// send has a lane's process send a message, if the lane has room.
func (w *world) send(l *modelLane) {
	if w.calm {
		return
	}
	n := w.rng.IntN(200)
	switch w.rng.IntN(10) {
	case 0:
		n = w.rng.IntN(7000)
	case 1:
		n = 0
	}
	for range 1 + w.rng.IntN(4) {
		if seq := l.tx.NextSeq(); l.put(payload(seq, n)) && n > int(w.ends[1-l.from].cfg.Hello.MaxRecord) {
			l.tooBig[seq] = true
		}
	}
}

// write has end k write what it has to say, unless its pipe is full.
func (w *world) write(k int) {
	e, to := w.ends[k], w.ends[1-k]
	for _, l := range w.lanes {
		if l.from == k && l.stream != nil && l.stream.Ready() {
			e.Wake(l.stream)
		}
	}
	if _, err := e.Tick(w.now); err != nil {
		w.over(e)
		return
	}
	if len(to.in) > 100_000 || !e.Pending(w.now) {
		return
	}
	e.Output(&e.out, w.now)
	for _, s := range e.out.Segments {
		to.in = append(to.in, s...)
	}
}

// read has end k read a part of what is in its pipe.
func (w *world) read(k int) {
	e := w.ends[k]
	n := len(e.in)
	if n > 0 && w.rng.IntN(3) > 0 {
		n = 1 + w.rng.IntN(n)
	}
	used, err := e.Input(e.in[:n:n], w.now)
	e.in = e.in[used:]
	if err != nil {
		w.over(e)
	}
}

// over makes sure that a session ended as one may.
func (w *world) over(e *end) {
	if err := e.Err(); !errors.Is(err, ErrOver) {
		w.t.Fatalf("a session ended with %v", err)
	}
	w.connect()
}

// consume has the far process take some messages, and perhaps the relay be told.
func (w *world) consume(l *modelLane) {
	m := w.mirror(l)
	if m == nil {
		return
	}
	for range w.rng.IntN(20) {
		got, gaps := len(m.got), len(m.gaps)
		if m.read(1) == 0 {
			break
		}
		if len(m.gaps) > gaps {
			w.passed(l, &m.gaps[gaps])
			continue
		}
		w.arrived(l, &m.got[got])
	}
	for _, in := range w.ends[1-l.from].host.live {
		if in.Src == l.src && in.Dst == l.dst {
			w.ends[1-l.from].Touch(in, w.now)
		}
	}
}

// arrived checks that a message is the next one, and whole.
func (w *world) arrived(l *modelLane, g *received) {
	if g.seq != l.expect || g.epoch != l.epoch || !bytes.Equal(g.data, payload(g.seq, len(g.data))) {
		w.t.Fatalf("%v -> %v: message %d of epoch %d with %d bytes arrived where %d of %d was expected", l.src, l.dst, g.seq, g.epoch, len(g.data), l.expect, l.epoch)
	}
	if l.tooBig[g.seq] {
		w.t.Fatalf("%v -> %v: message %d arrived, which is larger than may be", l.src, l.dst, g.seq)
	}
	l.expect++
}

// passed checks that nothing is missing but what may be.
func (w *world) passed(l *modelLane, g *wire.Gap) {
	if g.From != l.expect || g.To >= l.tx.NextSeq() {
		w.t.Fatalf("%v -> %v: a gap from %d to %d where %d was expected", l.src, l.dst, g.From, g.To, l.expect)
	}
	for seq := g.From; seq <= g.To; seq++ {
		if !l.tooBig[seq] && seq > l.dropped {
			w.t.Fatalf("%v -> %v: message %d is in a gap because of %d", l.src, l.dst, seq, g.Reason)
		}
	}
	l.expect = g.To + 1
}

// fault does what happens without a cut.
func (w *world) fault(l *modelLane) {
	far := w.ends[1-l.from]
	switch w.rng.IntN(5) {
	case 0: // an operator discards what is queued
		if w.rng.IntN(4) == 0 {
			l.dropTo = l.tx.NextSeq() - 1
			l.dropped = l.dropTo
		}
	case 1: // the routes lead elsewhere for a while
		if l.stream != nil {
			w.ends[l.from].Shut(l.stream)
			l.stream = nil
		}
	case 2: // the far side does not take the lane any more
		if n := len(far.host.live); n > 0 {
			far.Dismiss(far.host.live[w.rng.IntN(n)])
		}
	case 3: // the disk is full, or not any more
		host := w.ends[l.from].host
		if host.undeliverable == nil {
			host.undeliverable = errors.New("no space")
		} else {
			host.undeliverable = nil
		}
	case 4:
		w.ends[l.from].End(wire.Notice{Code: wire.CodeStopping})
	}
}

// refusals forgets the streams that end k was told are not taken.
func (w *world) refusals(k int) {
	host := w.ends[k].host
	for _, r := range host.refused {
		for _, l := range w.lanes {
			if l.stream == r.st {
				w.note("%v -> %v is refused: %v %s", l.src, l.dst, r.n.Code, r.n.Text)
				l.stream = nil
			}
		}
	}
	host.refused = nil
}

// done reports whether everything has arrived and the origins have let it go.
func (w *world) done() bool {
	for _, l := range w.lanes {
		last := l.tx.NextSeq()
		told := l.expect == last || l.dropped == last-1 // a gap at the end is told with the next message
		if !told || l.First() != last {
			return false
		}
	}
	return w.ends[0].Stats().InFlight+w.ends[1].Stats().InFlight == 0
}

// settle lets the world come to rest.
func (w *world) settle() {
	w.calm = true
	for _, e := range w.ends {
		e.host.undeliverable = nil
	}
	for range 40_000 {
		if w.step(); w.done() {
			return
		}
	}
	for _, l := range w.lanes {
		w.t.Errorf("%v -> %v: the far process expects %d, the origin still has %d, the last sent was %d; flows: %v", l.src, l.dst, l.expect, l.First(), l.tx.NextSeq()-1, l.stream != nil && l.stream.Flowing())
	}
	w.t.Fatalf("the world does not come to rest: %+v %+v", w.ends[0].Stats(), w.ends[1].Stats())
}

// Two hosts whose connection is cut at any time, into any pieces: each message
// arrives once, in order and whole, or is in a gap that says why.
func TestModel(t *testing.T) {
	seeds := 2000
	if testing.Short() {
		seeds = 200
	}
	first := testutil.Seed(t)
	cuts, messages, gaps, refused := 0, uint64(0), 0, 0
	for k := range seeds {
		w := newWorld(t, first+uint64(k))
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d; %q", first+uint64(k), w.log)
				}
			}()
			for range 200 + w.rng.IntN(1500) {
				w.step()
			}
			w.settle()
		}()
		cuts += w.cuts
		refused += len(w.log)
		for _, l := range w.lanes {
			messages += l.tx.NextSeq() - 1
			if m := w.mirror(l); m != nil {
				gaps += len(m.gaps)
			}
		}
		for _, e := range w.ends {
			e.Close()
			if len(e.host.live) != 0 {
				t.Fatalf("seed %d: %d lanes stay open", first+uint64(k), len(e.host.live))
			}
		}
	}
	t.Logf("%d messages, %d cuts, %d gaps, %d connections and refusals", messages, cuts, gaps, refused)
	if messages < uint64(30*seeds) || cuts < seeds || gaps < seeds/10 {
		t.Errorf("in %d runs there were %d messages, %d cuts and %d gaps: too few", seeds, messages, cuts, gaps)
	}
}
