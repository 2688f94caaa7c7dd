// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// A Context is what a handler acts through. It belongs to the handler's goroutine
// and to one message: nobody else may use it, and not after the handler has returned.
//
// It is a coroutine: it fetches services that have something to do and runs their
// handlers. One that waits is put aside, and another takes its service on.
type Context struct {
	rt     *Runtime
	src    source    // of its requests: itself
	number uint64    // in rt.all
	w      *worker   // that runs it
	s      *service  // that it runs, nil while it runs none
	turn   turn      // how much longer it may
	msg    Message   // being handled
	done   bool      // msg is answered, or its answer is somebody else's duty
	later  bool      // it is a Request's
	told   bool      // Events.Panicked was told of its error
	ctx    *handling // of msg; nil until it is asked for
	over   bool      // the loop ends

	next  func() (struct{}, bool)
	yield func(struct{}) bool
	stop  func()

	// While it is put aside.
	gaveUp  *service // its handler waits
	back    *service // its handler has ended, and whoever resumed it goes on
	nested  bool     // another context has resumed it
	act     action
	to      PID
	out     Message
	session uint64    // that it waits under
	why     reason    // for people
	since   time.Time // zero unless Config.Trace
	value   any       // what came
	err     error

	// For those that look what it does, and for cycles.
	waiting   atomic.Uint64 // session that it waits under; 0: it does not wait
	up        atomic.Pointer[Context]
	upSession atomic.Uint64
	upFrom    atomic.Uint64 // handle of up's service: sessions are numbers of one service
	of        atomic.Uint64 // handle of the service whose message it handles, or has handled last
	inside    atomic.Int32  // sections that it is in

	// msg and why are not written while looked is set and inspect held: see peek.
	turns     atomic.Uint64 // messages that it has handled, or passed on
	looked    atomic.Bool
	inspect   sync.Mutex
	goroutine uint64 // its number in stack traces

	trip atomic.Pointer[trip] // what msg has brought along, and SetTrace; nil: nothing
}

// An action is what is left to do when a context is put aside.
type action uint8

const (
	nothing action = iota
	sendRequest
	sendWithRoom
)

// reason is what a context waits for.
type reason struct {
	what waitFor
	name string // of what the program has named
	of   PID
}

type waitFor uint8

const (
	anAnswer waitFor = iota
	theStart
	room
	sleep
	itsTurn
	aWakeup
	aSection
)

var waitNames = [...]string{"an answer", "start", "room in the mailbox", "sleep", "its turn", "a wakeup of ", "serial section "}

func (r *reason) String() string { return waitNames[r.what] + r.name }

// is reports whether r is other, unless they have names: comparing those takes too long.
func (r *reason) is(other *reason) bool {
	return r.what == other.what && r.of == other.of && len(r.name) == 0 && len(other.name) == 0
}

func (rt *Runtime) newContext() *Context {
	c := &Context{rt: rt}
	c.src.c = c
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		c.loop()
	})
	rt.all.add(c)
	return c
}

// loop is the coroutine. It has no functions between that it would return through: after
// a switch the processor predicts each return wrongly.
func (c *Context) loop() {
	c.goroutine = goroutineNumber()
	defer c.rt.all.remove(c)
	for !c.over && (c.s != nil || c.fetch()) {
		// Messages of the service, until it is somebody else's, or nobody's.
		for s := c.s; c.s != nil; {
			switch {
			case s.ends.Load():
				c.teardown()
			case c.turn.over(c.rt, s.head != nil):
				c.s = nil
				if s.leave() {
					c.rt.queue.put(s)
				}
			default:
				switch got, mine := s.next(&c.msg); {
				case got:
					if x := c.dispatch(); x != nil {
						c.handOver(x)
					}
				case !mine:
					c.s = nil
				}
			}
			if c.nested {
				c.giveBack()
			}
		}
		c.msg = Message{}
	}
}

// giveBack gives the service back to the context that has resumed c, whose handler has
// ended. c itself goes on when a worker needs one.
func (c *Context) giveBack() {
	c.nested = false
	c.back, c.s = c.s, nil
	c.msg = Message{}
	if !c.yield(struct{}{}) {
		c.over = true
	}
}

// A turn bounds how long a service goes on while others may wait: by messages, and by
// time. The clock is read rarely, for that takes as long as a message: after 4, 8, 16
// messages and so on, and each 16; or, where others wait already, from the second message on.
type turn struct {
	n, look, most int
	yields        bool          // the service has sent something to itself: others may go first
	budget, until time.Duration // until: by the runtime's clock; 0: it was not read yet
	clock         time.Duration // when it was read last, in this turn or an earlier one
}

