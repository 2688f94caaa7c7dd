// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
)

// The states that a session under fuzz begins in.
const (
	fuzzBeforeHello = iota
	fuzzUp
	fuzzFarSide // with streams from the peer
	fuzzOrigin  // with streams to the peer
	fuzzBoth
	fuzzStates
)

// A fuzzed is a session with a peer that sends anything.
type fuzzed struct {
	*hand
	lanes   []*fakeLane
	streams []*Stream
}

// newFuzzed brings a session into a state: streams 1 to 3 from the peer, of which 2
// is closed and 3 in the middle of a large record; and 1 to 3 to it, of which 1 has
// records in flight, 2 is shut and 3 waits for RESUME.
func newFuzzed(t testing.TB, state byte) *fuzzed {
	cfg := config("south", "north")
	cfg.InFlight, cfg.Direct = 3000, true
	cfg.Hello.MaxRecord, cfg.Answers = 1<<14, state%2 == 0
	f := &fuzzed{hand: newHandBeforeHello(t, cfg)}
	f.host.joined = &wire.Joined{Cluster: "games", Members: []wire.Member{{Name: "east"}}}
	f.host.size, f.host.most, f.host.budget = 1<<12, 1<<13, 1<<16
	if state %= fuzzStates; state == fuzzBeforeHello {
		f.open(3)
		return f
	}
	f.must(helloOf("north"))
	if state == fuzzFarSide || state == fuzzBoth {
		for num := uint32(1); num <= 3; num++ {
			f.must(openFrame(num, epoch1, 1))
		}
		f.must(dataFrame(1, epoch1, 1, 10, 10, 10), wire.AppendClose(nil, 2, epoch1), fragFrame(3, epoch1, 1, 1000, 0, 500))
	}
	if state == fuzzOrigin || state == fuzzBoth {
		f.open(3)
		st := wire.State{Epoch: epoch1, Credit: 3000, Largest: 1024}
		f.must(stateFrame(wire.TypeResume, 1, st), stateFrame(wire.TypeResume, 2, st))
		f.s.Wake(f.streams[0])
		f.s.Shut(f.streams[1])
	}
	f.drain()
	return f
}

func (f *fuzzed) open(n int) {
	for k := range n {
		l := newLane(f.t, 1<<12, epoch1, 1)
		l.puts(6, 100)
		f.lanes = append(f.lanes, l)
		f.streams = append(f.streams, f.s.Open(l, south+addr.Addr(k), north, uint8(k), Release(k%2)))
	}
}

// feed gives the session bytes in pieces of at most chunk, with all that a daemon
// does in between, and checks what comes out.
func (f *fuzzed) feed(data []byte, chunk int) {
	var unread []byte
	for len(data) > 0 && f.s.Err() == nil {
		n := min(chunk, len(data))
		unread = append(unread, data[:n]...)
		data = data[n:]
		used, err := f.s.Input(unread, f.now)
		if used < 0 || used > len(unread) {
			f.t.Fatalf("of %d bytes %d were taken", len(unread), used)
		}
		unread = unread[used:]
		var refused *RefusedError
		if err != nil && !errors.Is(err, wire.ErrProtocol) && !errors.Is(err, ErrOver) && !errors.As(err, &refused) {
			f.t.Fatalf("the session ended with %v", err)
		}
		if (err != nil) != (f.s.Err() != nil) || err != nil && f.s.Up() {
			f.t.Fatalf("Input says %v, Err %v, Up %v", err, f.s.Err(), f.s.Up())
		}
		f.daemon()
	}
	f.finish()
}

// daemon does what goes on beside what comes in.
func (f *fuzzed) daemon() {
	f.now += AckAfter / 2
	for _, st := range f.streams {
		if st.Ready() {
			f.s.Wake(st)
		}
		if sent, stored := st.Position(); stored > sent {
			f.t.Fatalf("%d records are stored, %d were sent", stored, sent)
		}
	}
	for _, in := range f.host.live {
		if m := in.Sink().(*fakeMirror); m.read(1) > 0 {
			f.s.Touch(in, f.now)
		}
	}
	_, _ = f.s.Tick(f.now)
	f.drain() // which parses it
}

// finish ends the session, and looks at the lanes: no record is there that was
// not whole and in order, and nothing was let go but what was there.
func (f *fuzzed) finish() {
	if err := f.s.Err(); errors.Is(err, wire.ErrProtocol) {
		if err := f.send(helloOf("north")); err == nil {
			f.t.Fatal("a session that is over takes frames")
		}
	}
	f.s.Close()
	if len(f.host.live) != 0 {
		f.t.Fatalf("%d lanes stay open", len(f.host.live))
	}
	for _, m := range f.host.mirrors {
		if m.open != 0 {
			f.t.Fatalf("a lane is open %d times", m.open)
		}
		m.read(1 << 20) // which fails if the ring is not whole
		for i, g := range m.got {
			if i > 0 && g.epoch == m.got[i-1].epoch && g.seq <= m.got[i-1].seq {
				f.t.Fatalf("record %d after %d", g.seq, m.got[i-1].seq)
			}
		}
	}
	for _, l := range f.lanes {
		if l.First() > l.tx.NextSeq() {
			f.t.Fatalf("the origin has let go up to %d of %d records", l.First(), l.tx.NextSeq())
		}
	}
	if n := f.s.Stats().InFlight; n != 0 {
		f.t.Fatalf("%d bytes are in flight in the end", n)
	}
}

