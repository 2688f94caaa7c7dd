// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/skybus-io/skybus/names"
)

// Errors of elections. They are wrapped with what they are about.
var (
	// ErrNoLeader means that nobody leads at present, as far as is known.
	ErrNoLeader = errors.New("nobody leads")
	// ErrCandidate means that the same Elections campaigns for that name already, or leads.
	ErrCandidate = errors.New("this process is a candidate already")
	// ErrResigned means that a leader has given up by itself.
	ErrResigned = errors.New("the leader has resigned")
	// ErrOldLeader means that a store has seen a leader with a higher token.
	ErrOldLeader = errors.New("a newer leader has been here")
)

// MaxCandidate is how many bytes a candidate may say of itself.
const MaxCandidate = 4096

// ElectionsConfig says which elections. The zero ElectionsConfig is of use.
type ElectionsConfig struct {
	// Cluster names the cluster in the keys, 1 to 63 of a-z A-Z 0-9 . _ -; "default".
	Cluster string
	// TTL is how long a leader survives that nobody sees die, and how long one may be cut off
	// from the engine and lead on; 10 s.
	TTL    time.Duration
	Logger *slog.Logger // nil: nothing is logged
}

// Elections choose one leader for each name, among all processes of the cluster that campaign for
// it. Any goroutine may call its methods.
//
// An election is decided by the engine alone: of the candidates it has, the one that it has had for
// longest leads. Nothing is doubted as with [Names]. When the engine loses a leader's lease, also by mistake or
// together with those of all others, the next candidate leads.
//
// So there may be a moment with two processes that both believe to lead: one that was stopped, or
// cut off, does not hear at once that it was replaced. Whatever must not be done by both has to be
// guarded by the token: it grows from leader to leader, and a store that remembers the
// highest it has seen, such as a [Guard], refuses the older one.
type Elections struct {
	p        Provider
	c        ElectionsConfig
	root     string
	lifeKey  string
	board    *board
	ctx      context.Context
	stop     context.CancelFunc
	done     sync.WaitGroup
	granting chan struct{} // has an element while somebody looks for a lease
	kick     chan struct{} // has the keeper look for what is amiss

	mu     sync.Mutex // comes before board.mu
	lease  Lease      // of all candidacies; nil: there was none yet
	stands map[string]*stand
}

// NewElections returns the elections that p's engine has. It makes two goroutines, which Close ends; p must
// be closed after it. Errors: of the configuration.
func NewElections(p Provider, c ElectionsConfig) (*Elections, error) {
	like := NamesConfig{Cluster: c.Cluster, TTL: c.TTL, Logger: c.Logger}.withDefaults()
	if err := like.check(); err != nil {
		return nil, fmt.Errorf("elections: %w", err)
	}
	c = ElectionsConfig{Cluster: like.Cluster, TTL: like.TTL, Logger: like.Logger}
	e := &Elections{
		p: p, c: c, root: ElectionsRoot(c.Cluster), lifeKey: "/skybus/" + c.Cluster + "/life", granting: make(chan struct{}, 1),
		kick: make(chan struct{}, 1), stands: map[string]*stand{},
	}
	e.board = newBoard(e.root)
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.done.Add(2)
	go e.follow()
	go e.keep()
	return e, nil
}

// ElectionsRoot returns what the keys of a cluster's elections begin with.
func ElectionsRoot(cluster string) string { return "/skybus/" + cluster + "/elections/" }

// Close resigns, if the engine answers soon, and ends what waits.
func (e *Elections) Close() error {
	e.mu.Lock()
	l := e.lease
	e.lease = nil
	e.stop() // no lease is made any more
	e.mu.Unlock()
	if l != nil {
		e.loseAll(l, ErrClosed) // before the next one can lead
		revoke(context.Background(), l)
	}
	e.done.Wait()
	return nil
}

// A Leadership is the time that this process leads. Any goroutine may call its methods.
type Leadership struct {
	e     *Elections
	s     *stand
	token uint64
}

// Name returns what it was elected for.
func (l *Leadership) Name() string { return l.s.name }

// Token returns the fencing token, never 0. No two leaders of a name have the same, and a later
// leader has a higher one, also of an engine that was wiped. Whatever the leader writes outside of
// this process should carry it: see [Guard].
func (l *Leadership) Token() uint64 { return l.token }

// Lost is closed once this process does not lead any more: it has resigned, the engine has given it
// up, or could not be reached for the lease's TTL, by this process's clock. It stays so. A process that was
// stopped learns of it only when it goes on: what it does until then the token has to guard.
func (l *Leadership) Lost() <-chan struct{} { return l.s.gone }

