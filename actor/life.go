// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"time"
)

// Start makes a service, and returns when its handler's Start has. Then the service has
// its name. Errors: ErrNameTaken, ErrStopped (the runtime is shut down), Start's own, ctx's (the service is killed then).
// Not for handlers: Context.Start.
func (rt *Runtime) Start(ctx context.Context, spec Spec) (PID, error) {
	e := rt.ear()
	defer rt.giveBack(e)
	session := e.expect()
	s, waits, err := rt.spawn(nil, &spec, e.pid, session)
	if err != nil || !waits {
		return s.pidOr(err), err
	}
	if _, err := e.wait(ctx); err != nil {
		rt.end(s, err)
		return PID{}, fmt.Errorf("start %s: %w", s.title(), err)
	}
	return s.pid(), nil
}

// Spawn makes a service and does not wait for its Start: messages do. When that
// fails, Events.Ended tells.
func (rt *Runtime) Spawn(spec Spec) (PID, error) {
	s, _, err := rt.spawn(nil, &spec, PID{}, 0)
	return s.pidOr(err), err
}

// Start is Runtime.Start for a handler. Its service handles other messages meanwhile.
func (c *Context) Start(spec Spec) (PID, error) {
	self := c.mine()
	session := self.add(c)
	s, waits, err := c.rt.spawn(c.w, &spec, self.pid(), session)
	if err != nil || !waits {
		self.waits.take(session)
		return s.pidOr(err), err
	}
	if _, err := c.wait(nothing, reason{what: theStart, of: s.pid()}); err != nil {
		c.rt.end(s, err)
		return PID{}, fmt.Errorf("start %s: %w", s.title(), err)
	}
	return s.pid(), nil
}

// Spawn is Runtime.Spawn.
func (c *Context) Spawn(spec Spec) (PID, error) {
	s, _, err := c.rt.spawn(c.w, &spec, PID{}, 0)
	return s.pidOr(err), err
}

func (s *service) pidOr(err error) PID {
	if err != nil {
		return PID{}
	}
	return s.pid()
}

// title is the service's name, or its PID.
func (s *service) title() string {
	if name := s.name(); name != "" {
		return fmt.Sprintf("%s (%s)", name, s.pid())
	}
	return s.pid().String()
}

// title is the service's title, while there is one.
func (rt *Runtime) title(p PID) string {
	if s, _ := rt.local(p); s != nil {
		return s.title()
	}
	return p.String()
}

// spawn makes a service. waits: its Start answers session of from.
func (rt *Runtime) spawn(w *worker, spec *Spec, from PID, session uint64) (s *service, waits bool, err error) {
	h, err := spec.make()
	if err != nil {
		return nil, false, err
	}
	rt.ordinary.Add(1) // before the look at closing: from now on Shutdown waits
	s, starts, err := rt.create(h, spec, from, session)
	switch {
	case s == nil:
		rt.oneLess()
		return nil, false, err
	case starts:
		rt.schedule(w, s)
	}
	if rt.closing.Load() { // Shutdown may have passed it by
		rt.end(s, ErrStopped)
	}
	return s, starts && session != 0 && err == nil, err
}

// create makes a service that nobody runs yet: its Start does not either. With an error it
// may return one that somebody has ended already, and that a worker has to bury.
func (rt *Runtime) create(h Handler, spec *Spec, from PID, session uint64) (s *service, starts bool, err error) {
	if rt.closing.Load() {
		return nil, false, fmt.Errorf("start %q: the runtime: %w", spec.Name, ErrStopped)
	}
	if s, err = rt.body(h, spec); err != nil {
		return nil, false, err
	}
	if _, starts = h.(Starter); starts {
		s.box.put(&Message{Kind: kindStart, From: from, Session: session})
		s.queued = true
	}
	if !rt.table.add(s) {
		return nil, false, fmt.Errorf("start %q: there are too many services", spec.Name)
	}
	if spec.Name == "" {
		return s, starts, nil
	}
	if err = rt.names.take(rt, spec.Name, s); err != nil && s.abandon() {
		rt.table.remove(s)
		return nil, false, err
	}
	return s, starts, err
}

// body makes a service that has no handle.
func (rt *Runtime) body(h Handler, spec *Spec) (*service, error) {
	if spec.Weight < 0 || spec.Weight > math.MaxUint8 {
		return nil, fmt.Errorf("start %q: weight %d: want 1 to 255", spec.Name, spec.Weight)
	}
	s := &service{rt: rt, h: h, limit: spec.Mailbox.limit(), full: spec.Mailbox.Full, early: spec.ReleaseEarly, weight: uint8(max(spec.Weight, 1)), loud: firstOverload, most: 10_000}
	if spec.MaxWaiting > 0 {
		s.most = spec.MaxWaiting
	}
	if spec.keeps() {
		own := *spec // spec itself would be allocated for every service
		s.extra = &extra{spec: &own}
	}
	return s, nil
}

// abandon ends a service that has not begun, unless somebody else ends it already.
func (s *service) abandon() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != running {
		return false
	}
	s.state = dead
	return true
}

