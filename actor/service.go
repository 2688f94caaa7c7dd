// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A Handler handles the messages of one service, one at a time. An error that it
// returns is the answer if m is a call that was not answered; else it is
// reported (Events.Failed). The service goes on in any case.
type Handler interface {
	Handle(c *Context, m *Message) error
}

// A Starter is a handler that has something to do before the first message. Meanwhile
// messages wait. An error ends the service.
type Starter interface {
	Start(c *Context) error
}

// A Stopper is a handler that has something to do when its service ends, also when it
// is killed. It may send, but its waits return ErrStopped. reason is nil when the service ended as it wanted.
type Stopper interface {
	Stop(c *Context, reason error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(c *Context, m *Message) error

// Handle calls f.
func (f HandlerFunc) Handle(c *Context, m *Message) error { return f(c, m) }

// Func makes a Spec's New of a function that has no state of its own.
func Func(f func(c *Context, m *Message) error) func() Handler {
	return func() Handler { return HandlerFunc(f) }
}

// A Spec says what a service is to be. Only New is needed.
type Spec struct {
	New     func() Handler // makes the handler, anew at each restart
	Name    string         // found by Runtime.Lookup; empty: none
	Mailbox Mailbox
	Weight  int     // slices a turn; 0: 1, at most 255
	Restart Restart // what happens when it fails
	OnPanic OnPanic
	Args    any // for the program: Context.Args

	// Type names the Spec for a hot restart (see Carrier), where several services are made of it, or
	// its Name is not in each program from the start. "": its Name does.
	Type string
	// Stateless has a hot restart keep the service, with its PID, though its handler is no Carrier: New makes
	// the handler, and its Start runs.
	Stateless bool

	// MaxWaiting is how many of its handlers may wait at once; 0: 10,000. Each takes 3 to 8
	// KiB. When they do, messages wait as if the service were busy, and Events.Overloaded tells. Handlers
	// that wait for each other within one service need room for all of them.
	MaxWaiting int

	// ReleaseEarly has messages from other processes count as received once they are in the
	// mailbox, and not when their handler has returned: what waits there is lost if the process is killed, and nothing comes again.
	ReleaseEarly bool
}

// OnPanic says what a panic in a handler means for its service. The caller gets a
// PanicError and Events.Panicked is called in any case.
type OnPanic uint8

// The two meanings.
const (
	GoOn OnPanic = iota // the service goes on, as in skynet
	Fail                // it ends with the PanicError as its reason, or restarts
)

// What a service is.
const (
	ordinary uint8 = iota
	external       // a goroutine's: an ear
	many           // a group or a pool
)

// The states of a service.
const (
	running  uint8 = iota
	draining       // nobody can send; it ends when it has done what it has
	dying          // it ends now
	resting        // it waits to be started again
	dead
)

// firstOverload is the depth of a mailbox from which it is reported, at each doubling. When it was
// empty that begins anew, but the same depth is reported once in alarmEach: some mailboxes fill
// and empty in milliseconds.
const (
	firstOverload = 1024
	alarmEach     = time.Second
)

// A service is one of a runtime. Its first cache line is for whoever runs it, and written
// rarely; a send to a busy service writes the second one alone, and a slot in a chunk.
type service struct {
	handle Handle
	rt     *Runtime
	h      Handler     // of whoever runs the service, as are the next three
	head   *chunk      // taken from the box
	waits  *waits      // nil until it waits for the first time
	own    *own        // what few services have
	ends   atomic.Bool // state is dying: for a look without the lock
	kind   uint8
	weight uint8
	full   Full
	early  bool // messages from other processes are released when they are in the mailbox

	mu     spinLock // guards what follows; two are never held at once
	limit  int      // of the box
	loud   int      // the depth that is reported next
	state  uint8
	queued bool // somebody runs it, or it is in a queue
	jam    bool // senders wait for room
	frozen bool // nothing is handled: the process is about to become another program
	box    box
	taken  uint64 // messages, from the box
	asleep int    // handlers that waited when mu was taken last
	extra  *extra

	spent atomic.Int64 // nanoseconds in handlers, while profiled
	most  int          // handlers that may wait

	_ [24]byte // to 256, which the allocator aligns
}

// extra is what few services have; guarded by the service's mu.
type extra struct {
	spec      *Spec
	name      string
	reason    error // why it ends
	final     bool  // somebody has stopped or killed it
	watchers  []watcher
	blocked   []blocked
	dropped   uint64
	deepest   int       // depth that was reported last
	alarm     time.Time // and when
	groups    []*Group
	handlings []*handling
	over      chan struct{}                     // closed when it has ended; nil while nobody asks
	post      func(w *worker, m *Message) error // of a group or a pool
	pool      *Pool
	group     *Group
	deferred  map[RequestID]bool // answers that callers elsewhere are owed; false: by nobody yet, after a hot restart
	ear       *ear
}

// own is what few services have, and whoever runs them alone uses.
type own struct {
	life     uint32    // restarts so far
	starts   bool      // its Start runs
	stopped  bool      // its Stop has run
	held     []Message // put aside: see holds
	told     bool      // that as many handlers wait as may
	tokens   map[any]uint64
	restarts []time.Time
	restored *restored // until its first message
}

// blocked is a message that waits for room; session of from is told when it has it.
type blocked struct {
	m       Message
	from    *service // nil: nobody is told
	session uint64
	cancel  func() bool // of a Remote
}

func (s *service) pid() PID { return PID{Node: s.rt.cfg.Node, Handle: s.handle} }

// rest returns s.extra, made if need be. With mu held.
func (s *service) rest() *extra {
	if s.extra == nil {
		s.extra = new(extra)
	}
	return s.extra
}

// mine returns s.own, made if need be. For whoever runs s.
func (s *service) mine() *own {
	if s.own == nil {
		s.own = new(own)
	}
	return s.own
}

// name returns the service's name, or "".
func (s *service) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return ""
	}
	return s.extra.name
}

