// SPDX-License-Identifier: Apache-2.0

// Package wire has the packets between a chat client and the rooms: JSON
// objects, one a packet, told apart by "t". README.md has a table of them.
//
// Bytes of clients are not trusted: Parse checks all that a Request holds, so
// that whoever gets one need not.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// What a client asks for.
const (
	Join    = "join"    // room, name, have
	Leave   = "leave"   // room
	Say     = "say"     // room, c, text
	Nick    = "nick"    // name
	Rooms   = "rooms"   // -
	Members = "members" // room, after, limit
	History = "history" // room, before or after, limit
	Ping    = "ping"    // x
)

// What it hears.
const (
	Joined   = "joined"   // room, you, last, saved, count, messages
	Left     = "left"     // room
	Msg      = "msg"      // room and the fields of a Message; again
	Saved    = "saved"    // room, saved: all up to there is on disk
	Presence = "presence" // room, count, in, out
	Pong     = "pong"     // x
	Error    = "error"    // why; room and c if it is about them
)

// Limits of what a client may send.
const (
	MaxPacket = 8 << 10 // bytes
	MaxText   = 2000    // characters
	MaxName   = 32      // characters of a nickname, or a room's name
	MaxID     = 64      // bytes of a message's c
	MaxPage   = 100     // messages or members in an answer
)

// ErrPacket means that a client's packet is not what it should be.
var ErrPacket = errors.New("bad packet")

// A Request is what a client sends.
type Request struct {
	T      string  `json:"t"`
	Room   string  `json:"room,omitempty"`
	Name   string  `json:"name,omitempty"`
	C      string  `json:"c,omitempty"` // the client's own id of a message
	Text   string  `json:"text,omitempty"`
	Have   uint64  `json:"have,omitempty"`   // number of the last message that the client has
	Before uint64  `json:"before,omitempty"` // messages with smaller numbers
	After  string  `json:"after,omitempty"`  // of members: those behind this place; of history: a number
	Limit  int     `json:"limit,omitempty"`  // 0: 50
	X      float64 `json:"x,omitempty"`      // comes back in the pong
}

// A Message is one that was said. N counts from 1 in each room, without gaps.
type Message struct {
	N    uint64 `json:"n"`
	At   int64  `json:"at"`   // milliseconds since 1970
	From string `json:"from"` // session of the author
	Name string `json:"name"` // what the author was called
	C    string `json:"c,omitempty"`
	Text string `json:"text"`
}

// A Member is a session in a room.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Away bool   `json:"away,omitempty"` // its connection is lost, and it may come back
}

// A Room is one in the list.
type Room struct {
	Room  string `json:"room"`
	Count int    `json:"count"`
	Last  uint64 `json:"last"`
}

// An Event is what a client hears. Message is that of a "msg".
type Event struct {
	T    string `json:"t"`
	Room string `json:"room,omitempty"`
	*Message
	Again    bool      `json:"again,omitempty"` // it may be known already
	You      string    `json:"you,omitempty"`
	Last     uint64    `json:"last,omitempty"`
	Saved    uint64    `json:"saved,omitempty"`
	Count    int       `json:"count,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	More     bool      `json:"more,omitempty"` // of history: there are older ones
	In       []Member  `json:"in,omitempty"`
	Out      []string  `json:"out,omitempty"`
	Members  []Member  `json:"members,omitempty"`
	Next     string    `json:"next,omitempty"` // of members: ask with this as after
	Rooms    []Room    `json:"rooms,omitempty"`
	X        float64   `json:"x,omitempty"`
	Why      string    `json:"why,omitempty"`
	About    string    `json:"about,omitempty"` // c of the message that an error is about
}

// Encode returns an event's packet.
func (e *Event) Encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the page makes no HTML of it
	if err := enc.Encode(e); err != nil {
		return []byte(`{"t":"error","why":"the answer cannot be written"}`) // no field can cause that
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Encode returns a request's packet.
func (r *Request) Encode() ([]byte, error) { return json.Marshal(r) }

// ParseEvent reads what a client hears.
func ParseEvent(packet []byte) (*Event, error) {
	e := new(Event)
	if err := json.Unmarshal(packet, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPacket, err)
	}
	if e.T == Msg && e.Message == nil {
		return nil, fmt.Errorf("%w: a msg without a message", ErrPacket)
	}
	return e, nil
}

// Parse reads and checks what a client sends. Errors wrap ErrPacket and say
// what was expected; then the request has what could be read, for the answer.
func Parse(packet []byte) (*Request, error) {
	r := new(Request)
	if len(packet) > MaxPacket {
		return r, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrPacket, len(packet), MaxPacket)
	}
	if err := json.Unmarshal(packet, r); err != nil {
		return r, fmt.Errorf("%w: not a JSON object of a request: %w", ErrPacket, err)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("%w: %s: %w", ErrPacket, r.T, err)
	}
	return r, nil
}

func (r *Request) check() error {
	if r.Limit < 0 || r.Limit > MaxPage {
		return fmt.Errorf("limit is %d, want 1 to %d, or 0 for 50", r.Limit, MaxPage)
	}
	if r.Limit == 0 {
		r.Limit = 50
	}
	switch r.T {
	case Rooms, Ping:
		return nil
	case Nick:
		return CheckName(r.Name)
	case Join:
		return errors.Join(CheckRoom(r.Room), CheckName(r.Name))
	case Leave, Members, History:
		return CheckRoom(r.Room)
	case Say:
		return errors.Join(CheckRoom(r.Room), checkID(r.C), checkText(r.Text))
	}
	return fmt.Errorf("t is %.20q, want join, leave, say, nick, rooms, members, history or ping", r.T)
}

// CheckName reports what is wrong with a nickname.
func CheckName(name string) error {
	n := utf8.RuneCountInString(name)
	if n == 0 || n > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("a name of %d characters, want 1 to %d", n, MaxName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("name %q has a character that cannot be seen", name)
		}
	}
	if r, _ := utf8.DecodeRuneInString(name); r == ' ' {
		return fmt.Errorf("name %q begins with a space", name)
	}
	return nil
}

// CheckRoom reports what is wrong with a room's name.
func CheckRoom(name string) error {
	n := utf8.RuneCountInString(name)
	if n == 0 || n > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("a room's name of %d characters, want 1 to %d", n, MaxName)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' && r != '.' {
			return fmt.Errorf("room %q has %q, want letters, digits, and - _ or a dot", name, r)
		}
	}
	return nil
}

func checkID(c string) error {
	if c == "" || len(c) > MaxID || !utf8.ValidString(c) {
		return fmt.Errorf("c has %d bytes, want 1 to %d", len(c), MaxID)
	}
	return nil
}

func checkText(text string) error {
	n := utf8.RuneCountInString(text)
	if n == 0 || n > MaxText || !utf8.ValidString(text) {
		return fmt.Errorf("a text of %d characters, want 1 to %d", n, MaxText)
	}
	return nil
}
