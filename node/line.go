// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
)

// A later is an envelope that waits for room.
type later struct {
	prev, next *later
	b          []byte
	to         actor.PID
	m          actor.Message
	asks       bool // m is a request, whose caller hears of what becomes of it
	sent       func(err error)

	// Guarded by the peer's mu.
	stop  context.CancelFunc // ends the wait of the first one; nil before it is that
	back  bool               // it is not to be sent
	over  bool               // it is not in line any more
	went  bool               // it was sent
	ended chan struct{}      // closed with over, for who waits
}

// line puts l behind those that wait, and returns what takes it back.
func (p *peer) line(l *later) (cancel func() bool) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.sent(errClosed)
		return func() bool { return false }
	}
	defer p.mu.Unlock()
	if l.prev = p.end; l.prev == nil {
		p.first = l
	} else {
		l.prev.next = l
	}
	p.end = l
	p.queued.Add(1)
	if l.asks {
		p.note(l.m.From, l.m.Session, l.to.Handle, l)
	}
	if !p.sending && !p.lineHeld {
		p.sending = true
		p.n.done.Go(p.sendLine)
	}
	return func() bool { return p.takeBack(l) }
}

// takeBack reports whether l is not sent. Where that is being tried it waits for the end of
// that, which comes at once.
func (p *peer) takeBack(l *later) bool {
	p.mu.Lock()
	if l.over || l.back {
		p.mu.Unlock()
		return false
	}
	p.drop(l)
	ended := l.ended
	p.mu.Unlock()
	if ended == nil {
		return true
	}
	<-ended
	return !l.went // not written any more
}

// drop has l not be sent, if it is not too late. With mu held.
func (p *peer) drop(l *later) {
	switch {
	case l.over:
		return
	case l.stop != nil:
		if l.ended == nil {
			l.ended = make(chan struct{})
		}
		l.stop()
	default:
		p.unline(l)
	}
	l.back = true
}

// unline takes l out of the line. With mu held.
func (p *peer) unline(l *later) {
	if l.prev == nil {
		p.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		p.end = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.prev, l.next, l.over = nil, nil, true
	p.queued.Add(-1)
}

// sendLine sends what waits, as there is room. It ends when the line does.
func (p *peer) sendLine() {
	for {
		l, ctx := p.front()
		if l == nil {
			return
		}
		p.sent(l, p.n.e.Send(ctx, p.addr, l.b))
	}
}

// front returns the first in line, nil if there is none.
func (p *peer) front() (l *later, ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l = p.first; l == nil || p.lineHeld {
		p.sending = false
		if p.still != nil {
			close(p.still)
			p.still = nil
		}
		return nil, nil
	}
	ctx, l.stop = context.WithCancel(p.n.ctx)
	return l, ctx
}

// sent tells what has become of the first in line.
func (p *peer) sent(l *later, err error) {
	p.mu.Lock()
	l.stop()
	if p.stays(l, err) {
		p.mu.Unlock()
		return
	}
	tell := true
	if err == nil {
		l.went = true
		p.n.count.sent.Add(1)
	}
	if q := (question{l.m.From.Handle, l.m.Session}); l.asks {
		r, waits := p.asked[q]
		switch {
		case !waits: // it has got its answer, or nobody wants one
			tell = false
		case err == nil:
			r.l = nil
			p.asked[q] = r
		default:
			delete(p.asked, q)
		}
	}
	tell = tell && (err == nil || !l.back)
	p.unline(l)
	if l.ended != nil {
		close(l.ended)
	}
	closed := p.closed
	p.mu.Unlock()
	switch {
	case l.asks && l.back && err == nil: // it went while its caller gave up
		p.n.cancelCall(p, l.to.Handle, l.m.From.Handle, l.m.Session)
	case !tell:
	case err == nil:
		l.sent(nil)
	case closed || errors.Is(err, skybus.ErrClosed) || p.n.ctx.Err() != nil:
		l.sent(errClosed)
	default:
		l.sent(&CallError{Target: l.to, Err: err})
	}
}