// life counts its restarts. For whoever runs s.
func (s *service) life() uint32 {
	if s.own == nil {
		return 0
	}
	return s.own.life
}

// errBlocked means that the sender has to wait for room.
var errBlocked = errors.New("no room yet")

// post puts m into the mailbox. run: the caller has to schedule the service.
// The error is ErrNoService, ErrMailboxFull or errBlocked.
func (s *service) post(m *Message) (run bool, err error) {
	s.mu.Lock()
	if s.state != running || s.jam || s.box.n >= s.limit {
		return s.postSlow(m)
	}
	s.box.put(m)
	run = s.wake()
	if s.box.n < s.loud {
		s.mu.Unlock()
		return run, nil
	}
	depth := s.box.n
	s.loud = 2 * depth
	tell := s.alarm(depth)
	s.mu.Unlock()
	if tell {
		s.rt.overloaded(s, depth)
	}
	return run, nil
}

// alarm reports whether the depth is to be reported: it is the deepest in a while. With
// mu held.
func (s *service) alarm(depth int) bool {
	e, now := s.rest(), time.Now()
	if depth <= e.deepest && now.Sub(e.alarm) < alarmEach {
		return false
	}
	e.deepest, e.alarm = depth, now
	return true
}

// postQuick is post where m is simply taken, and nobody has to be told of anything. Not ok: it
// is not taken, and post has to do it.
func (s *service) postQuick(m *Message) (run, ok bool) {
	s.mu.Lock()
	if ok = s.state == running && !s.jam && s.box.n < s.limit && s.box.n+1 < s.loud; ok {
		s.box.put(m)
		run = s.wake()
	}
	s.mu.Unlock()
	return run, ok
}

// postSlow is post for a service that takes not everything. It gives mu back.
func (s *service) postSlow(m *Message) (run bool, err error) {
	system := m.system()
	var old Message
	dropped := false
	switch {
	case s.state == dead || !system && s.leaves():
		err = ErrNoService
	case s.frozen && system: // it stays there until the service goes on
		s.box.put(m)
		s.mu.Unlock()
		return false, nil
	case s.frozen:
		err = errBlocked
	case system || !s.jam && s.box.n < s.limit:
	case s.full == Block:
		err = errBlocked
	case s.full == Reject:
		err = ErrMailboxFull
	default:
		if dropped = s.box.drop(&old); dropped {
			s.rest().dropped++
		}
	}
	if err == nil {
		s.box.put(m)
		run = s.wake()
	}
	s.mu.Unlock()
	if dropped {
		s.rt.bounce(s.pid(), &old, ErrDropped)
	}
	return run, err
}

// leaves reports whether s takes nothing any more: it ends, and does not come back. With
// mu held.
func (s *service) leaves() bool {
	switch s.state {
	case running, resting:
		return false
	case dying:
		e := s.extra
		return e == nil || e.final || e.spec == nil || e.spec.Restart.When == Never
	}
	return true
}

// maxBlocked is how many messages wait outside of a full mailbox before those from elsewhere are refused. They are
// where those of other services would not come by if they stayed in their lane.
const maxBlocked = 1 << 16

// wait has m wait for room, if there still is none, and else is post. room: m is in
// the mailbox.
func (s *service) wait(b *blocked) (run, room bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaves():
		return false, false, ErrNoService
	case !s.jam && s.box.n < s.limit:
		s.box.put(&b.m)
		return s.wake(), true, nil
	case len(s.rest().blocked) >= maxBlocked && b.m.src != nil && b.m.src.held != nil: // its sender does not wait
		return false, false, fmt.Errorf("%w: %d messages wait outside of it", ErrMailboxFull, maxBlocked)
	}
	s.jam = true
	s.extra.blocked = append(s.extra.blocked, *b)
	return false, false, nil
}

