// SPDX-License-Identifier: Apache-2.0

// Package talk is a chat client for programs: it joins rooms, says things, and checks what it gets.
//
// A Talker knows the rules of README.md: messages of a room count from 1, without gaps. What comes twice
// unflagged, or leaves numbers out, is counted as a fault, and what was missed is fetched from the history.
package talk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/wire"
)

// A Line is the way to the gate. Send may be called by any goroutine; false: there is no session at present, and
// Begun will be called.
type Line interface {
	Send(packet []byte) bool
}

// An Own is a message that the talker has said.
type Own struct {
	C, Room, Text string
	N             uint64 // its number; 0: it has not come back yet
	Saved         bool
	Failed        string // why it was refused
	Sent          time.Time
	Delay         time.Duration // until it came back

	era int // the session that it was said in
}

// Faults count what must not be.
type Faults struct {
	Doubled   uint64 // messages that came twice, unflagged
	Gaps      uint64 // times that numbers were left out within a session
	Changed   uint64 // own messages that came back as something else, or with two numbers
	Malformed uint64 // packets that are none
}

// Counts count what came.
type Counts struct {
	Messages uint64 // each once
	Again    uint64 // that were known, and flagged so
	Caught   uint64 // that came by history
	Sessions int
}

// A Talker is one client. Any goroutine may use it.
type Talker struct {
	line Line
	id   string // distinguishes its messages from all others

	mu     sync.Mutex
	name   string
	rooms  map[string]*heard
	own    map[string]*Own
	order  []*Own // the same, as they were said
	said   int
	era    int
	counts Counts
	faults Faults
	news   chan struct{} // closed when something has changed

	// Events gets everything that comes, if it is not nil, in order. It is called with no lock held, and set before the line begins.
	Events func(*wire.Event)
}

// heard is what a talker knows of a room.
type heard struct {
	joined bool
	left   bool // it is on its way out: what was said before still comes back
	last   uint64
	saved  uint64
	count  int
	asked  bool
	ahead  map[uint64]bool // came behind a gap: all behind last is asked for, so nothing but their number is kept
}

// New returns a talker without a line.
func New(name string) *Talker {
	return &Talker{
		name: name, id: strconv.FormatUint(rand.Uint64(), 36),
		rooms: map[string]*heard{}, own: map[string]*Own{}, news: make(chan struct{}),
	}
}

// Begun says that a session has begun on the line. Later ones find out what was missed between.
func (t *Talker) Begun(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line = l
	t.era++
	t.counts.Sessions++
	for name, r := range t.rooms {
		if r.left {
			delete(t.rooms, name)
			continue
		}
		r.asked, r.joined = false, false
		t.join(name, r)
	}
}

// Join joins a room.
func (t *Talker) Join(room string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rooms[room]
	if r == nil || r.left {
		r = &heard{ahead: map[uint64]bool{}}
		t.rooms[room] = r
	}
	t.join(room, r)
}

func (t *Talker) join(room string, r *heard) {
	t.ask(&wire.Request{T: wire.Join, Room: room, Name: t.name, Have: r.last})
}

// Leave leaves a room.
func (t *Talker) Leave(room string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rooms[room]; r != nil {
		r.left = true
	}
	t.ask(&wire.Request{T: wire.Leave, Room: room})
}

// Nick changes the name.
func (t *Talker) Nick(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
	t.ask(&wire.Request{T: wire.Nick, Name: name})
}

// Ask sends any request.
func (t *Talker) Ask(r *wire.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ask(r)
}

func (t *Talker) ask(r *wire.Request) bool {
	packet, err := r.Encode()
	return err == nil && t.line != nil && t.line.Send(packet)
}

// Say says something in a room, and returns the message's id.
func (t *Talker) Say(room, text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said++
	o := &Own{C: fmt.Sprintf("%s-%d", t.id, t.said), Room: room, Text: text, Sent: time.Now()}
	t.own[o.C] = o
	t.order = append(t.order, o)
	// Before the room is joined, and all is known that was said there, it waits: again says it, behind those that wait already.
	if r := t.rooms[room]; r != nil && r.joined && !r.asked && t.ask(&wire.Request{T: wire.Say, Room: room, C: o.C, Text: text}) {
		o.era = t.era
	}
	return o.C
}

