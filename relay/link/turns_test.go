// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay/wire"
)

func addrOf(k int) addr.Addr { return addr.Addr(k) }

// within shows where f is when it takes longer than it may: a loop that makes no
// progress would otherwise be told of by nothing but the end of all tests.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	alarm := time.AfterFunc(limit, func() { panic(fmt.Sprintf("%s: no end after %v", t.Name(), limit)) })
	defer alarm.Stop()
	f()
}

// watch has f called for each complete frame that e reads.
func watch(e *end, f func(h wire.Header, body []byte)) {
	e.read = func(b []byte) {
		at := 0
		for len(b)-at >= wire.HeaderSize {
			h, err := wire.ParseHeader(b[at:])
			if err != nil || at+wire.HeaderSize+h.Length > len(b) {
				break
			}
			f(h, b[at+wire.HeaderSize:at+wire.HeaderSize+h.Length])
			at += wire.HeaderSize + h.Length
		}
	}
}

// A record of 16 MiB does not hold up small ones: between two of those at most what
// one Output gathers is sent.
func TestL9ALargeRecordAndSmallOnesInterleave(t *testing.T) {
	r := newRig(t, func(a, _ *Config) { a.Direct = true })
	large, small := newLane(t, 1<<26, epoch1, 1), newLane(t, 1<<16, epoch1, 1)
	r.open(large, north, south)
	r.open(small, north+1, south)
	st := r.streams[0]
	large.puts(1, maxRecord)
	between, most, seen, before := 0, 0, 0, 0
	watch(r.b, func(h wire.Header, body []byte) {
		switch {
		case h.Type == wire.TypeFrag:
			between += wire.HeaderSize + h.Length
		case h.Type == wire.TypeData && between > 0:
			most = max(most, between)
			before += between
			between = 0
			seen++
		}
	})
	// One small message at a time is there, as of a process that asks and waits.
	for range 10_000 {
		if sent, _ := st.Position(); sent == 1 {
			break
		}
		if !small.Ready() {
			small.puts(1, 64)
		}
		r.poll()
		_, _ = r.a.Tick(r.now)
		r.write(r.a, r.b)
		if err := r.read(r.b); err != nil {
			t.Fatal(err)
		}
		r.now += ms
		r.touch()
		for _, m := range r.b.host.mirrors {
			m.read(100)
		}
		r.write(r.b, r.a)
		if err := r.read(r.a); err != nil {
			t.Fatal(err)
		}
	}
	const gathered = maxOut + wire.MaxFrame
	if seen < 50 || most > gathered {
		t.Errorf("small messages came %d times in between, and waited for %d bytes at most, want %d; %d bytes went before", seen, most, gathered, before)
	}
	m := r.b.host.mirrors[[2]addr.Addr{north, south}]
	m.read(10)
	wantGot(t, m, 1, 1)
}

func TestL9FramesAreNotLarge(t *testing.T) {
	for _, most := range []int{wire.MaxPayload, 4000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) { framesAreAtMost(t, most) })
	}
}

func framesAreAtMost(t *testing.T, most int) {
	rng := testutil.Rand(t)
	r := newRig(t, func(a, b *Config) { a.Payload, b.Payload = most, most })
	l := newLane(t, 1<<22, epoch1, 1)
	r.open(l, north, south)
	frames := 0
	watch(r.b, func(h wire.Header, body []byte) {
		switch h.Type {
		case wire.TypeFrag:
			f, err := wire.ParseFrag(body)
			if err != nil || len(f.Part) > most {
				t.Errorf("FRAG of %d bytes: %v", len(f.Part), err)
			}
		case wire.TypeData:
			if h.Length > most+16 {
				t.Errorf("DATA of %d bytes", h.Length)
			}
		}
		frames++
	})
	total := uint64(0)
	for _, n := range []int{0, 32768 - 9, 32768 - 8, 32768 - 7, 32767, 32768, 32769, 65536, 65537} {
		l.puts(1, n)
		total++
	}
	for range 150 {
		l.puts(1, rng.IntN(9000))
		total++
	}
	r.settle()
	for r.b.host.only().read(1000) > 0 {
		r.touch()
		r.settle()
	}
	wantGot(t, r.b.host.only(), 1, total)
	if frames < 25 {
		t.Errorf("only %d frames were looked at", frames)
	}
}

