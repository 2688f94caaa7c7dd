// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/vault"
)

// How sessions begin, lose their connection, get another one, and end.

// errElsewhere is why a connection ends whose session goes on at another one.
var errElsewhere = errors.New("the session goes on at another connection")

// open begins a session for a client that was let in. An error is a *Refusal.
func (h *home) open(l *link, gr *Grant) error {
	s := &session{h: h, since: time.Now().UnixNano(), target: gr.Bind, identity: gr.Identity, remote: l.remote()}
	w := frame.Welcome{Home: uint32(h.addr), Epoch: 1, MaxPacket: uint32(h.g.setup.Options().MaxPacket)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return &Refusal{Code: frame.CodeClosing, Why: "the gate stops"}
	}
	if h.v == nil {
		h.id++
		s.client = Client{Home: h.addr, ID: h.id}
	} else {
		w.Key, w.Seconds = newKey(), uint32(h.g.cfg.Resume.Window.Seconds())
		texts := vault.Texts{Binding: appendTarget(nil, gr.Bind), Identity: gr.Identity, Remote: s.remote}
		slot, err := h.v.Begin(vault.Session{Key: w.Key, Epoch: w.Epoch, Texts: texts})
		if err != nil {
			h.g.log.Warn("a session cannot begin", "home", h.addr, "err", err)
			return &Refusal{Code: frame.CodeBusy, Why: "there is no room for a session"}
		}
		s.slot, s.client = slot, Client{Home: h.addr, ID: slot.ID()}
		w.ID = slot.ID()
	}
	h.sessions[s.client.ID] = s
	s.link = l
	l.s.Store(s)
	h.watchLocked(s)
	for _, name := range gr.Groups {
		h.joinLocked(s, name)
	}
	if h.g.cfg.Resume != nil {
		l.control(frame.AppendWelcome(nil, &w))
	}
	if gr.Welcome != nil && !s.ended {
		f := h.fanLocked(&op{kind: queue.Must, packet: gr.Welcome}, vault.Origin{}, false)
		if f.h.v == nil || f.keep(s) {
			l.push(h.payloadLocked(queue.Must, gr.Welcome), queue.Must)
		}
	}
	l.conn.Flush()
	h.g.count.opened.Add(1)
	return nil
}

// reviveLocked makes a session of what the vault has: a process before has left it.
func (h *home) reviveLocked(slot vault.Slot) {
	t := slot.Texts()
	s := &session{
		h: h, since: time.Now().UnixNano(), slot: slot, client: Client{Home: h.addr, ID: slot.ID()},
		identity: t.Identity, remote: t.Remote, doubt: slot.Accepted() + MaxBatch,
	}
	s.accepted.Store(slot.Accepted())
	to, err := parseTarget(t.Binding)
	if err == nil {
		err = to.check()
	}
	if err != nil { // nobody can be told
		h.g.log.Error("a session is lost: nobody knows its service", "client", s.client, "err", err)
		h.noteLocked(slot.Free())
		return
	}
	s.target = to
	if slot.State() == vault.Ended {
		s.ended = true
		h.tellClosed(s, frame.Code(slot.Reason()), "")
		return
	}
	h.sessions[s.client.ID] = s
	h.watchLocked(s)
	for _, name := range t.Groups {
		g := h.groups[name]
		if g == nil {
			g = &group{name: name}
			h.groups[name] = g
			h.shareLocked(g)
		}
		g.add(s)
	}
	if slot.Accepted() == 0 { // the process may have died before it could say so
		s.post(&Opened{Client: s.client, Identity: s.identity, Remote: s.remote, Again: true}, nil)
	}
	if slot.State() == vault.Live {
		h.awayLocked(s)
		return
	}
	s.away = slot.AwaySince()
}

// awayLocked says that a session has no connection any more, and may get another one.
func (h *home) awayLocked(s *session) {
	s.away = time.Now().UnixMilli()
	h.noteLocked(s.slot.SetAway(s.away))
	s.post(&Away{Client: s.client}, nil)
}

// lost says that the connection of a session has ended.
func (h *home) lost(l *link, s *session, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.link != l {
		return // it has another one, or has ended
	}
	s.link = nil
	code, text := codeOf(err)
	if h.v != nil && !h.closed && comesBack(code) {
		h.g.count.lost.Add(1)
		h.awayLocked(s)
		h.nudgeLocked(s)
		return
	}
	if !h.closed {
		h.endLocked(s, code, text)
	}
}

// comesBack reports whether a client may resume after such an end of its connection.
func comesBack(code frame.Code) bool {
	a := code.Advice()
	return code == 0 || a == frame.Come || a == frame.ComeNow
}

// codeOf says why a connection has ended; 0: the client has closed it, or the network has.
func codeOf(err error) (frame.Code, string) {
	var why entry.Reason
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return 0, "the client has closed the connection"
	case errors.Is(err, client.ErrFull), errors.Is(err, client.ErrSlow), errors.Is(err, client.ErrStalled):
		return frame.CodeSlow, err.Error()
	case errors.Is(err, errMemory):
		return frame.CodeMemory, err.Error()
	case errors.As(err, &why):
		if why == entry.Overdue {
			return frame.CodeSlow, why.String()
		}
		if why == entry.Stopped {
			return frame.CodeClosing, why.String()
		}
		return frame.CodeTimeout, why.String()
	case errors.Is(err, frame.ErrTooLarge), errors.Is(err, frame.ErrMalformed):
		return frame.CodeOf(err), err.Error()
	}
	return 0, err.Error()
}