// forget takes a message out that waits for room. It reports false when it has got it.
func (s *service) forget(from *service, session uint64) bool {
	if s.kind == many {
		return s.extra.pool != nil && s.extra.pool.forget(from, session)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return false
	}
	for i, b := range s.extra.blocked {
		if b.from == from && b.session == session {
			s.extra.blocked = append(s.extra.blocked[:i], s.extra.blocked[i+1:]...)
			s.jam = len(s.extra.blocked) > 0 || s.frozen
			return true
		}
	}
	return false
}

// admit lets those in that wait for room, when half of it is free, and returns whom to
// tell. With mu held.
func (s *service) admit() (tell []blocked) {
	if s.box.n > s.limit/2 || s.frozen {
		return nil
	}
	e := s.extra
	n := min(len(e.blocked), max(s.limit-s.box.n, 0))
	for i := range e.blocked[:n] {
		s.box.put(&e.blocked[i].m)
	}
	tell = append(tell, e.blocked[:n]...)
	clear(e.blocked[:n])
	e.blocked = e.blocked[n:]
	s.jam = len(e.blocked) > 0
	return tell
}

// wake reports whether the service has to be scheduled now. With mu held.
func (s *service) wake() bool {
	if s.queued {
		return false
	}
	s.queued = true
	return true
}

// next takes the next message for whoever runs s. Without one the service is nobody's
// any more, unless it is to end now (mine).
func (s *service) next(m *Message) (got, mine bool) {
	if s.unhold(m) { // it came before what is in head
		return true, true
	}
	if k := s.head; k != nil {
		if k.shift(m); k.at == k.n {
			s.head = k.next
			k.free()
		}
		return true, true
	}
	var tell []blocked
	s.mu.Lock()
	if s.jam && s.box.n == 0 { // as many were put aside as it takes
		tell = s.admit()
	}
	if s.box.n == 0 {
		s.asleep = s.waits.count()
		if s.state == draining && s.waits.count() == 0 {
			s.state = dying
			s.ends.Store(true)
		}
		s.queued = s.state == dying
		mine = s.queued
		s.mu.Unlock()
		return false, mine
	}
	before := s.box.n
	s.head = s.box.take(m)
	s.taken += uint64(before - s.box.n)
	if s.jam {
		tell = append(tell, s.admit()...)
	}
	if s.box.n == 0 {
		s.loud = firstOverload
	}
	s.mu.Unlock()
	for i := range tell {
		s.rt.hasRoom(&tell[i], nil)
	}
	return true, true
}

// holds reports whether messages wait, though they are taken from the box: while the
// service starts, and while as many of its handlers wait as may.
func (s *service) holds() bool {
	return s.own != nil && s.own.starts || s.waits.count() >= s.most
}

// hold puts aside a message, which still counts as one that waits.
func (s *service) hold(m *Message) {
	o := s.mine()
	o.held = append(o.held, *m)
	s.mu.Lock()
	s.limit--
	full := s.limit < 0 && s.full == DropOldest
	s.mu.Unlock()
	if full {
		s.dropHeld()
	}
	if n := s.waits.count(); n >= s.most && !o.told {
		o.told = true
		s.rt.tooMany(s, n)
	}
}

// dropHeld drops the oldest message of a user that was put aside.
func (s *service) dropHeld() {
	i := slices.IndexFunc(s.own.held, func(m Message) bool { return !m.system() })
	if i < 0 {
		return
	}
	old := s.own.held[i]
	s.own.held = slices.Delete(s.own.held, i, i+1)
	s.mu.Lock()
	s.limit++
	s.rest().dropped++
	s.mu.Unlock()
	s.rt.bounce(s.pid(), &old, ErrDropped)
}

// unhold takes the first message that was put aside.
func (s *service) unhold(m *Message) bool {
	if s.own == nil || len(s.own.held) == 0 || s.holds() {
		return false
	}
	o := s.own
	*m = o.held[0]
	if o.held = o.held[1:]; len(o.held) == 0 {
		o.held, o.told = nil, false
	}
	s.mu.Lock()
	s.limit++
	s.mu.Unlock()
	return true
}

// leave gives up the service after a slice. It reports whether there is more to do.
func (s *service) leave() bool {
	if s.head != nil || s.own != nil && len(s.own.held) > 0 && !s.holds() {
		return true
	}
	s.mu.Lock()
	s.asleep = s.waits.count()
	more := s.box.n > 0 || s.state != running
	s.queued = more
	s.mu.Unlock()
	return more
}