// While several streams have something to send all the time, each gets the share
// that its priority says.
func TestL9PrioritiesGetTheirShare(t *testing.T) {
	for _, sizes := range [][]int{{64, 64, 64}, {1000, 1000, 1000}, {20_000, 64, 3000}, {100_000, 100_000, 5000}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			h := newHand(t)
			var lanes []*fakeLane
			var streams []*Stream
			priorities := []uint8{0, 1, 6}
			for k, p := range priorities {
				l := newLane(t, 1<<22, epoch1, 1)
				st := h.s.Open(l, south, north+addrOf(k), p, OnConsumed)
				h.only(wire.TypeOpen)
				h.must(stateFrame(wire.TypeResume, st.num, wire.State{Epoch: epoch1, Credit: 1 << 40, Largest: 1 << 30}))
				lanes, streams = append(lanes, l), append(streams, st)
			}
			sent := map[uint32]int{}
			last := make([]uint64, len(lanes))
			for range 400 {
				for k, l := range lanes {
					for l.tx.Size()-l.tx.Used() > 300_000 {
						l.puts(1, sizes[k])
					}
					h.s.Wake(streams[k])
				}
				for _, f := range h.frames() {
					sent[f.Stream] += f.Length
				}
				for k, st := range streams {
					if s, _ := st.Position(); s > last[k] {
						last[k] = s
						h.must(stateFrame(wire.TypeAck, st.num, wire.State{Epoch: epoch1, Stored: s, Consumed: s, Credit: 1 << 40, Largest: 1 << 30}))
					}
				}
			}
			for k, p := range priorities[1:] {
				share := float64(sent[streams[k+1].num]) / float64(sent[streams[0].num])
				if want := float64(p + 1); share < want*0.9 || share > want*1.1 {
					t.Errorf("priority %d gets %.2f times what priority 0 gets, want %.0f", p, share, want)
				}
			}
		})
	}
}

// A stream whose far process takes nothing keeps nobody else from being served,
// and goes on when it does.
func TestL9AStalledStreamHoldsUpNobody(t *testing.T) {
	r := newRig(t, nil)
	r.b.host.size, r.b.host.most = 1<<16, 1<<16
	stalled, flowing := newLane(t, 1<<20, epoch1, 1), newLane(t, 1<<20, epoch1, 1)
	first := r.open(stalled, north, south)
	r.open(flowing, north+1, south)
	stalled.puts(100, 4000)
	r.settle()
	if !first.Stalled() || first.Ready() || r.a.Stats().Stalls == 0 {
		t.Fatalf("the stream is not stalled: %+v", r.a.Stats())
	}
	held, _ := first.Position()
	m := r.b.host.mirrors[[2]addr.Addr{north + 1, south}]
	for range 50 {
		flowing.puts(20, 1000)
		r.consume(m, 1000)
		r.settle()
		r.consume(m, 1000)
	}
	wantGot(t, m, 1, 1000)
	if now, _ := first.Position(); now != held {
		t.Errorf("the stalled stream went from %d to %d", held, now)
	}
	r.a.host.woken = nil
	slow := r.b.host.mirrors[[2]addr.Addr{north, south}]
	for slow.read(3) > 0 {
		r.consume(slow, 0)
	}
	wantGot(t, slow, 1, 100)
	if len(r.a.host.woken) == 0 {
		t.Error("the host is not told that the stream goes on")
	}
}

// Streams wait while as much is in flight as may be, and go on when there is less:
// none is forgotten, and nobody is asked to look after them meanwhile.
func TestL9StreamsWaitWhileMuchIsInFlight(t *testing.T) {
	for _, size := range []int{0, 48, 100, 984, 985, 5000, 60_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			within(t, 5*time.Minute, func() { streamsWait(t, size) })
		})
	}
}

func streamsWait(t *testing.T, size int) {
	const limit = 10_000
	r := newRig(t, func(a, _ *Config) { a.InFlight = limit })
	var lanes []*fakeLane
	for k := range 6 {
		l := newLane(t, 1<<21, epoch1, 1)
		r.open(l, north, south+addrOf(k))
		lanes = append(lanes, l)
	}
	r.settle()
	for _, l := range lanes {
		l.puts(20, size)
	}
	for range 20 { // nothing comes back
		r.poll()
		if r.a.Pending(r.now) {
			r.write(r.a, r.b)
		}
		parked := 0
		for _, st := range r.streams {
			if st.Stalled() {
				parked++
				if st.Ready() {
					t.Error("a stream that waits says that it is ready")
				}
			}
		}
		if parked != len(r.a.parked) {
			t.Fatalf("%d streams wait, %d are noted", parked, len(r.a.parked))
		}
	}
	if most := uint64(limit + max(size+32, wire.MaxPayload)); r.a.Stats().InFlight > most {
		t.Errorf("%d bytes are in flight, want about %d", r.a.Stats().InFlight, limit)
	}
	if r.a.Pending(r.now) {
		t.Error("the session has something to say that it may not say")
	}
	for range 200 {
		_ = r.read(r.b)
		r.settle()
		for _, m := range r.b.host.mirrors {
			m.read(100)
		}
		r.touch()
		r.settle()
	}
	for k := range lanes {
		wantGot(t, r.b.host.mirrors[[2]addr.Addr{north, south + addrOf(k)}], 1, 20)
	}
	if n := r.a.Stats().InFlight; n != 0 || len(r.a.parked) != 0 {
		t.Errorf("%d bytes and %d streams are left", n, len(r.a.parked))
	}
}