// oneLess counts a service that is gone.
func (rt *Runtime) oneLess() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.ordinary.Add(-1)
	rt.gone.Broadcast()
}

// keeps reports whether the service needs its Spec later.
func (spec *Spec) keeps() bool {
	return spec.Name != "" || spec.Restart.When != Never || spec.OnPanic != GoOn || spec.Args != nil || spec.Type != ""
}

// make calls New.
func (spec *Spec) make() (h Handler, err error) {
	if spec.New == nil {
		return nil, errHandler
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("start %q: New: %w", spec.Name, &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	if h = spec.New(); h == nil {
		return nil, errHandler
	}
	return h, nil
}

// start runs the handler's Start; a service that was resting gets its handler first.
func (c *Context) start() error {
	s, o := c.s, c.s.mine()
	if o.restored != nil {
		return c.restore(o)
	}
	if s.h == nil {
		h, err := s.spec().make()
		if err != nil {
			return err
		}
		s.h, o.stopped = h, false
		o.life++
	}
	st, ok := s.h.(Starter)
	if !ok {
		return nil
	}
	o.starts = true
	defer func() { o.starts = false }()
	if err := st.Start(c); err != nil {
		return err
	}
	if !c.done {
		c.answer(nil, nil)
	}
	return nil
}

// spec returns what the service was made of, if it keeps that.
func (s *service) spec() *Spec {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return nil
	}
	return s.extra.spec
}

// Stop ends a service in good order: from now on nobody can send to it; it handles
// what waits, and what its handlers wait for, and ends. It returns when that is so; when ctx is over
// first, the service is killed. A service that is gone is no error. Not for handlers.
func (rt *Runtime) Stop(ctx context.Context, p PID) error {
	s, here := rt.local(p)
	if !here || s == nil || s.kind != ordinary {
		return rt.notHere(p, here)
	}
	over := s.overChan()
	rt.drain(s)
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		rt.end(s, fmt.Errorf("stop: %w", ctx.Err()))
		return fmt.Errorf("stop %s: %w", s.title(), ctx.Err())
	}
}

func (rt *Runtime) notHere(p PID, here bool) error {
	if !here {
		return fmt.Errorf("%v: %w", p, ErrNoRemote)
	}
	return nil
}

// Kill ends a service as soon as its handler returns or waits: what waits in its
// mailbox goes back to the senders. It does not wait for that.
func (rt *Runtime) Kill(p PID) error {
	s, here := rt.local(p)
	switch {
	case !here:
		return fmt.Errorf("%v: %w", p, ErrNoRemote)
	case s == nil || s.kind != ordinary:
		return fmt.Errorf("%v: %w", p, ErrNoService)
	}
	rt.end(s, ErrKilled)
	return nil
}

// Exit ends the handler's own service when the handler returns. reason nil is as it
// should be; others count as a failure for Spec.Restart, and are what monitors are told.
func (c *Context) Exit(reason error) { c.mine().finish(reason) }

// Stop asks a service to end in good order, as Runtime.Stop, and does not wait.
func (c *Context) Stop(p PID) error {
	s, here := c.rt.local(p)
	if !here || s == nil || s.kind != ordinary {
		return c.rt.notHere(p, here)
	}
	c.rt.drain(s)
	return nil
}

// overChan returns a channel that is closed when s has ended.
func (s *service) overChan() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.rest()
	if e.over == nil {
		e.over = make(chan struct{})
		if s.state == dead {
			close(e.over)
		}
	}
	return e.over
}

// drain has s end when it has nothing to do any more.
func (rt *Runtime) drain(s *service) {
	s.mu.Lock()
	run := false
	switch s.state {
	case running:
		s.rest().final = true
		s.state = draining
		run = s.wake()
	case dying:
		s.rest().final = true
	case resting:
		s.extra.final = true
		s.state = dying
		s.ends.Store(true)
		run = true
	}
	s.mu.Unlock()
	if run {
		rt.schedule(nil, s)
	}
}

// end has s end now.
func (rt *Runtime) end(s *service, reason error) {
	s.mu.Lock()
	run := s.state == resting
	if s.state == dying { // it would perhaps have started again
		s.rest().final = true
	}
	if s.state < dying || s.state == resting {
		s.state = dying
		s.rest().reason = reason
		s.extra.final = true
		s.ends.Store(true)
		run = s.wake() || run
	}
	s.mu.Unlock()
	s.endHandlings(ErrStopped)
	if run {
		rt.schedule(nil, s)
	}
}

// finish is end for whoever runs s.
func (s *service) finish(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state < dying {
		s.state = dying
		if reason != nil {
			s.rest().reason = reason
		}
		s.ends.Store(true)
	}
}

// failWith is what a panic means for the service.
func (c *Context) failWith(err error) {
	s := c.s
	if spec := s.spec(); c.msg.Kind == kindStart || spec != nil && spec.OnPanic == Fail {
		s.finish(err)
	}
}

