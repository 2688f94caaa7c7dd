// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"math"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
)

// maxOut is how much is gathered before it is written, in bytes.
const maxOut = 128 << 10

// maxControl is how much of what the peer has asked for may wait until it reads, in
// bytes: more than the answers to all streams that there can be.
const maxControl = 32 << 20

// A Session is one connection, seen from one side. Its methods belong to one
// goroutine at a time.
type Session struct {
	cfg  Config
	host Host

	up      bool
	peer    wire.Hello
	version uint16
	err     error // why it is over

	control []byte // frames that go before all others
	numbers uint32 // streams opened by this side
	streams map[uint32]*Stream
	active  []*Stream
	turn    int
	parked  []*Stream // they wait until less is in flight
	held    []*Stream // they wait for what is left in an old ring

	lastOpen uint32
	inbound  map[uint32]*Inbound
	lanes    map[[2]addr.Addr]*Inbound
	dirty    []*Inbound
	due      bool  // an ACK goes alone
	ackAt    int64 // when one does

	began    int64
	lastIn   int64
	lastPing int64
	stats    Stats
}

func protocolf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", wire.ErrProtocol, fmt.Sprintf(format, args...))
}

// New begins a connection. The HELLO of the side that connects is the first output,
// that of the other the first after it has judged that one.
func New(cfg *Config, host Host, now int64) *Session {
	s := &Session{
		cfg: *cfg, host: host, streams: map[uint32]*Stream{}, inbound: map[uint32]*Inbound{}, lanes: map[[2]addr.Addr]*Inbound{},
		began: now, lastIn: now, lastPing: now, ackAt: math.MaxInt64,
	}
	if s.cfg.Payload == 0 {
		s.cfg.Payload = wire.MaxPayload
	}
	if !cfg.Answers {
		s.control = wire.AppendHello(s.control, &s.cfg.Hello)
	}
	return s
}

// Up reports whether both sides have agreed.
func (s *Session) Up() bool { return s.up && s.err == nil }

// Peer returns the other side's HELLO, once Up.
func (s *Session) Peer() *wire.Hello { return &s.peer }

// Stats returns what went through so far.
func (s *Session) Stats() Stats {
	st := s.stats
	st.Streams, st.Inbound = len(s.streams), len(s.inbound)
	return st
}

// Err returns why the session is over, nil while it is not.
func (s *Session) Err() error { return s.err }

// Input takes what has been read, as many complete frames as b begins with, and
// returns how many bytes that were. An error ends the session; what is in Output
// then is to be written if possible.
func (s *Session) Input(b []byte, now int64) (n int, err error) {
	for s.err == nil && len(b)-n >= wire.HeaderSize {
		h, err := wire.ParseHeader(b[n:])
		if err != nil {
			return n, s.fail(err)
		}
		end := n + wire.HeaderSize + h.Length
		if end > len(b) {
			break
		}
		if err := s.frame(&h, b[n+wire.HeaderSize:end], now); err != nil {
			return n, s.fail(err)
		}
		if len(s.control) > maxControl {
			return n, s.fail(fmt.Errorf("%w: the other side does not read the answers to what it asks", ErrOver))
		}
		n = end
	}
	if n > 0 {
		s.lastIn = now
	}
	return n, s.err
}

// fail ends the session for err.
func (s *Session) fail(err error) error {
	if s.err == nil {
		s.err = err
		if errors.Is(err, wire.ErrProtocol) {
			s.control = wire.AppendNotice(s.control, wire.TypeRefuse, 0, wire.Notice{Code: wire.CodeProtocol, Text: err.Error()})
		}
	}
	return s.err
}

// End ends the session in good order, telling the peer why.
func (s *Session) End(n wire.Notice) {
	if s.err == nil {
		s.control = wire.AppendNotice(s.control, wire.TypeBye, 0, n)
		s.err = fmt.Errorf("%w: %v", ErrOver, n.Code)
	}
}

// Close lets go of everything that the session holds. Nothing is called afterwards.
func (s *Session) Close() {
	if s.err == nil {
		s.err = ErrOver
	}
	for _, in := range s.inbound {
		s.drop(in)
	}
	for _, st := range s.streams {
		s.forget(st)
	}
}

