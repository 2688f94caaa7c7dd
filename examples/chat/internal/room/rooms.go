// SPDX-License-Identifier: Apache-2.0

package room

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
)

const (
	// keep is how many of a room's messages are in memory: what a newcomer sees, and what is known when it comes again.
	keep = 128
	// listed is how many members a room may have for changes to be told one by one. In larger rooms only their
	// number is told.
	listed = 200
)

// A room is what a shard knows of one. It does no input or output.
type room struct {
	name    string
	last    uint64 // number of the last message
	saved   uint64 // all up to it are on disk
	recent  []store.Row
	ids     map[string]uint64 // number of each recent message by its author's id of it
	members map[gate.Client]*member
	order   []*member   // the same, by name and then ID
	unsaved []store.Row // what the store has not confirmed
	since   time.Time   // when the oldest of them was sent to it, or was sent again
	in      map[gate.Client]*member
	out     map[gate.Client]string
	changed bool // presence is to be told
}

// A member is a session in a room.
type member struct {
	client gate.Client
	id     string // its text
	name   string
	packet uint64 // number of its last packet that was handled
	away   bool
}

func newRoom(name string) *room {
	return &room{
		name: name, ids: map[string]uint64{}, members: map[gate.Client]*member{},
		in: map[gate.Client]*member{}, out: map[gate.Client]string{},
	}
}

func byName(a, b *member) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.id, b.id))
}

// add makes a session a member, or changes the name of one. It reports whether that is news.
func (r *room) add(c gate.Client, name string, packet uint64) (m *member, news bool) {
	if m = r.members[c]; m != nil {
		m.packet = max(m.packet, packet)
		if m.name == name {
			return m, false
		}
		r.unlist(m)
		m.name = name
	} else {
		m = &member{client: c, id: c.String(), name: name, packet: packet}
		r.members[c] = m
	}
	i, _ := slices.BinarySearchFunc(r.order, m, byName)
	r.order = slices.Insert(r.order, i, m)
	delete(r.out, c)
	r.in[c] = m
	r.changed = true
	return m, true
}

func (r *room) unlist(m *member) {
	if i, found := slices.BinarySearchFunc(r.order, m, byName); found {
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// remove takes a session out, and reports whether it was a member.
func (r *room) remove(c gate.Client) bool {
	m := r.members[c]
	if m == nil {
		return false
	}
	delete(r.members, c)
	r.unlist(m)
	delete(r.in, c)
	r.out[c] = m.id
	r.changed = true
	return true
}

// mark notes that a member is away, or back.
func (r *room) mark(c gate.Client, away bool) {
	if m := r.members[c]; m != nil && m.away != away {
		m.away = away
		r.in[c] = m
		r.changed = true
	}
}

// say gives a message its number.
func (r *room) say(m *member, q *wire.Request, packet uint64, now time.Time) *store.Row {
	r.last++
	m.packet = packet
	row := store.Row{Packet: packet, Message: wire.Message{
		N: r.last, At: now.UnixMilli(), From: m.id, Name: m.name, C: q.C, Text: q.Text,
	}}
	r.remember(row)
	if len(r.unsaved) == 0 {
		r.since = now
	}
	r.unsaved = append(r.unsaved, row)
	return &r.recent[len(r.recent)-1]
}

// remember keeps a row as the newest one.
func (r *room) remember(row store.Row) {
	if len(r.recent) >= 2*keep {
		for _, old := range r.recent[:keep] {
			delete(r.ids, old.C)
		}
		r.recent = append(r.recent[:0], r.recent[keep:]...)
	}
	r.recent = append(r.recent, row)
	r.ids[row.C] = row.N
}

// said returns the recent message that an author has given an id to, or that came in a packet of a session; nil: it is not among them.
func (r *room) said(c, from string, packet uint64) *store.Row {
	if n, ok := r.ids[c]; ok {
		if row := r.at(n); row != nil && row.C == c {
			return row
		}
	}
	for i := len(r.recent) - 1; i >= 0; i-- {
		if row := &r.recent[i]; row.From == from && row.Packet == packet {
			return row
		}
	}
	return nil
}

// at returns the recent message with a number, or nil.
func (r *room) at(n uint64) *store.Row {
	if len(r.recent) == 0 || n < r.recent[0].N || n > r.last {
		return nil
	}
	return &r.recent[n-r.recent[0].N]
}

// confirm notes that messages are on disk, and returns the authors that can be sure of theirs now.
//
// What counts is the part without a gap: a message is not called saved while an older one is not.
func (r *room) confirm(marks []store.Mark, now time.Time) map[string]bool {
	done := make(map[uint64]bool, len(marks))
	for _, m := range marks {
		done[m.N] = true
	}
	before := r.saved
	r.unsaved = slices.DeleteFunc(r.unsaved, func(row store.Row) bool { return done[row.N] })
	r.since = now
	if len(r.unsaved) == 0 {
		r.saved = r.last
	} else {
		r.saved = r.unsaved[0].N - 1
	}
	authors := map[string]bool{}
	for _, m := range marks {
		if m.N <= r.saved {
			authors[m.From] = true // the process before may have been killed before it told
		}
	}
	for n := before + 1; n <= r.saved; n++ {
		if row := r.at(n); row != nil {
			authors[row.From] = true
		}
	}
	return authors
}

// after returns at most most of the recent messages behind n. ok is false if messages between are not
// in memory any more.
func (r *room) after(n uint64, most int) (list []wire.Message, ok bool) {
	if n >= r.last {
		return nil, true
	}
	if r.at(n+1) == nil {
		return nil, false
	}
	return messages(r.recent[n+1-r.recent[0].N:], most), true
}

// newest returns the last messages, most at most.
func (r *room) newest(most int) []wire.Message {
	return messages(r.recent[max(len(r.recent)-most, 0):], most)
}

func messages(rows []store.Row, most int) []wire.Message {
	list := make([]wire.Message, min(len(rows), most))
	for i := range list {
		list[i] = rows[i].Message
	}
	return list
}

// page returns members behind a place in the list, and the place to go on from; "" at the end.
func (r *room) page(after string, limit int) (list []wire.Member, next string) {
	i := 0
	if name, id, ok := strings.Cut(after, "\x00"); ok {
		var found bool
		if i, found = slices.BinarySearchFunc(r.order, &member{name: name, id: id}, byName); found {
			i++
		}
	}
	for ; i < len(r.order) && len(list) < limit; i++ {
		list = append(list, r.order[i].wire())
	}
	if i < len(r.order) && len(list) > 0 {
		m := r.order[i-1]
		next = m.name + "\x00" + m.id
	}
	return list, next
}

func (m *member) wire() wire.Member { return wire.Member{ID: m.id, Name: m.name, Away: m.away} }

// presence returns what has changed since it was called last; nil: nothing.
func (r *room) presence() *wire.Event {
	if !r.changed {
		return nil
	}
	r.changed = false
	e := &wire.Event{T: wire.Presence, Room: r.name, Count: len(r.members)}
	if len(r.members) <= listed && len(r.in)+len(r.out) <= listed {
		for _, m := range r.in {
			e.In = append(e.In, m.wire())
		}
		for _, id := range r.out {
			e.Out = append(e.Out, id)
		}
	} else {
		e.More = true
	}
	clear(r.in)
	clear(r.out)
	return e
}