func (t *turn) begin(rt *Runtime, weight int) {
	*t = turn{look: firstLook, most: rt.cfg.Slice * weight, budget: turnTime * time.Duration(weight), clock: t.clock}
	if rt.queue.size.Load() > 0 {
		t.look, t.until = 2, t.clock+t.budget // an old clock ends the turn early, once
	}
}

const (
	turnTime  = 20 * time.Microsecond // for a weight of 1
	firstLook = 4                     // a turn of a message or two does without
	lookEach  = 16
)

// over reports whether it is somebody else's turn. It is called before each message; more: there
// is one.
func (t *turn) over(rt *Runtime, more bool) bool {
	t.n++
	if t.n > t.most || t.yields && rt.queue.size.Load() > 0 {
		return true
	}
	if t.n < t.look || t.n == 2 && !more { // many have but one
		return false
	}
	t.clock = time.Since(rt.born)
	switch {
	case t.until == 0:
		t.until = t.clock + t.budget
	case t.clock > t.until:
		return true
	}
	t.look += min(t.look, lookEach)
	return false
}

// dispatch does what the message at hand says, or returns who waits for it.
func (c *Context) dispatch() *Context {
	s := c.s
	switch c.msg.Kind {
	case KindReply, kindRoom, KindError, kindExpired:
		x := s.waits.take(c.msg.Session)
		if x == nil { // a late answer
			c.rt.late.Add(1)
			return nil
		}
		if c.msg.Kind == KindReply || c.msg.Kind == kindRoom {
			x.value = c.msg.Value
		} else {
			x.err, _ = c.msg.Value.(error)
		}
		return x
	case kindGiveUp:
		x := s.waits.any()
		if x != nil {
			x.err = ErrRestarting
		}
		return x
	}
	if src := c.msg.src; src != nil && src.held != nil && c.rt.pause.on.Load() && putBack(src.held) {
		return nil
	}
	if s.holds() {
		s.hold(&c.msg)
	} else {
		c.handle()
	}
	return nil
}

// handOver has x, which knows its answer, go on with c's service, until it waits again
// or its handler has ended.
func (c *Context) handOver(x *Context) {
	w := c.w
	sys.StoreRelease64(&c.turns, c.turns.Load()+1)
	x.w, x.s, c.s = w, c.s, nil
	x.nested = true
	w.runs(x)
	x.next()
	w.runs(c)
	if x.gaveUp != nil {
		w.settle(x)
	} else {
		c.s, x.back = x.back, nil
		w.keep(x)
	}
	c.heed() // for turns: behind the lock that settle takes, or what x does when its handler ends
}

// handle runs the service's handler, and sees to it that a caller hears from it.
func (c *Context) handle() {
	s := c.s
	switch c.msg.Kind {
	case kindTimer:
		if !c.msg.Value.(*Timer).due(s, &c.msg) {
			return
		}
	case kindFork:
		if c.msg.Session != uint64(s.life()) { // it belongs to the handler before the restart
			return
		}
		c.msg.Session = 0
	}
	c.done, c.later, c.told = !c.msg.IsCall(), false, false
	if c.msg.trips || c.trip.Load() != nil {
		c.trip.Store(c.msg.trip())
	}
	sys.StoreRelease64(&c.of, uint64(s.handle)) // always: it is behind what has written msg, for peek
	err := c.guarded()
	if err != nil && c.msg.Kind == kindStart {
		s.finish(err)
	}
	if !c.done {
		if err == nil {
			err = ErrNoReply
		}
		c.answer(nil, err)
	} else if err != nil && !c.told {
		c.rt.failed(s, &c.msg, err)
	}
	c.finished()
	c.turns.Add(1)
	c.heed()
}

// finished lets go of what the message at hand came in, and of its context.
func (c *Context) finished() {
	c.msg.release()
	if h := c.ctx; h != nil {
		if c.ctx = nil; !c.later {
			h.end(errHandled)
		}
	}
}

// heed waits for whoever reads what c does, before c does something else.
func (c *Context) heed() {
	if c.looked.Load() {
		c.inspect.Lock()
		c.inspect.Unlock() //nolint:staticcheck // it was held by who reads
	}
}

// guarded calls what handles the message. A panic becomes an error.
func (c *Context) guarded() (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			e := &PanicError{Value: v, Stack: debug.Stack()}
			err = e
			c.rt.panicked(c.s, &c.msg, e)
			c.told = true
			if c.later { // who would answer now
				c.done = false
			}
			c.failWith(e)
			return
		}
		c.exiting()
	}()
	switch {
	case c.rt.profile.Load():
		err = c.timed()
	case c.msg.Kind < kindSystem || c.msg.Kind >= KindUser: // as call does, with a frame less
		err = c.s.h.Handle(c, &c.msg)
	default:
		err = c.call()
	}
	returned = true
	return err
}

