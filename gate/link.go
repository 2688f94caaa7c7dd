// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// A link is one connection, from its first packet on. One goroutine reads it.
type link struct {
	g    *Gate
	conn *client.Conn
	info *entry.Info
	s    atomic.Pointer[session] // nil before it is let in
	slow atomic.Bool             // above the soft mark, and not below the low mark since
	over sync.WaitGroup          // its reader
}

// A life is the context of a connection: it is over when that is. It costs nothing, as a connection has no other.
type life struct{ conn *client.Conn }

// Deadline is context's.
func (life) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done is context's.
func (l life) Done() <-chan struct{} { return l.conn.Done() }

// Err is context's.
func (l life) Err() error {
	if l.conn.Err() != nil {
		return context.Canceled
	}
	return nil
}

// Value is context's.
func (life) Value(any) any { return nil }

// accept is entry's Start: it has a connection served.
func (g *Gate) accept(c *client.Conn, info *entry.Info) {
	l := &link{g: g, conn: c, info: info}
	l.over.Add(1)
	c.SetOwner(l)
	if g.cfg.Resume == nil && g.open() {
		l.enter(&Grant{})
	}
	c.Start(l)
}

// Ended is the end of reading.
func (l *link) Ended(err error) {
	l.over.Done()
	if s := l.s.Load(); s != nil {
		s.h.lost(l, s, err)
	}
	l.info.End()
}

// remote returns the client's address.
func (l *link) remote() string {
	if l.info.Remote.IsValid() {
		return l.info.Remote.String()
	}
	if a := l.conn.RemoteAddr(); a != nil {
		return a.Network() + " " + a.String()
	}
	return ""
}

// control queues a packet of the protocol.
func (l *link) control(b []byte) { l.push(b, queue.Control) }

// push queues bytes for this client alone.
func (l *link) push(b []byte, kind queue.Kind) {
	p := queue.Borrow(l.g.budget, b)
	defer p.Release()
	l.conn.Send(p, kind, 0)
}

// finish ends the connection behind what is queued, and says why.
func (l *link) finish(kind frame.Kind, code frame.Code, text string) {
	var why error = &frame.WSError{Code: frame.ClosePolicy, Text: text}
	switch {
	case code == 0:
		why = nil
	case code == frame.CodeClosing || code == frame.CodeMoved:
		why = &frame.WSError{Code: frame.CloseRestart, Text: text}
	}
	if l.g.cfg.Resume != nil && code != 0 {
		l.control(frame.AppendEnd(nil, &frame.End{Kind: kind, Code: code, Text: text}))
	}
	l.conn.CloseAfterFlush(why, l.g.cfg.Grace)
}

// refuse ends a connection that does not become a session's.
func (l *link) refuse(err error) {
	code, why := frame.CodeUnauthorized, "not authorized"
	var r *Refusal
	if errors.As(err, &r) {
		why = r.Why
		if r.Code != 0 {
			code = r.Code
		}
	}
	l.g.count.refused.Add(1)
	l.finish(frame.KindRefused, code, why)
}

// Handle takes what one read has brought.
func (l *link) Handle(packets [][]byte) error {
	s := l.s.Load()
	if s == nil {
		return l.first(packets[0])
	}
	l.g.count.in.Add(uint64(len(packets)))
	if l.g.cfg.Resume == nil {
		return l.give(s, packets)
	}
	return l.protocol(s, packets)
}

// protocol reads packets of the protocol with resume.
func (l *link) protocol(s *session, packets [][]byte) error {
	list := payloads.Get().(*[][]byte)
	defer payloads.Put(list)
	defer func() { clear((*list)[:cap(*list)]) }()
	*list = (*list)[:0]
	for _, b := range packets {
		kind, err := frame.KindOf(b)
		if err == nil && kind == frame.KindData {
			*list = append(*list, b[frame.DataHead:])
			continue
		}
		if err := l.give(s, *list); err != nil { // what comes before it
			return err
		}
		*list = (*list)[:0]
		if err == nil {
			err = l.other(s, kind, b)
		}
		if err != nil {
			l.stop(s, frame.CodeOf(err), err.Error())
			return nil
		}
	}
	return l.give(s, *list)
}