// endLocked ends a session: its client gets what is queued and then why, its service gets Closed behind all that it was sent.
func (h *home) endLocked(s *session, code frame.Code, text string) {
	if s.ended {
		return
	}
	s.ended = true
	delete(h.sessions, s.client.ID)
	for len(s.groups) > 0 {
		g := s.groups[0].g
		s.remove(0)
		h.tidyLocked(g)
	}
	h.unwatchLocked(s)
	for _, w := range s.waiters {
		w.req.Fail(fmt.Errorf("%w: %v has ended", ErrNoSession, s.client))
	}
	s.waiters = nil
	if h.v != nil {
		h.noteLocked(s.slot.End(uint32(code)))
	}
	if l := s.link; l != nil {
		s.link = nil
		l.finish(frame.KindKicked, code, text)
	}
	h.g.count.ended.Add(1)
	h.tellClosed(s, code, text)
}

// tellClosed has the service hear of the end. The vault forgets the session then, and not before.
func (h *home) tellClosed(s *session, code frame.Code, text string) {
	s.post(&Closed{Client: s.client, Code: code, Reason: text}, func(error) {
		if h.ctx.Err() != nil || h.v == nil {
			return // the next process tells it
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.closed {
			h.noteLocked(s.slot.Free())
		}
	})
}

// expire ends the sessions whose clients were away for too long.
func (h *home) expire(now time.Time) {
	if h.g.cfg.Resume == nil {
		return
	}
	latest := now.Add(-h.g.cfg.Resume.Window).UnixMilli()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		if s.away != 0 && s.away <= latest {
			h.endLocked(s, frame.CodeNoSession, "away for too long")
		}
	}
}

// resume gives a session another connection. packet is the RESUME that r was read from. An error is a *Refusal.
func (h *home) resume(l *link, r *frame.Resume, packet []byte) error {
	s, old, err := h.claim(r, packet)
	if err != nil {
		return err
	}
	if old != nil {
		// Its reader may be in the middle of a send: how many packets were accepted is known when that is over.
		old.finish(frame.KindKicked, frame.CodeElsewhere, errElsewhere.Error())
		old.conn.Kick(errElsewhere)
		old.over.Wait()
	}
	return h.attach(l, s, r)
}

// claim checks a RESUME, and takes the session from the connection that it had.
func (h *home) claim(r *frame.Resume, packet []byte) (s *session, old *link, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, &Refusal{Code: frame.CodeMoved, Why: "the session moves to another process"}
	}
	s = h.sessions[r.ID]
	if s == nil {
		return nil, nil, &Refusal{Code: frame.CodeNoSession, Why: "no such session"}
	}
	key := s.slot.Key()
	if !frame.CheckProof(key[:], packet) {
		h.g.count.proofs.Add(1)
		return nil, nil, &Refusal{Code: frame.CodeProof, Why: "the proof is wrong"}
	}
	if r.Epoch <= s.slot.Epoch() {
		h.g.count.epochs.Add(1)
		return nil, nil, &Refusal{Code: frame.CodeEpoch, Why: fmt.Sprintf("the epoch is %d, want more than %d", r.Epoch, s.slot.Epoch())}
	}
	if err := s.slot.SetEpoch(r.Epoch); err != nil {
		h.noteLocked(err)
		return nil, nil, &Refusal{Code: frame.CodeBusy, Why: "the session cannot be resumed now"}
	}
	old, s.link = s.link, nil
	return s, old, nil
}

// attach sends a client what it has missed, and all that comes from then on.
func (h *home) attach(l *link, s *session, r *frame.Resume) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return &Refusal{Code: frame.CodeMoved, Why: "the session moves to another process"}
	case s.ended:
		return &Refusal{Code: frame.CodeNoSession, Why: "the session has ended"}
	case s.slot.Epoch() != r.Epoch:
		return &Refusal{Code: frame.CodeEpoch, Why: "the client has come again meanwhile"}
	}
	missed, err := s.slot.Since(r.Received, nil)
	if err != nil {
		code := frame.CodeGap
		if errors.Is(err, vault.ErrAhead) {
			code = frame.CodeAhead
		}
		h.endLocked(s, code, err.Error())
		return &Refusal{Code: code, Why: err.Error()}
	}
	h.noteLocked(s.slot.SetLive())
	was := s.away
	s.link, s.away = l, 0
	s.remote = l.remote()
	h.noteLocked(s.slot.SetRemote(s.remote))
	l.s.Store(s)
	l.control(frame.AppendResumed(nil, &frame.Resumed{Epoch: r.Epoch, Accepted: s.accepted.Load()}))
	for _, p := range missed {
		l.push(p, queue.Must)
	}
	l.conn.Flush()
	h.g.count.resumed.Add(1)
	h.g.count.replayed.Add(uint64(len(missed)))
	if was == 0 {
		// Its service has not heard that the other connection was lost.
		s.post(&Away{Client: s.client}, nil)
	}
	s.post(&Resumed{Client: s.client}, nil)
	h.nudgeLocked(s)
	return nil
}

// nudgeLocked has the home's service look whether what waits for room in a session's queue has it now.
func (h *home) nudgeLocked(s *session) {
	if len(s.waiters) > 0 {
		h.nudge(s)
	}
}

func (h *home) nudge(s *session) {
	if err := h.rt.TrySend(h.pid, drained{s}); err != nil {
		go func() { _ = h.rt.Send(h.ctx, h.pid, drained{s}) }() // its mailbox is full for the moment
	}
}

// errClosed is why connections of a gate end that is closed.
var errClosed = fmt.Errorf("%w: the gate is closed", net.ErrClosed)