func (s *Session) frame(h *wire.Header, body []byte, now int64) error {
	if !s.up {
		return s.first(h, body)
	}
	switch h.Type {
	case wire.TypeHello:
		return protocolf("a second HELLO")
	case wire.TypeJoin, wire.TypeJoined:
		return protocolf("%v frame behind HELLO", h.Type)
	case wire.TypeBye, wire.TypeRefuse:
		return s.onNotice(h, body)
	case wire.TypePing:
		v, err := wire.ParsePing(body)
		s.control = wire.AppendPing(s.control, wire.TypePong, v)
		return err
	case wire.TypePong:
		v, err := wire.ParsePing(body)
		if at := int64(v); at <= now && at >= s.began {
			s.stats.RTT = now - at
		}
		return err
	case wire.TypeOpen:
		o, err := wire.ParseOpen(body)
		if err != nil {
			return err
		}
		return s.onOpen(h.Stream, &o)
	case wire.TypeResume, wire.TypeAck:
		return s.toOrigin(h, body)
	}
	in := s.inbound[h.Stream]
	if in == nil {
		if h.Stream > s.lastOpen {
			return protocolf("%v frame of stream %d, which was never opened", h.Type, h.Stream)
		}
		s.stats.Stale++
		return nil
	}
	return s.toFarSide(in, h, body, now)
}

// first takes the frame that comes first: HELLO, or a refusal.
func (s *Session) first(h *wire.Header, body []byte) error {
	if (h.Type == wire.TypeRefuse || h.Type == wire.TypeBye) && h.Stream == 0 {
		return s.onNotice(h, body)
	}
	if h.Type == wire.TypeJoin && s.cfg.Answers {
		return s.join(body)
	}
	if h.Type != wire.TypeHello {
		return protocolf("%v frame before HELLO", h.Type)
	}
	hello, err := wire.ParseHello(body)
	if err != nil {
		return err
	}
	s.peer = hello
	var n *wire.Notice
	ours := &s.cfg.Hello
	if s.version, err = ours.Common(&hello); err != nil {
		n = &wire.Notice{Code: wire.CodeVersion, Text: err.Error()}
	} else if hello.Expected != "" && hello.Expected != ours.Host {
		n = &wire.Notice{Code: wire.CodeIdentity, Text: fmt.Sprintf("this is host %q, not %q", ours.Host, hello.Expected)}
	} else if ours.Expected != "" && ours.Expected != hello.Host {
		n = &wire.Notice{Code: wire.CodeIdentity, Text: fmt.Sprintf("host %q was expected, not %q", ours.Expected, hello.Host)}
	} else if hello.Template != ours.Template {
		n = &wire.Notice{Code: wire.CodeTemplate, Text: fmt.Sprintf("addresses are written %s here, %s there", ours.Template, hello.Template)}
	} else {
		n = s.host.Greet(&hello)
	}
	if n != nil {
		return s.turnAway(*n, hello.Host)
	}
	if s.up = true; s.cfg.Answers {
		s.control = wire.AppendHello(s.control, ours)
	}
	for num := uint32(1); num <= s.numbers; num++ {
		if st := s.streams[num]; st != nil {
			s.sendOpen(st)
		}
	}
	return nil
}

// join answers a newcomer, which ends the connection.
func (s *Session) join(body []byte) error {
	j, err := wire.ParseJoin(body)
	if err != nil {
		return err
	}
	version, err := s.cfg.Hello.Common(&wire.Hello{Lowest: j.Lowest, Highest: j.Highest})
	if err != nil {
		return s.turnAway(wire.Notice{Code: wire.CodeVersion, Text: err.Error()}, j.Host)
	}
	told, n := s.host.Join(&j)
	if n != nil {
		return s.turnAway(*n, j.Host)
	}
	told.Version = version
	s.control = wire.AppendJoined(s.control, told)
	return ErrAnswered
}

// turnAway tells the peer why there is no connection with it.
func (s *Session) turnAway(n wire.Notice, host string) error {
	s.control = wire.AppendNotice(s.control, wire.TypeRefuse, 0, n)
	return &RefusedError{Notice: n, Host: host}
}

// A RefusedError says that one side does not talk to the other.
type RefusedError struct {
	Notice wire.Notice
	Host   string // the peer, as it calls itself; empty if it has not
	ByPeer bool
}

// Error says who refused, and why.
func (e *RefusedError) Error() string {
	who := "refused"
	if e.ByPeer {
		who = "refused by the other side"
	}
	return fmt.Sprintf("%s: %v: %s", who, e.Notice.Code, e.Notice.Text)
}

func (s *Session) onNotice(h *wire.Header, body []byte) error {
	n, err := wire.ParseNotice(body)
	if err != nil {
		return err
	}
	if h.Stream > s.numbers {
		return protocolf("%v frame of stream %d, which was never opened", h.Type, h.Stream)
	}
	if h.Stream != 0 {
		if st := s.streams[h.Stream]; st != nil {
			s.forget(st)
			s.host.Refused(st, n)
		}
		return nil
	}
	if h.Type == wire.TypeBye {
		return fmt.Errorf("%w: the other side says: %v: %s", ErrOver, n.Code, n.Text)
	}
	return &RefusedError{Notice: n, Host: s.peer.Host, ByPeer: true}
}