// Err returns why the leadership is lost, nil while it is not: ErrResigned, ErrLeaseLost, ErrClosed, or what
// has become of its key.
func (l *Leadership) Err() error {
	select {
	case <-l.s.gone:
		return l.s.why
	default:
		return nil
	}
}

// Resign ends the leadership, from the first moment on, and has the next candidate lead. When it
// returns nil the engine has done that. Doing it twice is no error. Errors: ErrUnavailable with the
// context's, ErrClosed; then the rest is done as soon as the engine answers.
func (l *Leadership) Resign(ctx context.Context) error {
	l.s.lose(ErrResigned)
	l.e.leave(l.s)
	ctx, stop := l.e.bound(ctx)
	defer stop()
	if err := l.e.withdraw(ctx, l.s.key, l.s.id); err != nil {
		return fmt.Errorf("resign from election %q: %w", l.s.name, err)
	}
	return nil
}

// Campaign makes this process a candidate, and returns when it leads. name is as names.Check wants it. value
// is what others are told of the leader, such as an address: UTF-8, at most MaxCandidate bytes. While the engine is
// away it waits. When ctx is over this process is no candidate any more. Errors: ErrUnavailable with the
// context's, ErrCandidate, ErrLimit, ErrClosed.
func (e *Elections) Campaign(ctx context.Context, name, value string) (*Leadership, error) {
	if err := checkCandidate(name, value); err != nil {
		return nil, err
	}
	ctx, stop := e.bound(ctx)
	defer stop()
	var last *stand
	for {
		s, err := e.enter(name, value, last)
		if err != nil {
			return nil, err
		}
		l, err := e.stand(ctx, s)
		if err == nil {
			return l, nil
		}
		s.lose(err)
		if err = e.again(ctx, s, err); err != nil {
			e.leave(s)
			return nil, fmt.Errorf("election %q: %w", name, err)
		}
		last = s
	}
}

func checkCandidate(name, value string) error {
	if err := names.Check(name); err != nil {
		return fmt.Errorf("election: %w", err)
	}
	if len(value) > MaxCandidate {
		return fmt.Errorf("election %q: %w: a candidate says %d bytes of itself, want at most %d", name, ErrLimit, len(value), MaxCandidate)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("election %q: what a candidate says of itself is not UTF-8: %.40q", name, value)
	}
	return nil
}

// A Leader is who leads, as far as this process knows.
type Leader struct {
	Value string // what it says of itself
	Token uint64 // 0: nobody leads
	// Age is how long ago the engine was last heard, if that is longer than it should be; else 0. Who leads may have
	// changed since.
	Age time.Duration
}

// Leader returns who leads. It asks a copy that the engine keeps up to date, and waits only for the first one.
// Errors: ErrNoLeader; ErrUnavailable with the context's; ErrClosed; of a life key that cannot be read.
func (e *Elections) Leader(ctx context.Context, name string) (Leader, error) {
	if err := names.Check(name); err != nil {
		return Leader{}, fmt.Errorf("election: %w", err)
	}
	ctx, stop := e.bound(ctx)
	defer stop()
	l, _, err := e.board.leader(ctx, name)
	if err == nil {
		err = e.ctx.Err()
	}
	if err != nil {
		return Leader{}, fmt.Errorf("election %q: %w", name, e.why(ctx, err))
	}
	if l.Token == 0 {
		return l, fmt.Errorf("election %q: %w", name, ErrNoLeader)
	}
	return l, nil
}

// Watch calls f with who leads, and then with each new leader, from this goroutine, until ctx is over or f returns an
// error, which it then returns. A Leader with the Token 0 is nobody. Of several changes in a short time the last
// one is told. f may call the methods of e. Errors: the context's; ErrClosed; those of Leader.
func (e *Elections) Watch(ctx context.Context, name string, f func(Leader) error) error {
	if err := names.Check(name); err != nil {
		return fmt.Errorf("election: %w", err)
	}
	within, stop := e.bound(ctx)
	defer stop()
	told, begun := uint64(0), false
	for {
		l, changed, err := e.board.leader(within, name)
		if err == nil {
			err = within.Err()
		}
		if err != nil {
			return e.ended(ctx, name, err)
		}
		if !begun || l.Token != told {
			told, begun = l.Token, true
			if err := f(l); err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-within.Done():
			return e.ended(ctx, name, within.Err())
		}
	}
}

// ended is what a watch returns.
func (e *Elections) ended(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("election %q: %w", name, e.why(ctx, err))
}

// bound returns a context that also ends with e.
func (e *Elections) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// why is what a call returns that err has ended.
func (e *Elections) why(ctx context.Context, err error) error {
	switch {
	case e.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	return err
}