// teardown does one step of ending the service: first the waits of its handlers end,
// one after the other, then its Stop runs, then it is gone, or rests.
func (c *Context) teardown() {
	s := c.s
	if x := s.waits.any(); x != nil {
		x.err = ErrStopped
		c.handOver(x)
		return
	}
	if o := s.mine(); !o.stopped {
		o.stopped = true
		if _, ok := s.h.(Stopper); ok {
			c.msg = Message{Kind: kindExit}
			c.handle()
			return // it may have waited in vain: look again
		}
	}
	reason := s.endReason()
	if wait, again := s.restart(reason); again {
		c.rest(wait)
		return
	}
	c.bury(reason)
}

// endReason returns why s ends.
func (s *service) endReason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest().reason
}

// bury removes the service and gives everybody what is theirs.
func (c *Context) bury(reason error) {
	s, rt := c.s, c.rt
	c.s = nil
	s.mu.Lock()
	s.state = dead
	e := *s.rest()
	left := s.box
	s.box = box{}
	s.extra.watchers, s.extra.blocked, s.extra.groups = nil, nil, nil
	s.jam = false
	s.mu.Unlock()
	rt.table.remove(s)
	if e.name != "" {
		rt.names.release(rt, e.name, s.pid())
	}
	for _, g := range e.groups {
		g.lost(s)
	}
	s.giveUp(&left, e.blocked)
	down := Down{Service: s.pid(), Name: e.name, Reason: reason}
	s.h = nil
	rt.ended(&down) // before those ends that follow from it
	for _, w := range e.watchers {
		w.tell(rt, &down)
	}
	rt.oneLess()
	if e.over != nil {
		close(e.over)
	}
}

// giveUp sends back what nobody handles any more.
func (s *service) giveUp(left *box, blocked []blocked) {
	why := fmt.Errorf("%v: %w: it has ended", s.pid(), ErrNoService)
	back := func(m *Message) { s.rt.bounce(s.pid(), m, why) }
	if s.own != nil {
		for i := range s.own.held {
			back(&s.own.held[i])
		}
		s.own = nil
	}
	var m Message
	for {
		for k := s.head; k != nil; k = s.head {
			for k.at < k.n {
				k.shift(&m)
				back(&m)
			}
			s.head = k.next
			k.free()
		}
		if left.n == 0 {
			break
		}
		s.head = left.take(&m)
		back(&m)
	}
	for i := range blocked {
		if blocked[i].from == nil {
			back(&blocked[i].m)
		} else {
			blocked[i].m.release()
		}
		s.rt.hasRoom(&blocked[i], why)
	}
}

// Restart says whether a service that has ended is made anew: with the same PID, name,
// mailbox and what waits there, and a handler from Spec.New.
type Restart struct {
	When   When
	Min    time.Duration // before the first; doubled each time; 0: 100 ms
	Max    time.Duration // between two; 0: 30 s
	Most   int           // restarts within Within, then the service ends; 0: 10
	Within time.Duration // 0: 1 min
}

// When says after which ends a service restarts. One that was killed or stopped does not.
type When uint8

// The three of them.
const (
	Never     When = iota
	OnFailure      // its Start or Exit gave an error, or it panicked and OnPanic is Fail
	Always         // also when it ended as it wanted
)

// restart decides whether s is made anew, and when.
func (s *service) restart(reason error) (wait time.Duration, again bool) {
	s.mu.Lock()
	spec, final := s.extra.spec, s.extra.final
	s.mu.Unlock()
	if spec == nil || final || s.rt.closing.Load() {
		return 0, false
	}
	r := spec.Restart
	if r.When == Never || r.When == OnFailure && reason == nil {
		return 0, false
	}
	o, now := s.mine(), time.Now()
	for len(o.restarts) > 0 && now.Sub(o.restarts[0]) > orDefault(r.Within, time.Minute) {
		o.restarts = o.restarts[1:]
	}
	if len(o.restarts) >= orDefault(r.Most, 10) {
		s.rt.gaveUp(s, reason, len(o.restarts))
		return 0, false
	}
	most := orDefault(r.Max, 30*time.Second)
	wait = min(orDefault(r.Min, 100*time.Millisecond), most)
	for range o.restarts {
		wait += min(wait, most-wait)
	}
	o.restarts = append(o.restarts, now)
	return wait, true
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// rest puts the service aside until it starts again. Until then it is nobody's, and
// whoever changes its state has it scheduled.
func (c *Context) rest(wait time.Duration) {
	s := c.s
	s.mu.Lock()
	reason := s.extra.reason
	if s.extra.final { // since just now
		s.mu.Unlock()
		c.bury(reason)
		return
	}
	c.s, s.h = nil, nil
	s.extra.reason = nil
	s.state = resting
	s.ends.Store(false)
	s.mu.Unlock()
	c.rt.restarts(s, reason, wait)
	c.rt.later(wait, func() {
		s.mu.Lock()
		over := s.state == resting
		if over {
			s.state = running
			s.own.held = append([]Message{{Kind: kindStart}}, s.own.held...)
			s.limit--
		}
		s.mu.Unlock()
		if over {
			c.rt.schedule(nil, s)
		}
	})
}