func (s *Session) toOrigin(h *wire.Header, body []byte) error {
	state, err := wire.ParseState(h.Type, body)
	if err != nil {
		return err
	}
	st := s.streams[h.Stream]
	switch {
	case st == nil && h.Stream > s.numbers:
		return protocolf("%v frame of stream %d, which was never opened", h.Type, h.Stream)
	case st == nil:
		s.stats.Stale++
		return nil
	case h.Type == wire.TypeResume:
		return s.onResume(st, &state, h.Flags&wire.FlagUnknown != 0)
	}
	return s.onAck(st, &state)
}

func (s *Session) toFarSide(in *Inbound, h *wire.Header, body []byte, now int64) error {
	switch h.Type {
	case wire.TypeData:
		return s.onData(in, body, now)
	case wire.TypeFrag:
		return s.onFrag(in, body, now)
	case wire.TypeGap:
		return s.onGap(in, body, now)
	case wire.TypeWant:
		return s.onWant(in, body, now)
	case wire.TypeClose:
		epoch, err := wire.ParseClose(body)
		if err != nil || epoch != in.epoch {
			s.stats.Stale++
			return err
		}
		s.drop(in)
		return nil
	}
	return protocolf("%v frame of stream %d", h.Type, h.Stream)
}

// Pending reports whether Output has something to write.
func (s *Session) Pending(now int64) bool {
	return len(s.control) > 0 || s.err == nil && (s.due || now >= s.ackAt || len(s.active) > 0)
}

// Output puts the next frames into o, at most about maxOut bytes and one large
// frame. Nothing of o.Segments may be used after the next Input of an ACK: they
// may lie in the lanes.
func (s *Session) Output(o *Out, now int64) {
	o.Reset()
	s.flushControl(o)
	if !s.up || s.err != nil {
		o.Done()
		return
	}
	for len(s.active) > 0 && o.Bytes < maxOut && s.err == nil {
		if s.turn >= len(s.active) {
			s.turn = 0
		}
		st := s.active[s.turn]
		if !st.closed {
			s.send(st, o)
		}
		if st.closed || !s.goesOn(st) {
			if st.queued = false; !st.closed && !st.stalled && s.congested() && st.more() {
				st.parked = true
				s.parked = append(s.parked, st)
			}
			s.active = append(s.active[:s.turn], s.active[s.turn+1:]...)
			continue
		}
		if st.deficit <= 0 {
			s.turn++
		}
	}
	if s.due || now >= s.ackAt || o.Bytes > 0 {
		s.acks(o)
	}
	s.flushControl(o)
	o.Done()
}

// goesOn reports whether st has more to send at once.
func (s *Session) goesOn(st *Stream) bool {
	return st.off > 0 || !st.stalled && !s.congested() && st.more()
}

// congested reports whether the link has as much in flight as it may.
func (s *Session) congested() bool { return s.cfg.InFlight > 0 && s.stats.InFlight >= s.cfg.InFlight }

func (s *Session) flushControl(o *Out) {
	if len(s.control) > 0 {
		o.add(s.control)
		s.control = s.control[:0]
	}
}

// acks tells the origins of all lanes that have something new what that is (L6).
func (s *Session) acks(o *Out) {
	for _, in := range s.dirty {
		in.dirty = false
		if in.sink == nil {
			continue
		}
		state, err := s.state(in)
		if err != nil {
			s.refuse(in.num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
			continue
		}
		in.bytes = 0
		at := len(o.cur)
		o.cur = wire.AppendState(o.cur, wire.TypeAck, 0, in.num, &state)
		o.Bytes += len(o.cur) - at
	}
	s.dirty, s.due, s.ackAt = s.dirty[:0], false, math.MaxInt64
}

// Tick does what time demands and returns when it is to be called next. An error
// ends the session.
func (s *Session) Tick(now int64) (next int64, err error) {
	switch {
	case s.err != nil:
		return math.MaxInt64, s.err
	case !s.up && s.cfg.Handshake > 0 && now-s.began >= s.cfg.Handshake:
		return 0, s.fail(fmt.Errorf("%w: no HELLO within %d ms", ErrOver, s.cfg.Handshake/1e6))
	case !s.up && s.cfg.Handshake > 0:
		return s.began + s.cfg.Handshake, nil
	case !s.up:
		return math.MaxInt64, nil
	case now-s.lastIn >= DeadAfter: // L16
		return 0, s.fail(fmt.Errorf("%w: nothing was heard for %d ms", ErrOver, (now-s.lastIn)/1e6))
	}
	if now-s.lastPing >= PingEvery {
		s.lastPing = now
		s.control = wire.AppendPing(s.control, wire.TypePing, uint64(now))
	}
	next = min(s.lastPing+PingEvery, s.ackAt)
	if len(s.held) > 0 {
		next = min(next, s.letGo(now))
	}
	return next, nil
}
