// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// WithLock has Bind go on with an address that the program before has bound in this process, and
// that f holds since: see Endpoint.HandOver. For others the address was bound all the time, by one process. Unless Bind fails f
// is the endpoint's.
func WithLock(f *os.File) BindOption { return func(e *Endpoint) { e.given = f } }

// take binds the address.
func (e *Endpoint) take() (*channel.Binding, error) {
	f := e.given
	e.given = nil
	if f == nil {
		return e.d.table.Bind(e.addr)
	}
	return e.d.table.Rebind(e.addr, f)
}

// HandOver returns the file that holds the address, for the program that this process is about to become: its descriptor
// has to survive exec, and the program gives it to Bind by WithLock. Other addresses that this process has bound are not
// kept by it. Until release is called, which is needed only if exec fails, whoever makes or removes a lane in this process waits.
// Errors: ErrClosed.
func (e *Endpoint) HandOver() (f *os.File, release func(), err error) {
	if !e.park.enter() {
		return nil, nil, e.closedErr()
	}
	f, unlock, err := e.bound.HandOver()
	if err != nil {
		e.park.leave()
		return nil, nil, fmt.Errorf("hand over: %w", err)
	}
	return f, func() { unlock(); e.park.leave() }, nil
}

// PutBack is Keep for a message that was taken and not begun. It reports false if that is too late: it was released
// early, and does not come again. Any goroutine may call it.
func (h Hold) PutBack() bool {
	if h.l == nil || !h.l.keep(h.n) {
		return false
	}
	h.l.goesOn()
	return true
}

// goesOn has more taken from a lane again, where what is kept has stood in the way.
func (l *heldLane) goesOn() {
	e := l.e
	e.rmu.Lock()
	more := false
	if l.r.Rests() && !l.tooMuch() && e.drain != nil && !l.in.over.Load() {
		l.r.Rest(false)
		l.waits = time.Time{}
		more = e.drain.Again(l.r)
	}
	e.rmu.Unlock()
	if more && l.in.idle.Load() {
		e.park.ring()
	}
}

// A Left is what was taken from one lane by an Intake and was not released, or was behind such a message, in
// order: it comes again.
type Left struct {
	Src      addr.Addr
	Messages []LeftMessage
}

// A LeftMessage is one of them.
type LeftMessage struct {
	Seq         uint64
	Done        bool // its Hold was released, and it was not kept
	Kept        bool // it was kept, or put back
	Redelivered bool // as it was handed out
}

// Left returns what will come again. It may be called when the Intake is closed, and nobody releases any more.
func (in *Intake) Left() []Left {
	byLane := map[addr.Addr]*Left{}
	for r, l := range in.lanes {
		l.mu.Lock()
		if rest := l.list[l.head:]; len(rest) > 0 {
			left := byLane[r.Src()]
			if left == nil {
				left = &Left{Src: r.Src()}
				byLane[r.Src()] = left
			}
			for i := range rest {
				left.Messages = append(left.Messages, LeftMessage{Seq: rest[i].seq, Done: rest[i].done && !rest[i].kept, Kept: rest[i].kept, Redelivered: rest[i].again})
			}
		}
		l.mu.Unlock()
	}
	list := make([]Left, 0, len(byLane))
	for _, left := range byLane {
		list = append(list, *left)
	}
	slices.SortFunc(list, func(a, b Left) int { return int(int64(a.Src) - int64(b.Src)) })
	return list
}