// Hear takes a packet from the line.
func (t *Talker) Hear(packet []byte) {
	e, err := wire.ParseEvent(packet)
	t.mu.Lock()
	if err != nil {
		t.faults.Malformed++
	} else {
		t.take(e)
	}
	close(t.news)
	t.news = make(chan struct{})
	t.mu.Unlock()
	if err == nil && t.Events != nil {
		t.Events(e)
	}
}

func (t *Talker) take(e *wire.Event) {
	r := t.rooms[e.Room]
	if e.T == wire.Saved {
		t.settle(e.Room, e.Saved) // also when it was left
	}
	if r == nil {
		return
	}
	switch e.T {
	case wire.Left:
		if r.left {
			delete(t.rooms, e.Room)
		}
		return
	case wire.Msg:
		t.message(e, r)
	case wire.Joined:
		r.joined, r.saved, r.count = true, max(r.saved, e.Saved), e.Count
		t.page(e, r, r.last == 0)
	case wire.History:
		asked := r.asked
		r.asked, r.saved = false, max(r.saved, e.Saved)
		if asked {
			t.page(e, r, true)
		}
	case wire.Saved:
		r.saved = max(r.saved, e.Saved)
	case wire.Presence, wire.Members:
		r.count = e.Count
	case wire.Error:
		if o := t.own[e.About]; o != nil {
			o.Failed = e.Why
		}
	}
	t.settle(e.Room, r.saved)
}

// message takes one that was just said.
func (t *Talker) message(e *wire.Event, r *heard) {
	switch {
	case e.N <= r.last && e.Again:
		t.counts.Again++
		t.mine(e.Room, e.Message)
	case e.N <= r.last || r.ahead[e.N]:
		t.faults.Doubled++
	case r.joined && e.N > r.last+1:
		if len(r.ahead) == 0 {
			t.faults.Gaps++
		}
		r.ahead[e.N] = true
		t.since(e.Room, r)
	default:
		t.add(e.Room, e.Message, r)
	}
}

func (t *Talker) add(room string, m *wire.Message, r *heard) {
	r.last = m.N
	t.counts.Messages++
	t.mine(room, m)
}

// mine notes that an own message has come back.
func (t *Talker) mine(room string, m *wire.Message) {
	o := t.own[m.C]
	if o == nil {
		return
	}
	if o.N == 0 {
		o.N, o.Delay = m.N, time.Since(o.Sent)
	}
	if o.N != m.N || o.Text != m.Text || o.Room != room {
		t.faults.Changed++
	}
}

// page takes messages of the past. With whole they begin where they can: what they leave out does not exist.
func (t *Talker) page(e *wire.Event, r *heard, whole bool) {
	for i := range e.Messages {
		m := &e.Messages[i]
		if m.N <= r.last {
			continue
		}
		if !whole && m.N > r.last+1 {
			t.since(e.Room, r)
			return
		}
		whole = e.T == wire.History // within a page of "joined" there is no gap
		t.add(e.Room, m, r)
		t.counts.Caught++
		delete(r.ahead, m.N)
	}
	maps.DeleteFunc(r.ahead, func(n uint64, _ bool) bool { return n <= r.last })
	if e.T == wire.History && (e.More || len(r.ahead) > 0) {
		t.since(e.Room, r)
		return
	}
	t.again(e.Room)
}

// since asks for what follows the last message.
func (t *Talker) since(room string, r *heard) {
	if !r.asked {
		r.asked = t.ask(&wire.Request{T: wire.History, Room: room, After: strconv.FormatUint(r.last, 10), Limit: wire.MaxPage})
	}
}

// again says what an earlier session may not have brought to the room. What it has brought is known by now.
func (t *Talker) again(room string) {
	for _, o := range t.order {
		if o.Room == room && o.N == 0 && o.Failed == "" && o.era != t.era {
			if t.ask(&wire.Request{T: wire.Say, Room: room, C: o.C, Text: o.Text}) {
				o.era = t.era
			}
		}
	}
}

// settle notes that all of a room up to a number is on disk.
func (t *Talker) settle(room string, saved uint64) {
	for _, o := range t.own {
		if o.Room == room && o.N > 0 && o.N <= saved {
			o.Saved = true
		}
	}
}
