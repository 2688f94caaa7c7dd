// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/vault"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/shm"
)

// A home is an address that this process has bound, with the sessions that began there. Its service handles what other services send; the
// goroutines of connections begin and end sessions.
//
// Lock order: the home's mu, then a mailer's, then those of connections. Nothing that waits is called with mu held.
type home struct {
	g    *Gate
	addr addr.Addr
	n    *node.Node
	rt   *actor.Runtime
	pid  actor.PID // of the service
	ctx  context.Context
	stop context.CancelFunc

	mails  sync.WaitGroup // mailers that are busy
	shares sync.WaitGroup // goroutines that join shared groups
	asks   sync.WaitGroup // goroutines that ask who has a name

	// mu guards what follows, what is said to be in session, and the vault: who holds it is the vault's owner.
	mu       sync.Mutex
	v        *vault.Vault // nil: no Resume
	closed   bool
	sessions map[uint64]*session
	groups   map[string]*group
	bound    map[actor.PID]map[*session]struct{} // by those targets that are PIDs
	watches  map[actor.PID]*actor.Monitor
	names    map[Target]*farName // those targets that are names at other addresses
	id       uint64              // the newest, without Resume
	going    []*link             // connections that are to end, of a home that is closed
	scratch  []byte

	// Of the service's goroutine alone.
	dirty  []*session
	turn   int // messages since the last flush
	op     op  // that deliver does
	forked bool

	begun   chan error    // gets what its service's Start returns
	started chan struct{} // closed when n is there
	door    *door         // where other processes hand over connections; nil: none
}

// turnMost is how many messages are handled before what they have queued is flushed, though more wait.
const turnMost = 64

// service is what the home has at its node.
type service struct{ h *home }

// spec returns the service for node.Config.Services: it is there before the first message is taken.
func (h *home) spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Handler { return &service{h: h} }}
}

// Start opens the vault: the address is bound by now, and nobody else has it.
func (sv *service) Start(c *actor.Context) error {
	err := sv.h.begin(c)
	sv.h.begun <- err
	return err
}

