// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/wheel"
)

// A Config is how a Runtime is to be. The zero Config is a good one.
type Config struct {
	// Workers is how many handlers run at once while none blocks; 0: GOMAXPROCS. More
	// are added while handlers block, and taken away again.
	Workers int
	// MaxWorkers bounds those; 0: 10,000.
	MaxWorkers int
	// Slice is how many messages a service of weight 1 handles at most before others have
	// their turn; 0: 1024. A turn ends after about 20 us in any case, and four messages.
	Slice int
	// Stuck is how long a handler may go on without waiting before Events.Stuck is
	// called; 0: 5 s, less than 0: never.
	Stuck time.Duration
	// Trace has waits note when they began, for the console's task list. Runtime.Trace changes it.
	Trace bool
	// Life is the upper 24 bits of all handles. Processes that follow each other under one
	// address have different ones, so that old PIDs are known: ErrStalePID.
	Life uint32
	// Node is the address of this process: PIDs with it are local, too.
	Node addr.Addr
	// Remote takes what is for other processes; nil: ErrNoRemote.
	Remote Remote
	// Events are called for what happens; see Log for a logger.
	Events Events
}

// A Runtime runs services. All of its methods may be called by any goroutine, but
// those that wait must not be called by handlers: they have their Context.
type Runtime struct {
	cfg       Config
	table     table
	born      time.Time
	queue     *queue
	door      door
	wheel     *wheel.Wheel
	names     names
	ears      ears
	profile   atomic.Bool
	trace     atomic.Bool
	late      atomic.Uint64 // replies that nobody waited for any more
	count     counts
	all       contexts
	ordinary  atomic.Int64 // services that are no ears and no groups
	closing   atomic.Bool
	watchers  atomic.Uint64 // numbers given to watchers
	serials   serials
	handlings handlings
	env       sync.Map // for the text commands
	pause     pause    // before a hot restart

	mu      sync.Mutex // guards workers
	workers map[*worker]bool
	done    sync.WaitGroup // workers and the watch
	gone    sync.Cond      // of mu: a service has ended
}

// New starts a runtime. Close ends it.
func New(cfg Config) *Runtime {
	cfg.Workers = cmp.Or(max(cfg.Workers, 0), runtime.GOMAXPROCS(0))
	cfg.MaxWorkers = max(cmp.Or(cfg.MaxWorkers, 10_000), cfg.Workers)
	cfg.Slice = cmp.Or(max(cfg.Slice, 0), 1024)
	cfg.Stuck = cmp.Or(cfg.Stuck, 5*time.Second)
	rt := &Runtime{cfg: cfg, born: time.Now(), queue: newQueue(), wheel: wheel.New(), workers: map[*worker]bool{}}
	rt.trace.Store(cfg.Trace)
	rt.queue.knock, rt.door.work, rt.door.parks = rt.knock, rt.called, rt.queue.attends
	rt.table.life = cfg.Life & (1<<lifeBits - 1)
	rt.gone.L = &rt.mu
	rt.names.byName = map[string]PID{}
	rt.addWorkers(cfg.Workers)
	rt.done.Add(1)
	go rt.watch()
	return rt
}

// addWorkers starts n workers more.
func (rt *Runtime) addWorkers(n int) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	n = min(n, rt.cfg.MaxWorkers-len(rt.workers))
	if n <= 0 {
		return
	}
	rt.queue.mu.Lock()
	if rt.queue.closed {
		n = 0
	}
	rt.queue.workers += n
	rt.queue.mu.Unlock()
	for range n {
		w := &worker{rt: rt}
		rt.workers[w] = true
		rt.done.Add(1)
		go w.run()
	}
}

// lost takes out a worker that ends. What its handler made runnable is for others.
func (rt *Runtime) lost(w *worker) {
	w.yield()
	rt.mu.Lock()
	delete(rt.workers, w)
	rt.mu.Unlock()
	rt.done.Done()
}

// Close kills all services, waits for their handlers, and ends the runtime's
// goroutines. A handler that never returns makes it wait for ever: Shutdown tells.
func (rt *Runtime) Close() {
	_ = rt.Shutdown(expired())
	rt.empty(context.Background())
	rt.queue.close()
	rt.done.Wait()
	rt.wheel.Close()
}

func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// A LeftError tells what was left when a Shutdown's time was over.
type LeftError struct {
	Count    int      // services that had not ended then, and were killed
	Services []string // the first 20 of them
	Messages int      // that waited for them
}

func (e *LeftError) Error() string {
	return fmt.Sprintf("%d services had not ended, %d messages waited: %v", e.Count, e.Messages, e.Services)
}