// A stream that fills the link and is then refused makes room for the others.
func TestL9ARefusedStreamMakesRoom(t *testing.T) {
	h := newHandBeforeHello(t, Config{Hello: config("south", "").Hello, InFlight: 3000})
	h.must(helloOf("north"))
	h.only(wire.TypeHello)
	state := wire.State{Epoch: epoch1, Credit: 1 << 20, Largest: 1 << 20}
	full, waits := newLane(t, 1<<16, epoch1, 1), newLane(t, 1<<16, epoch1, 1)
	first := h.resume(full, &state)
	second := h.s.Open(waits, south+1, north, 0, OnConsumed)
	h.only(wire.TypeOpen)
	h.must(stateFrame(wire.TypeResume, second.num, state))
	full.puts(1, 4000)
	h.s.Wake(first)
	h.only(wire.TypeData)
	waits.puts(1, 100)
	h.s.Wake(second)
	h.silent()
	if !second.Stalled() {
		t.Fatal("the second stream does not wait")
	}
	h.host.woken = nil
	h.must(wire.AppendNotice(nil, wire.TypeRefuse, first.num, wire.Notice{Code: wire.CodeBudget}))
	if f := h.only(wire.TypeData); f[0].Stream != second.num || len(h.host.woken) != 1 {
		t.Errorf("stream %d goes on, %d are woken", f[0].Stream, len(h.host.woken))
	}
}

// A large record that is given up half sent is not in flight any more.
func TestL9AHalfSentRecordIsNotInFlight(t *testing.T) {
	for _, shut := range []bool{true, false} {
		h := newHand(t)
		l := newLane(t, 1<<22, epoch1, 1)
		st := h.resume(l, &wire.State{Epoch: epoch1, Credit: 1 << 22, Largest: 1 << 20})
		l.puts(1, 1_000_000)
		h.s.Wake(st)
		if got := typesOf(h.frames()); got != "FRAG FRAG FRAG FRAG" || h.s.Stats().InFlight < 1_000_000 {
			t.Fatalf("the session writes %q with %d bytes in flight", got, h.s.Stats().InFlight)
		}
		if shut {
			h.s.Shut(st)
			h.only(wire.TypeClose)
		} else {
			h.must(wire.AppendNotice(nil, wire.TypeRefuse, st.num, wire.Notice{Code: wire.CodeBudget}))
			h.silent()
		}
		if n := h.s.Stats().InFlight; n != 0 || l.First() != 1 {
			t.Errorf("%d bytes are in flight, the origin has record %d", n, l.First())
		}
	}
}

// Large payloads are referred to where they lie, small ones are copied.
func TestDirectOutputIsTheSameBytes(t *testing.T) {
	rng := testutil.Rand(t)
	var written [2][]byte
	sizes := make([]int, 60)
	for i := range sizes {
		sizes[i] = rng.IntN(3 * refFrom)
	}
	sizes[7] = 100_000
	for i, direct := range []bool{false, true} {
		cfg := config("south", "")
		cfg.Direct = direct
		h := newHandBeforeHello(t, cfg)
		h.must(helloOf("north"))
		h.only(wire.TypeHello)
		l := newLane(t, 1<<21, epoch1, 1)
		st := h.resume(l, &wire.State{Epoch: epoch1, Credit: 1 << 30, Largest: 1 << 29})
		for _, n := range sizes {
			l.puts(1, n)
		}
		segments := 0
		for h.s.Wake(st); h.s.Pending(h.now); {
			h.s.Output(&h.out, h.now)
			for _, s := range h.out.Segments {
				written[i] = append(written[i], s...)
				segments++
			}
		}
		if large := segments > 40; large != direct {
			t.Errorf("direct %v: %d segments", direct, segments)
		}
	}
	if string(written[0]) != string(written[1]) {
		t.Errorf("%d and %d bytes are written, and not the same", len(written[0]), len(written[1]))
	}
}