// timed is call, with a look at the clock before and after.
func (c *Context) timed() error {
	began := time.Now()
	defer func() { c.s.spent.Add(int64(time.Since(began))) }()
	return c.call()
}

// call calls what handles the message.
func (c *Context) call() error {
	switch c.msg.Kind {
	case kindStart:
		return c.start()
	case kindFork:
		c.msg.Value.(func(*Context))(c)
		return nil
	case kindTimer:
		c.msg.Value.(*Timer).f(c)
		return nil
	case kindExit:
		c.s.h.(Stopper).Stop(c, c.s.endReason())
		return nil
	case kindSnapshot:
		return c.snapshot()
	}
	return c.s.h.Handle(c, &c.msg)
}

// exiting is called while runtime.Goexit ends the coroutine, and with it the
// worker's goroutine, which another one follows.
func (c *Context) exiting() {
	s := c.s
	if s == nil { // it waited
		return
	}
	if !c.done {
		c.answer(nil, ErrGoexit)
	}
	c.rt.failed(s, &c.msg, ErrGoexit)
	c.finished()
	if c.msg.Kind == kindStart {
		s.finish(ErrGoexit)
	}
	c.s = nil
	if s.leave() {
		c.rt.queue.put(s)
	}
}

// answer ends the request at hand.
func (c *Context) answer(v any, err error) {
	c.done = true
	c.rt.reply(c.w, c.msg.From, c.msg.Session, v, err)
}

// wait puts the handler aside until what has session is here. What is in act is done
// when that is so.
func (c *Context) wait(act action, why reason) (any, error) {
	c.prepare(why)
	return c.park(act)
}

// prepare notes what c is about to wait for, for those that look.
func (c *Context) prepare(why reason) {
	if trace := c.rt.trace.Load(); trace || !c.since.IsZero() || !c.why.is(&why) {
		c.waiting.Store(0) // again: now it is a barrier
		c.heed()
		c.why, c.since = why, time.Time{}
		if trace {
			c.since = time.Now()
		}
	}
	c.follow()
}

// goesOn says that c waits no more. Who looks may see it a little later: before c changes
// what they read it looks for them, behind a barrier.
func (c *Context) goesOn() { sys.StoreRelease64(&c.waiting, 0) }

// park is wait for a context that is prepared.
func (c *Context) park(act action) (any, error) {
	if !c.lay(act) || !c.yield(struct{}{}) {
		return nil, ErrStopped
	}
	return c.came()
}

// lay has c give up its service when it yields. It reports false where there is nothing to
// wait for any more.
func (c *Context) lay(act action) bool {
	s := c.s
	if s.ends.Load() || c.msg.Kind == kindSnapshot {
		s.waits.take(c.session)
		c.goesOn()
		return false
	}
	c.act = act
	c.gaveUp, c.s = s, nil
	c.nested = false
	return true
}

// came returns what c has waited for.
func (c *Context) came() (any, error) {
	c.goesOn()
	v, err := c.value, c.err
	c.value, c.err = nil, nil
	return v, err
}

// waits are the contexts of a service that wait. A session is the place in the list,
// from 1, and how often that was used, in the upper half.
type waits struct {
	list []waiting
	free []uint32
	n    int
	next int    // where any goes on
	base uint32 // use of new places: above those of the program before
}

type waiting struct {
	c   *Context
	use uint32
}

// add returns the session under which c waits.
func (s *service) add(c *Context) uint64 {
	if s.waits == nil {
		s.waits = new(waits)
	}
	w := s.waits
	var i uint32
	if n := len(w.free); n > 0 {
		i = w.free[n-1]
		w.free = w.free[:n-1]
	} else {
		i = uint32(len(w.list))
		w.list = append(w.list, waiting{use: w.base})
	}
	w.list[i].c = c
	w.n++
	c.session = uint64(w.list[i].use)<<32 | uint64(i+1)
	return c.session
}

// take returns who waits under session, nobody if that is over.
func (w *waits) take(session uint64) *Context {
	i := uint32(session) - 1
	if w == nil || i >= uint32(len(w.list)) || w.list[i].use != uint32(session>>32) {
		return nil
	}
	c := w.list[i].c
	if c != nil {
		w.list[i] = waiting{use: w.list[i].use + 1}
		w.free = append(w.free, i)
		w.n--
	}
	return c
}

// any takes one that waits, or returns nil. It goes round, so that taking all takes one
// walk.
func (w *waits) any() *Context {
	if w == nil || w.n == 0 {
		return nil
	}
	for range w.list {
		i := w.next % len(w.list)
		w.next = i + 1
		if w.list[i].c != nil {
			return w.take(uint64(w.list[i].use)<<32 | uint64(i+1))
		}
	}
	return nil
}

func (w *waits) count() int {
	if w == nil {
		return 0
	}
	return w.n
}