// fuzzFrames are frames that a peer may send to one of the sessions in some state.
func fuzzFrames() [][]byte {
	state := wire.State{Epoch: epoch1, Stored: 4, Consumed: 2, Credit: 9000, Largest: 4096}
	open := openFrame(4, epoch1+1, 3)
	copy(open[wire.HeaderSize:], openFrame(9, epoch1+1, 3)[wire.HeaderSize:])
	return [][]byte{
		helloOf("north"),
		openFrame(4, epoch1, 1), open, openFrame(5, epoch1, 40),
		dataFrame(1, epoch1, 4, 0, 64, 500), dataFrame(1, epoch1, 3, 10, 10), dataFrame(4, epoch1, 1, 900),
		fragFrame(3, epoch1, 1, 1000, 500, 1000), fragFrame(1, epoch1, 4, 900, 0, 300), fragFrame(1, epoch1, 4, 900, 300, 900),
		wire.AppendGap(nil, 1, &wire.Gap{Epoch: epoch1, From: 4, To: 9, Reason: ReasonDiscarded, Text: "discarded"}),
		wire.AppendGap(nil, 4, &wire.Gap{Epoch: epoch1, From: 1, To: 3, Reason: ReasonElsewhere}),
		wire.AppendWant(nil, 1, epoch1, 10_000), wire.AppendWant(nil, 1, epoch1, 1<<15), wire.AppendClose(nil, 1, epoch1),
		stateFrame(wire.TypeResume, 3, wire.State{Epoch: epoch1, Stored: 1, Consumed: 1, Credit: 4000, Largest: 1024}),
		wire.AppendState(nil, wire.TypeResume, wire.FlagUnknown, 3, &wire.State{Epoch: epoch1, Credit: 4000, Largest: 1024}),
		stateFrame(wire.TypeAck, 1, state), stateFrame(wire.TypeAck, 3, wire.State{Epoch: epoch1, Credit: 1 << 60}),
		wire.AppendNotice(nil, wire.TypeRefuse, 1, wire.Notice{Code: wire.CodeBudget, Text: "no memory"}),
		wire.AppendNotice(nil, wire.TypeRefuse, 0, wire.Notice{Code: wire.CodeBusy}),
		wire.AppendPing(nil, wire.TypePing, 7), wire.AppendPing(nil, wire.TypePong, 1e12),
		wire.AppendNotice(nil, wire.TypeBye, 0, wire.Notice{Code: wire.CodeStopping}),
		wire.AppendJoin(nil, &wire.Join{Lowest: 1, Highest: 1, Host: "north"}),
		wire.AppendJoined(nil, &wire.Joined{Version: 1, Cluster: "games", Members: []wire.Member{{Name: "east", Client: "10.0.0.1:7101"}}}),
	}
}

// FuzzSession feeds any bytes to a session in each of its states.
func FuzzSession(f *testing.F) {
	all := bytes.Join(fuzzFrames(), nil)
	for state := range byte(fuzzStates) {
		f.Add(state, byte(255), all)
		f.Add(state, byte(3), []byte("GET / HTTP/1.1\r\n\r\n"))
		for _, frame := range fuzzFrames() {
			f.Add(state, byte(len(frame)), frame)
		}
	}
	f.Fuzz(func(t *testing.T, state, chunk byte, data []byte) {
		if len(data) > 1<<14 {
			t.Skip("too long to be quick")
		}
		newFuzzed(t, state).feed(data, 1+16*int(chunk))
	})
}

// FuzzConversation has the peer send valid frames in any order, each with a few
// bytes that are changed: its header stays whole, so that the change gets far.
//
// Four bytes of the script are one frame: which, the stream that it is of (0 as it
// is), where a byte is changed (0 nowhere), and to what.
func FuzzConversation(f *testing.F) {
	frames := fuzzFrames()
	var script []byte
	for k := range frames {
		script = append(script, byte(k), 0, 0, 0)
	}
	for state := range byte(fuzzStates) {
		f.Add(state, script[:len(script)-8])
		f.Add(state, script[4:])
		f.Add(state, []byte{1, 0, 0, 0, 6, 0, 0, 0, 6, 0, 8, 2, 15, 0, 0, 0, 17, 0, 9, 0})
		f.Add(state, []byte{8, 0, 0, 0, 9, 0, 20, 1, 10, 0, 0, 0, 14, 0, 0, 0, 4, 0, 0, 0, 2, 7, 0, 0})
	}
	f.Fuzz(func(t *testing.T, state byte, script []byte) {
		if len(script) > 1<<10 {
			t.Skip("too long to be quick")
		}
		var data []byte
		for ; len(script) >= 4; script = script[4:] {
			frame := bytes.Clone(frames[int(script[0])%len(frames)])
			if num := script[1]; num != 0 && binary.LittleEndian.Uint32(frame[8:]) != 0 {
				frame[8] = num%8 + 1
			}
			if at := int(script[2]); at != 0 && len(frame) > wire.HeaderSize {
				frame[wire.HeaderSize+(at-1)%(len(frame)-wire.HeaderSize)] = script[3]
			}
			data = append(data, frame...)
		}
		newFuzzed(t, state).feed(data, 200)
	})
}
