// SPDX-License-Identifier: Apache-2.0

package room

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

var (
	gateAt  = addr.MustParse("0.0.1.1")
	roomAt  = addr.MustParse("0.0.2.1")
	storeAt = addr.MustParse("0.0.3.1")
)

// A lab is a bus with a store, a room process, and something in place of a gate that writes down what rooms send.
type lab struct {
	t     *testing.T
	d     *skybus.Domain
	plan  Plan
	gate  *node.Node
	rooms *node.Node

	mu       sync.Mutex
	events   []*wire.Event
	delivers int
	next     map[gate.Client]uint64
}

func newLab(t *testing.T) *lab {
	if err := register(); err != nil {
		t.Fatal(err)
	}
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l := &lab{t: t, d: d, plan: Plan{Rooms: []addr.Addr{roomAt}, Shards: 2, Store: storeAt}, next: map[gate.Client]uint64{}}
	db, err := store.Open(filepath.Join(t.TempDir(), "chat.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	l.start(storeAt, actor.Spec{Name: store.Name, New: store.New(db, slog.Default())})
	l.gate = l.start(gateAt, actor.Spec{Name: gate.ServiceName, New: actor.Func(func(_ *actor.Context, m *actor.Message) error {
		if deliver, ok := m.Value.(*gate.Deliver); ok {
			l.take(deliver)
		}
		return nil
	})})
	l.startRooms()
	return l
}

func register() error {
	for _, f := range []func(*codec.Registry) error{gate.Register, store.Register, Register} {
		if err := f(codec.Default); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) start(at addr.Addr, services ...actor.Spec) *node.Node {
	l.t.Helper()
	n, err := node.Start(l.d, at, node.Config{Services: services})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(n.Close)
	return n
}

func (l *lab) startRooms() {
	l.rooms = l.start(roomAt, l.plan.Services(0, Config{Log: slog.Default(), Tick: 5 * time.Millisecond})...)
}

// restart ends the room process without a word, and starts another one. What was answered last may not be released by then, and comes again:
// that is nonsense.
func (l *lab) restart() {
	at := l.mark()
	l.packets(client(1<<20), wire.Request{T: "nonsense"})
	l.wait(at, of(wire.Error))
	l.rooms.Close()
	l.startRooms()
}

// take writes down the packets of a Deliver: JSON objects among other bytes.
func (l *lab) take(d *gate.Deliver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivers++
	for b := d.Ops; ; {
		i := bytes.Index(b, []byte(`{"t":`))
		if i < 0 {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(b[i:]))
		e := new(wire.Event)
		if err := dec.Decode(e); err != nil {
			l.t.Errorf("a packet that is no event: %v", err)
			return
		}
		l.events = append(l.events, e)
		b = b[i+int(dec.InputOffset()):]
	}
}

// packets sends what a client says to its front, as the gate does, and returns the number of the last one.
func (l *lab) packets(c gate.Client, requests ...wire.Request) uint64 {
	first := l.next[c] + 1
	l.next[c] += uint64(len(requests))
	l.packetsAs(c, first, requests...)
	return l.next[c]
}

func (l *lab) packetsAs(c gate.Client, first uint64, requests ...wire.Request) {
	l.t.Helper()
	p := &gate.Packets{Client: c, First: first}
	for i := range requests {
		data, err := requests[i].Encode()
		if err != nil {
			l.t.Fatal(err)
		}
		p.Data = append(p.Data, data)
	}
	l.front(p)
}

func (l *lab) front(v any) {
	l.t.Helper()
	if err := l.gate.Runtime().Send(context.Background(), node.At(roomAt), node.Named{Name: FrontName, Value: v}); err != nil {
		l.t.Fatal(err)
	}
}

// wait returns the first event from the place at on that fits, and the place behind it.
func (l *lab) wait(at int, fits func(*wire.Event) bool) (*wire.Event, int) {
	for {
		l.mu.Lock()
		for ; at < len(l.events); at++ {
			if e := l.events[at]; fits(e) {
				l.mu.Unlock()
				return e, at + 1
			}
		}
		l.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func of(kind string) func(*wire.Event) bool {
	return func(e *wire.Event) bool { return e.T == kind }
}

func (l *lab) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

func join(name string) wire.Request { return wire.Request{T: wire.Join, Room: "lobby", Name: name} }

func saying(c, text string) wire.Request {
	return wire.Request{T: wire.Say, Room: "lobby", C: c, Text: text}
}

func TestWhatComesAgain(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	ann, bob := client(1), client(2)
	l.packets(ann, join("Ann"), saying("a1", "one"))
	number := l.packets(ann, saying("a2", "two"))
	e, at := l.wait(0, func(e *wire.Event) bool { return e.T == wire.Msg && e.Text == "two" })
	if e.N != 2 || e.Name != "Ann" || e.From != ann.String() || e.Again {
		t.Fatalf("the second message is %+v", e.Message)
	}
	_, at = l.wait(at, func(e *wire.Event) bool { return e.T == wire.Saved && e.Saved == 2 })

	again := func(what string) {
		t.Helper()
		at = l.mark()
		l.packetsAs(ann, number, saying("a2", "two"))
		e, at = l.wait(at, of(wire.Msg))
		if e.N != 2 || !e.Again || e.Text != "two" {
			t.Errorf("%s: %+v, again %v, want number 2, again", what, e.Message, e.Again)
		}
	}
	again("the packet comes again")
	l.restart()
	again("the packet comes again, to another process")

	// The next one has the next number, and who joins sees all.
	l.packets(ann, saying("a3", "three"))
	fresh := func(e *wire.Event) bool { return e.T == wire.Msg && !e.Again } // what the process before had answered, and not released, comes again
	if e, at = l.wait(at, fresh); e.N != 3 {
		t.Errorf("the message after a restart has number %d", e.N)
	}
	l.packets(bob, join("Bob"))
	if e, at = l.wait(at, of(wire.Joined)); e.Count != 2 || e.Last != 3 || len(e.Messages) != 3 {
		t.Errorf("who joins hears %+v", e)
	}
	// Ann's session has ended, and she says in a new one what she is not sure of.
	l.front(&gate.Closed{Client: ann})
	_, at = l.wait(at, func(e *wire.Event) bool { return e.T == wire.Presence && slices.Contains(e.Out, ann.String()) })
	anew := client(3)
	l.packets(anew, wire.Request{T: wire.Join, Room: "lobby", Name: "Ann", Have: 2}, saying("a3", "three"), saying("a4", "four"))
	if e, at = l.wait(at, of(wire.Joined)); len(e.Messages) != 1 || e.Messages[0].N != 3 {
		t.Errorf("who has 2 of 3 messages gets %+v", e.Messages)
	}
	if e, at = l.wait(at, of(wire.Msg)); e.N != 3 || !e.Again {
		t.Errorf("a message of a session before: %+v, again %v, want number 3", e.Message, e.Again)
	}
	if e, _ = l.wait(at, of(wire.Msg)); e.N != 4 || e.Again {
		t.Errorf("then comes %+v, want number 4", e.Message)
	}
}

func TestRefusals(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	at := 0
	for _, r := range []wire.Request{
		saying("x", "not a member"),
		{T: wire.Say, Room: "lobby", C: "y"},
		{T: wire.Members, Room: "nowhere", Limit: 5},
		{T: wire.History, Room: "lobby", Limit: 5},
		{T: "dance"},
		join("\x00"),
	} {
		l.packets(client(1), r)
		e, next := l.wait(at, of(wire.Error))
		if at = next; e.Why == "" || e.About != r.C {
			t.Errorf("%+v: %+v", r, e)
		}
	}
	most := mostJoined / l.plan.Shards
	for i, n := 0, 0; n <= most; i++ { // more rooms of one service than a session may be in
		r := join("Ann")
		r.Room = "room" + strconv.Itoa(i)
		if l.plan.Shard(r.Room) != 0 {
			continue
		}
		l.packets(client(1), r)
		if n++; n <= most {
			_, at = l.wait(at, of(wire.Joined))
		}
	}
	if e, _ := l.wait(at, of(wire.Error)); e.Room == "" {
		t.Errorf("in too many rooms: %+v", e)
	}
}

// A room of 5,000: what is said goes out in one message, whoever comes is told as a number, and pages have all of them. So it is
// after a restart.
func TestFiveThousandMembers(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	const all = 5000
	for i := 1; i <= all; i++ {
		l.packets(client(i), join(fmt.Sprintf("member %04d", i)))
	}
	at := 0
	for range all {
		_, at = l.wait(at, of(wire.Joined))
	}
	crowd := func(e *wire.Event) bool { return e.T == wire.Presence && e.Count == all }
	e, _ := l.wait(0, crowd)
	if len(e.In) != 0 || !e.More {
		t.Errorf("presence of %d members names %d", e.Count, len(e.In))
	}
	for _, life := range []string{"first", "second"} {
		at = l.mark()
		l.packets(client(17), saying(life, "hello, all"))
		l.wait(at, of(wire.Msg))
		l.wait(at, of(wire.Saved))
		l.mu.Lock()
		n := 0
		for _, e := range l.events[at:] {
			if e.T == wire.Msg {
				n++
			}
		}
		l.mu.Unlock()
		if n != 1 {
			t.Errorf("in its %s life the room sends %d packets for one message", life, n)
		}
		seen := map[string]bool{}
		for after := ""; ; {
			l.packets(client(17), wire.Request{T: wire.Members, Room: "lobby", After: after, Limit: wire.MaxPage})
			e, at = l.wait(at, of(wire.Members))
			for _, m := range e.Members {
				seen[m.Name] = true
			}
			if e.Count != all {
				t.Fatalf("in its %s life the room has %d members", life, e.Count)
			}
			if after = e.Next; after == "" {
				break
			}
		}
		if len(seen) != all {
			t.Errorf("in its %s life pages have %d members", life, len(seen))
		}
		l.restart()
	}
}

// History comes from memory where that reaches, and else from the store.
func TestHistory(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	l.packets(client(1), join("Ann"))
	const all = 3*keep + 10
	for n := 1; n <= all; n++ {
		l.packets(client(1), saying(fmt.Sprint("c", n), fmt.Sprint("text ", n)))
	}
	at := 0
	for last := uint64(0); last < all; {
		var e *wire.Event
		e, at = l.wait(at, of(wire.Msg))
		if e.N != last+1 || e.Text != fmt.Sprint("text ", e.N) {
			t.Fatalf("message %d is %+v", last+1, e.Message)
		}
		last = e.N
	}
	for _, c := range []struct {
		before uint64
		after  string
		first  uint64
		n      int
		more   bool
	}{
		{0, "", all - 9, 10, true},
		{11, "", 1, 10, true}, // that there is nothing before 1, the next page says
		{1, "", 0, 0, false},
		{0, "0", 1, 10, true},
		{0, strconv.Itoa(all - 3), all - 2, 3, false},
		{0, strconv.Itoa(all), 0, 0, false},
		{0, strconv.Itoa(all - 20), all - 19, 10, true},
	} {
		l.packets(client(1), wire.Request{T: wire.History, Room: "lobby", Before: c.before, After: c.after, Limit: 10})
		var e *wire.Event
		e, at = l.wait(at, of(wire.History))
		if len(e.Messages) != c.n || e.More != c.more || c.n > 0 && e.Messages[0].N != c.first {
			t.Errorf("before %d, after %q: %d messages, more %v: %+v; want %d from %d, more %v", c.before, c.after, len(e.Messages), e.More, e.Messages, c.n, c.first, c.more)
		}
	}
}