// payloads has memory for what protocol gives on.
var payloads = sync.Pool{New: func() any { return new([][]byte) }}

// other handles what is not DATA.
func (l *link) other(s *session, kind frame.Kind, b []byte) error {
	switch kind {
	case frame.KindPing:
		echo, err := frame.ParsePing(b)
		if err != nil {
			return err
		}
		l.control(frame.AppendPong(nil, &frame.Pong{Echo: echo, Accepted: s.accepted.Load()}))
		l.conn.Flush()
		return nil
	case frame.KindBye:
		if err := frame.ParseBye(b); err != nil {
			return err
		}
		l.stop(s, 0, "the client has left")
		return nil
	}
	return fmt.Errorf("a %v here: %w", kind, frame.ErrMalformed)
}

// stop ends the session of this connection.
func (l *link) stop(s *session, code frame.Code, text string) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.link == l {
		s.h.endLocked(s, code, text)
	}
}

// most is how many bytes of packets a Packets has at most, unless it is one packet.
const most = 256 << 10

// give sends packets to the service, and notes that it has them.
func (l *link) give(s *session, packets [][]byte) error {
	for len(packets) > 0 {
		n, bytes := 0, 0
		for n < len(packets) && n < MaxBatch && (n == 0 || bytes+len(packets[n]) <= most) {
			bytes += len(packets[n])
			n++
		}
		if err := l.giveSome(s, packets[:n], bytes); err != nil {
			return err
		}
		packets = packets[n:]
	}
	return nil
}

// shortPacket is how many bytes a packet has at most that lies in the message itself.
const shortPacket = 128

// An incoming is Packets on their way, with memory for a single short one: most are.
type incoming struct {
	Packets
	to    string // the name of the service, if it has one
	one   [1][]byte
	short [shortPacket]byte
}

// Addressee is for package actor.
func (in *incoming) Addressee() (name string, v any) { return in.to, &in.Packets }

// newIncoming copies packets of so many bytes: the reader's buffer goes back to its pool.
func newIncoming(packets [][]byte, bytes int) *incoming {
	in := &incoming{}
	to := in.short[:0]
	if in.Data = in.one[:0]; len(packets) > 1 {
		in.Data = make([][]byte, 0, len(packets))
	}
	if bytes > shortPacket {
		to = make([]byte, 0, bytes)
	}
	for _, b := range packets {
		to = append(to, b...)
		in.Data = append(in.Data, to[len(to)-len(b):len(to):len(to)])
	}
	return in
}

// giveSome sends one message. It waits while the service has no room, and nothing is read meanwhile.
func (l *link) giveSome(s *session, packets [][]byte, bytes int) error {
	accepted := s.accepted.Load()
	again := accepted < s.doubt
	if again { // only those that may be known
		if n := s.doubt - accepted; n < uint64(len(packets)) {
			if err := l.giveSome(s, packets[:n], bytes); err != nil {
				return err
			}
			return l.giveSome(s, packets[n:], bytes)
		}
	}
	for _, b := range packets {
		s.traced("in", b, queue.Must)
	}
	p := newIncoming(packets, bytes)
	p.Client, p.First, p.Again = s.client, accepted+1, again
	s.paused.Store(client.Now())
	err := s.send(life{l.conn}, p)
	s.paused.Store(0)
	if errors.Is(err, skybus.ErrTooBig) {
		if len(packets) > 1 {
			half := len(packets) / 2
			if err := l.give(s, packets[:half]); err != nil {
				return err
			}
			return l.give(s, packets[half:])
		}
		l.stop(s, frame.CodeTooLarge, "a packet is larger than a message may be")
		return nil
	}
	if err != nil {
		return err
	}
	accepted = s.accepted.Add(uint64(len(packets)))
	if s.h.v != nil {
		_ = s.slot.SetAccepted(accepted) // freed: the session has ended meanwhile
	}
	return nil
}