// Shutdown ends all services in good order: they get nothing new, finish what they have, and end. When ctx
// is over, those that are left are killed: the error is a *LeftError then. Nothing
// starts any more. Close is still to be called.
func (rt *Runtime) Shutdown(ctx context.Context) error {
	rt.closing.Store(true)
	rt.table.each(func(s *service) bool {
		if s.kind == ordinary {
			rt.drain(s)
		}
		return true
	})
	if rt.empty(ctx) {
		return nil
	}
	left := &LeftError{}
	rt.table.each(func(s *service) bool {
		if s.kind == ordinary {
			s.mu.Lock()
			left.Messages += s.box.n
			s.mu.Unlock()
			if left.Count++; left.Count <= 20 {
				left.Services = append(left.Services, s.title())
			}
			rt.end(s, ErrStopped)
		}
		return true
	})
	return left
}

// empty waits until no service is left, and reports whether that came.
func (rt *Runtime) empty(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, func() {
		rt.mu.Lock()
		defer rt.mu.Unlock()
		rt.gone.Broadcast()
	})
	defer stop()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for rt.services() > 0 {
		if ctx.Err() != nil {
			return false
		}
		rt.gone.Wait()
	}
	return true
}

// services counts those that are no ears.
func (rt *Runtime) services() int { return int(rt.ordinary.Load()) }

// local returns the service that p names in this process.
func (rt *Runtime) local(p PID) (s *service, here bool) {
	if !p.Node.IsNone() && p.Node != rt.cfg.Node {
		return nil, false
	}
	return rt.table.find(p.Handle), true
}

// deliver gives m to the service to, which w runs next if it can. Errors:
// ErrNoService, ErrMailboxFull, errBlocked, ErrNoRemote and a Remote's own.
func (rt *Runtime) deliver(w *worker, to PID, m *Message) error {
	s, here := rt.local(to)
	if !here {
		return rt.far(to, m)
	}
	if s == nil {
		return rt.absent(to)
	}
	return rt.give(w, s, m)
}

// give is deliver to a service of this process.
func (rt *Runtime) give(w *worker, s *service, m *Message) error {
	if s.kind != ordinary {
		return s.take(w, m)
	}
	run, err := s.post(m)
	if run {
		rt.schedule(w, s)
	}
	return err
}

// absent returns why there is no service to of this process.
func (rt *Runtime) absent(to PID) error {
	if to.Handle != 0 && to.Handle.Life() != rt.table.life {
		return ErrStalePID
	}
	return ErrNoService
}

// line has b wait for room in the mailbox of to. room: it has it already.
func (rt *Runtime) line(w *worker, to PID, b *blocked) (room bool, err error) {
	s, here := rt.local(to)
	if !here {
		return false, rt.farLine(to, b)
	}
	if s == nil {
		return false, ErrNoService
	}
	if s.kind == many && s.extra.pool != nil {
		return s.extra.pool.line(w, b)
	}
	run, room, err := s.wait(b)
	if run {
		rt.schedule(w, s)
	}
	return room, err
}

// hasRoom tells whoever waited that its message is in the mailbox, or why it is not.
func (rt *Runtime) hasRoom(b *blocked, err error) {
	if b.from == nil {
		return
	}
	m := Message{Kind: kindRoom, Session: b.session}
	if err != nil {
		m.Kind, m.Value = KindError, err
	}
	rt.tell(b.from, &m)
}

// tell gives a service, or an ear, what the runtime itself has to say.
func (rt *Runtime) tell(s *service, m *Message) {
	if s.kind != ordinary {
		_ = s.take(nil, m)
		return
	}
	if run, _ := s.post(m); run { // if it is gone it does not wait any more
		rt.schedule(nil, s)
	}
}

// reply ends the request that from has sent under session.
func (rt *Runtime) reply(w *worker, from PID, session uint64, v any, err error) {
	m := Message{Kind: KindReply, Session: session, Value: v}
	if err != nil {
		m.Kind, m.Value = KindError, err
	}
	if rt.deliver(w, from, &m) != nil {
		rt.late.Add(1)
	}
}

// bounce tells the sender of m that to did not handle it, and why.
func (rt *Runtime) bounce(to PID, m *Message, why error) {
	defer m.release()
	switch {
	case m.system() && (m.Kind != kindStart || !m.IsCall()): // nobody waits for it
	case m.IsCall():
		rt.reply(nil, m.From, m.Session, nil, why)
	default:
		u := Undelivered{To: to, Kind: m.Kind, Value: m.Value, Reason: why}
		rt.undelivered(m.From, &u)
		if !m.From.IsZero() {
			_ = rt.deliver(nil, m.From, &Message{Kind: KindBounce, From: to, Value: u}) // it may be gone, too
		}
	}
}

var errHandler = errors.New("a service needs a Spec.New that returns a handler")