func (h *home) begin(c *actor.Context) error {
	h.rt, h.pid = c.Runtime(), c.Self()
	if h.g.cfg.Resume == nil {
		h.id = uint64(time.Now().Unix()) << 14 // no number of a process before
		return nil
	}
	folder := h.g.d.Table().Folder()
	access, err := shm.AccessOf(folder)
	if err != nil {
		return err
	}
	v, err := vault.Open(folder, h.addr, h.g.cfg.Resume.Vault, access)
	if err != nil {
		return fmt.Errorf("gate: home %v: %w", h.addr, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.v = v
	for _, d := range v.Damage() {
		h.g.log.Error("a session is lost: its part of the vault is damaged", "home", h.addr, "id", d.ID, "what", d.What)
	}
	var slots []vault.Slot
	v.Slots(func(s vault.Slot) bool {
		slots = append(slots, s)
		return true
	})
	for _, s := range slots {
		h.reviveLocked(s)
	}
	return nil
}

// Handle does what services order.
func (sv *service) Handle(c *actor.Context, m *actor.Message) error {
	h := sv.h
	switch v := m.Value.(type) {
	case *Deliver:
		err := h.deliver(m, v)
		h.settle(c)
		return err
	case *Ask:
		h.ask(c, m, v)
		h.settle(c)
		return nil
	case drained:
		h.serveWaiters(v.s)
		h.settle(c)
		return nil
	case actor.Down:
		h.bereave(v)
		return nil
	case actor.Undelivered:
		return nil // of a request that nobody waits for
	}
	if m.IsCall() { // a console asks whether it is alive
		return c.Reply(nil)
	}
	return fmt.Errorf("gate: %T from %v: want what an Outbox sends", m.Value, m.From)
}

// settle has what was queued written when no more messages wait, or enough have been handled.
func (h *home) settle(c *actor.Context) {
	if len(h.dirty) == 0 {
		return
	}
	if h.turn++; h.turn >= turnMost {
		h.flush()
		return
	}
	if !h.forked {
		h.forked = true
		c.Fork(func(*actor.Context) {
			h.forked = false
			h.flush()
		})
	}
}

// flush writes what the connections take.
func (h *home) flush() {
	h.turn = 0
	for i, s := range h.dirty {
		s.dirty = false
		h.dirty[i] = nil
		h.mu.Lock()
		l := s.link
		h.mu.Unlock()
		if l != nil {
			l.conn.Flush()
		}
	}
	h.dirty = h.dirty[:0]
	h.g.relieve()
}

// touch notes that a session is to be flushed. It is called by the service's goroutine; others flush by themselves.
func (h *home) touch(s *session) {
	if !s.dirty {
		s.dirty = true
		h.dirty = append(h.dirty, s)
	}
}

// deliver does what a Deliver orders, each thing once, however often the message comes.
func (h *home) deliver(m *actor.Message, d *Deliver) error {
	n, err := d.check()
	if err != nil {
		h.g.count.malformed.Add(1)
		return fmt.Errorf("gate: from %v: %w", m.From, err)
	}
	h.g.count.delivers.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	o, again, done := h.originLocked(m)
	if done {
		return nil
	}
	first := 0
	if again {
		first = h.v.Part(o.Source, o.Number)
	}
	r := reader{b: d.Ops}
	what := &h.op
	defer func() { *what = op{} }()
	for i := 0; r.op(what); i++ {
		if i < first {
			continue
		}
		o.Item = uint32(i)
		h.doLocked(what, o, again)
		if o.Source != 0 && n > 1 {
			h.noteLocked(h.v.SetPart(o.Source, o.Number, i+1))
		}
	}
	if o.Source != 0 {
		h.noteLocked(h.v.SetDone(o.Source, o.Number))
	}
	return nil
}

// originLocked says which message of its sender m is, whether it may have been handled in part, and whether it has been handled already. Without a vault nothing is
// ever remembered, and nothing comes to the same connection twice.
func (h *home) originLocked(m *actor.Message) (o vault.Origin, again, done bool) {
	if h.v == nil {
		return o, false, false
	}
	source, number, ok := m.Origin()
	if !ok {
		return o, false, false
	}
	o = vault.Origin{Source: source, Number: number}
	return o, m.Again, m.Again && number <= h.v.Done(source)
}

// noteLocked reports that the vault could not note something.
func (h *home) noteLocked(err error) {
	if err != nil && !h.closed {
		h.g.log.Error("the vault does not take a note: after a crash a packet may be missing, or come twice", "home", h.addr, "err", err)
	}
}

func (h *home) doLocked(o *op, origin vault.Origin, again bool) {
	switch o.code {
	case opSend:
		f := h.fanLocked(o, origin, again)
		for id, ok := o.ids.next(); ok; id, ok = o.ids.next() {
			if s := h.sessions[id]; s != nil {
				f.to(s)
			} else {
				h.g.count.unknown.Add(1)
			}
		}
		f.done()
	case opSpread, opShared:
		h.spreadLocked(o, origin, again)
	case opJoin, opLeave:
		for id, ok := o.ids.next(); ok; id, ok = o.ids.next() {
			if s := h.sessions[id]; s != nil && o.code == opJoin {
				h.joinLocked(s, string(o.group))
			} else if s != nil {
				h.leaveLocked(s, string(o.group))
			}
		}
	case opKick:
		for id, ok := o.ids.next(); ok; id, ok = o.ids.next() {
			if s := h.sessions[id]; s != nil {
				h.endLocked(s, o.end, o.text)
			}
		}
	case opBind:
		for id, ok := o.ids.next(); ok; id, ok = o.ids.next() {
			if s := h.sessions[id]; s != nil {
				h.bindLocked(s, o.target)
			}
		}
	}
}

// spreadLocked gives a packet to the members of a group, but for some.
func (h *home) spreadLocked(o *op, origin vault.Origin, again bool) {
	g := h.groups[string(o.group)]
	if g == nil {
		return
	}
	var out map[*session]bool
	leave := func(id uint64) {
		if s := h.sessions[id]; s != nil {
			if out == nil {
				out = map[*session]bool{}
			}
			out[s] = true
		}
	}
	for id, ok := o.ids.next(); ok; id, ok = o.ids.next() {
		leave(id)
	}
	for _, c := range o.except {
		if c.Home == h.addr {
			leave(c.ID)
		}
	}
	f := h.fanLocked(o, origin, again)
	for i := 0; i < len(g.members); {
		s := g.members[i]
		if !out[s] {
			f.to(s)
		}
		if i < len(g.members) && g.members[i] == s { // else it has ended, and another one has its place
			i++
		}
	}
	f.done()
}

// A fan gives one packet to sessions. It is made only when the first one needs it.
type fan struct {
	h      *home
	o      *op
	origin vault.Origin
	again  bool
	packet *queue.Packet
	ref    vault.Ref
	err    error
}

func (h *home) fanLocked(o *op, origin vault.Origin, again bool) fan {
	return fan{h: h, o: o, origin: origin, again: again}
}

// to gives the packet to s: to the vault first, then to the connection.
func (f *fan) to(s *session) {
	if f.h.v != nil && f.o.kind == queue.Must && !f.keep(s) {
		return
	}
	f.h.g.count.out.Add(1)
	if s.link != nil && f.packet == nil {
		f.packet = queue.Borrow(f.h.g.budget, f.h.payloadLocked(f.o.kind, f.o.packet))
	}
	s.push(f.packet, f.o.kind, f.o.key)
}

// keep puts the packet into the vault, for s. It reports false if s is not to get it: it has it already, or cannot.
func (f *fan) keep(s *session) bool {
	if f.again && s.slot.Has(f.origin) {
		return false
	}
	if f.ref == 0 && f.err == nil {
		if f.ref, f.err = f.h.v.Put(f.origin, f.h.payloadLocked(f.o.kind, f.o.packet)); f.err != nil {
			f.h.g.log.Error("a packet cannot be kept: the clients that it is for are kicked", "home", f.h.addr, "bytes", len(f.o.packet), "err", f.err)
		}
	}
	if f.err != nil {
		f.h.endLocked(s, frame.CodeTooLarge, "a packet for the client is larger than the gate can keep")
		return false
	}
	s.slot.Add(f.ref)
	return true
}

func (f *fan) done() {
	if f.packet != nil {
		f.packet.Release()
	}
}

// payloadLocked returns what a client gets of a packet: with Resume its kind before it. It is valid until the next call.
func (h *home) payloadLocked(kind queue.Kind, packet []byte) []byte {
	if h.g.cfg.Resume == nil {
		return packet
	}
	if kind == queue.Must {
		h.scratch = frame.AppendData(h.scratch[:0], packet)
	} else {
		h.scratch = frame.AppendLoose(h.scratch[:0], packet)
	}
	b := h.scratch
	if cap(b) > largest {
		h.scratch = nil
	}
	return b
}

func (h *home) joinLocked(s *session, name string) {
	g := h.groups[name]
	if g != nil && s.in(g) >= 0 {
		return
	}
	if g == nil {
		g = &group{name: name}
		h.groups[name] = g
		h.shareLocked(g)
	}
	g.add(s)
	h.saveGroupsLocked(s)
}

func (h *home) leaveLocked(s *session, name string) {
	if g := h.groups[name]; g != nil {
		if i := s.in(g); i >= 0 {
			s.remove(i)
			h.saveGroupsLocked(s)
		}
		h.tidyLocked(g)
	}
}

// tidyLocked forgets a group without members.
func (h *home) tidyLocked(g *group) {
	if len(g.members) == 0 {
		delete(h.groups, g.name)
		h.unshareLocked(g)
	}
}

func (h *home) saveGroupsLocked(s *session) {
	if h.v == nil || s.ended {
		return
	}
	if err := s.slot.SetGroups(s.groupNames()); err != nil {
		h.g.log.Warn("the groups of a session cannot be kept: it ends", "client", s.client, "err", err)
		h.endLocked(s, frame.CodeService, "its groups cannot be kept")
	}
}

// bindLocked has the packets of a session go to another service.
func (h *home) bindLocked(s *session, to Target) {
	if h.v != nil {
		if err := s.slot.SetBinding(appendTarget(nil, to)); err != nil {
			h.g.log.Warn("a binding cannot be kept: the session ends", "client", s.client, "service", to, "err", err)
			h.endLocked(s, frame.CodeService, "its service has too long a name")
			return
		}
	}
	h.unwatchLocked(s)
	s.target = to
	h.watchLocked(s)
}

// watchLocked has the home hear of the end of the service that s is bound to.
func (h *home) watchLocked(s *session) {
	pid := s.target.PID
	if pid.Handle == 0 {
		h.bindNameLocked(s)
		return
	}
	if h.bound[pid] == nil {
		h.bound[pid] = map[*session]struct{}{}
		m, err := h.rt.Monitor(h.pid, pid)
		if err != nil {
			h.g.log.Warn("a service cannot be watched", "service", pid, "err", err)
		}
		h.watches[pid] = m
	}
	h.bound[pid][s] = struct{}{}
}

func (h *home) unwatchLocked(s *session) {
	h.unbindNameLocked(s)
	pid := s.target.PID
	delete(h.bound[pid], s)
	if set, is := h.bound[pid]; is && len(set) == 0 {
		delete(h.bound, pid)
		if m := h.watches[pid]; m != nil {
			m.Stop()
		}
		delete(h.watches, pid)
	}
}

// bereave ends the sessions whose service has ended.
func (h *home) bereave(d actor.Down) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.bound[d.Service] {
		h.endLocked(s, frame.CodeService, "its service has ended")
	}
}

// orphan ends a session whose service was found to be gone, unless it has another one by now.
func (h *home) orphan(s *session, was Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.target == was {
		h.endLocked(s, frame.CodeService, "its service is not there")
	}
}

// newKey returns the key of a new session.
func newKey() (key [vault.KeySize]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}

// drained says that the client of a session has room again.
type drained struct{ s *session }

// ask queues a packet now, or when its client has room.
func (h *home) ask(c *actor.Context, m *actor.Message, a *Ask) {
	req, err := c.Later()
	if err != nil {
		return // a message, not a call: nobody waits
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	o, again, done := h.originLocked(m)
	s := h.sessions[a.Client.ID]
	switch {
	case done:
		req.Reply(nil)
	case s == nil || a.Client.Home != h.addr:
		req.Fail(fmt.Errorf("%w: %v", ErrNoSession, a.Client))
	case len(s.waiters) == 0 && s.ready():
		h.answerLocked(s, waiter{req: req, ask: a}, o, again)
	default: // it does not come again: the caller hears of a death, and asks again
		s.waiters = append(s.waiters, waiter{req: req, ask: a})
	}
	if o.Source != 0 {
		h.noteLocked(h.v.SetDone(o.Source, o.Number))
	}
}

// answerLocked queues what somebody waits with.
func (h *home) answerLocked(s *session, w waiter, o vault.Origin, again bool) {
	f := h.fanLocked(&op{kind: w.ask.Kind, packet: w.ask.Packet}, o, again)
	f.to(s)
	f.done()
	w.req.Reply(nil)
}

// ready reports whether there is room for what waits. What is for a client that is away waits in the vault.
func (s *session) ready() bool { return s.link == nil || !s.link.slow.Load() }

func (h *home) serveWaiters(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waitersLocked(s)
}

// waitersLocked queues what waits, one after the other, until the client is slow again.
func (h *home) waitersLocked(s *session) {
	for len(s.waiters) > 0 && s.ready() {
		w := s.waiters[0]
		s.waiters[0] = waiter{}
		s.waiters = s.waiters[1:]
		h.answerLocked(s, w, vault.Origin{}, false)
	}
	if len(s.waiters) == 0 {
		s.waiters = nil
	}
}

// onSlow is called by a connection at the edges of its queue.
func (g *Gate) onSlow(c *client.Conn, over bool, queued int) {
	l, _ := c.Owner().(*link)
	if l == nil {
		return
	}
	s := l.s.Load()
	if s == nil {
		return
	}
	l.slow.Store(over)
	if over {
		g.count.slow.Add(1)
	} else {
		s.h.nudge(s)
	}
	s.post(&Slow{Client: s.client, Over: over, Queued: queued}, nil)
}
