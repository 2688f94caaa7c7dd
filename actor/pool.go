// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/addr"
)

// Pick says which member of a pool gets a message.
type Pick uint8

// The ways to pick.
const (
	RoundRobin  Pick = iota // one after the other
	LeastLoaded             // the one with the fewest messages and handlers that wait; of another process: see Loader
	ByKey                   // always the same for a key, while it lives, also while it restarts: PoolSpec.Key
)

// A PoolSpec is how a pool is to be.
type PoolSpec struct {
	Spec    Spec  // of each member that is started; its Name is the pool's, its Restart should not be Never
	Size    int   // how many are started
	Members []PID // services that there are already, here or in other processes; with Size at least 1
	Pick    Pick
	// Key is for ByKey; what has no key goes round. Pools of several processes that have the same
	// members give the messages of a key to the same one.
	Key func(v any) (key string, ok bool)
}

// A Pool is several equal services behind one PID: each message goes to one of them. A member that ends is passed over, and one
// that has joined leaves then. All methods may be called by any goroutine, but NewPool and Close not by handlers.
type Pool struct {
	rt      *Runtime
	s       *service
	spec    PoolSpec
	members []*service // that it has started
	turn    atomic.Uint64

	mu  sync.Mutex // held by who writes all
	all atomic.Pointer[[]member]
}

// A member is a service of a pool.
type member struct {
	pid   PID
	s     *service // nil: it is of another process
	relay *service // for messages of third processes, whose answers would not get there; with s nil
	watch *Monitor // nil: the pool has started it
}

// A Loader is a Remote that knows how much another process has to do: of what this process has asked of it, or is about to. A
// Pool takes the ones that no Loader knows in turn, as if they had nothing to do.
type Loader interface {
	Load(node addr.Addr) int
}

// NewPool starts the members of a pool. Errors: those of Start and Join; then none is left.
func (rt *Runtime) NewPool(ctx context.Context, spec PoolSpec) (*Pool, error) {
	if spec.Size < 0 || spec.Size+len(spec.Members) < 1 || spec.Pick > ByKey || spec.Pick == ByKey && spec.Key == nil {
		return nil, fmt.Errorf("a pool of %d, picked by %d: want at least 1, a known Pick, and a Key for ByKey", spec.Size+len(spec.Members), spec.Pick)
	}
	p := &Pool{rt: rt, spec: spec}
	p.all.Store(&[]member{})
	err := p.open(ctx, spec)
	if err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

func (p *Pool) open(ctx context.Context, spec PoolSpec) error {
	name := spec.Spec.Name
	spec.Spec.Name = ""
	for range spec.Size {
		pid, err := p.rt.Start(ctx, spec.Spec)
		if err != nil {
			return err
		}
		if s, _ := p.rt.local(pid); s != nil {
			p.members = append(p.members, s)
			p.add(member{pid: pid, s: s})
		}
	}
	s, err := p.rt.pseudo(p.send)
	if err != nil {
		return err
	}
	s.early = spec.Spec.ReleaseEarly
	s.extra.pool = p
	p.s = s
	for _, pid := range spec.Members {
		if err := p.Join(pid); err != nil {
			return err
		}
	}
	if name == "" {
		return nil
	}
	return p.rt.names.take(p.rt, name, s)
}

// PID returns what senders and callers use.
func (p *Pool) PID() PID { return p.s.pid() }

// Members returns the PIDs of the members.
func (p *Pool) Members() []PID {
	all := *p.all.Load()
	list := make([]PID, len(all))
	for i := range all {
		list[i] = all[i].pid
	}
	return list
}

// Join makes a service a member, which the pool does not stop when it is closed. One that is
// already stays one. One of another process leaves when it has ended, or its process; what went there before comes back, or
// fails, as if it had been sent there. Errors: ErrNoService; those of Runtime.Monitor.
func (p *Pool) Join(pid PID) error {
	s, here := p.rt.local(pid)
	if here && (s == nil || s.kind != ordinary) {
		return fmt.Errorf("join %v: %w", pid, ErrNoService)
	}
	m := member{pid: pid, s: s}
	if here {
		m.pid = s.pid()
	} else if err := p.relay(&m); err != nil {
		return fmt.Errorf("join %v: %w", pid, err)
	}
	if !p.add(m) {
		p.rt.leaves(&m)
		return nil
	}
	watch, err := p.rt.Monitor(p.PID(), m.pid)
	if err != nil {
		p.Leave(m.pid)
		return fmt.Errorf("join: %w", err)
	}
	if !p.watches(m.pid, watch) { // it has left again
		watch.Stop()
	}
	return nil
}

// relay starts what takes messages of third processes to a member.
func (p *Pool) relay(m *member) error {
	pid, err := p.rt.Spawn(Spec{New: Tunnel(m.pid)})
	if err == nil {
		m.relay, _ = p.rt.local(pid)
	}
	return err
}

// Leave ends a membership. One that the pool has started goes on.
func (p *Pool) Leave(pid PID) {
	p.mu.Lock()
	all := *p.all.Load()
	i := slices.IndexFunc(all, func(m member) bool { return m.pid == pid })
	var m member
	if i >= 0 {
		m = all[i]
		rest := slices.Delete(slices.Clone(all), i, i+1) // sends go on with the list of before
		p.all.Store(&rest)
	}
	p.mu.Unlock()
	p.rt.leaves(&m)
}

// leaves ends what a pool has had for a member.
func (rt *Runtime) leaves(m *member) {
	if m.watch != nil {
		m.watch.Stop()
	}
	if m.relay != nil {
		rt.drain(m.relay)
	}
}

// add reports false for one that is a member already.
func (p *Pool) add(m member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := *p.all.Load()
	if slices.ContainsFunc(all, func(other member) bool { return other.pid == m.pid }) {
		return false
	}
	all = append(slices.Clone(all), m)
	p.all.Store(&all)
	return true
}

// watches notes the monitor of a member. It reports false if that has left.
func (p *Pool) watches(pid PID, w *Monitor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(*p.all.Load())
	i := slices.IndexFunc(all, func(m member) bool { return m.pid == pid })
	if i >= 0 {
		all[i].watch = w
		p.all.Store(&all)
	}
	return i >= 0
}

// Close ends the pool, and stops the members that it has started in good order, as Runtime.Stop does.
func (p *Pool) Close(ctx context.Context) (err error) {
	if p.s != nil {
		p.rt.dismiss(p.s)
	}
	for _, m := range *p.all.Load() {
		p.rt.leaves(&m)
	}
	for _, s := range p.members {
		err = errors.Join(err, p.rt.Stop(ctx, s.pid()))
	}
	return err
}

func (p *Pool) send(w *worker, m *Message) error {
	if d, is := m.Value.(Down); is && m.Kind == KindDown {
		p.Leave(d.Service)
		return nil
	}
	return p.give(w, m, func(to *member) (bool, error) {
		if s := p.nearest(to, m); s != nil {
			return s.post(m)
		}
		return false, p.rt.far(to.pid, m)
	})
}

// nearest returns the service that takes m for a member; nil: the Remote does.
func (p *Pool) nearest(to *member, m *Message) *service {
	if n := m.From.Node; to.s == nil && !n.IsNone() && n != p.rt.cfg.Node {
		return to.relay
	}
	return to.s
}

// line has b wait for room in one of the members. room: it is in a mailbox already.
func (p *Pool) line(w *worker, b *blocked) (room bool, err error) {
	err = p.give(w, &b.m, func(to *member) (run bool, err error) {
		s := p.nearest(to, &b.m)
		if s == nil {
			return false, p.rt.farLine(to.pid, b)
		}
		run, room, err = s.wait(b)
		return run, err
	})
	return room, err
}

// forget takes a message out that waits for room in one of the members here.
func (p *Pool) forget(from *service, session uint64) bool {
	return slices.ContainsFunc(*p.all.Load(), func(m member) bool {
		return m.s != nil && m.s.forget(from, session) || m.relay != nil && m.relay.forget(from, session)
	})
}

// give has the member that is picked take m; those that have ended are passed over.
func (p *Pool) give(w *worker, m *Message, take func(*member) (run bool, err error)) error {
	all := *p.all.Load()
	first, err := p.pick(all, m)
	if err != nil {
		return err
	}
	for i := range all {
		to := &all[(first+i)%len(all)]
		run, err := take(to)
		if errors.Is(err, ErrNoService) {
			continue
		}
		if run {
			p.rt.schedule(w, p.nearest(to, m))
		}
		return err
	}
	return fmt.Errorf("all %d of the pool: %w", len(all), ErrNoService)
}

func (p *Pool) pick(all []member, m *Message) (int, error) {
	if len(all) == 0 {
		return 0, nil
	}
	switch p.spec.Pick {
	case LeastLoaded:
		return p.leastLoaded(all), nil
	case ByKey:
		if key, ok, err := p.key(m.Value); ok || err != nil {
			return byKey(all, key), err
		}
	}
	return int(p.turn.Add(1) % uint64(len(all))), nil
}

// key calls the program's Key, which may run in a goroutine that is no handler's: a panic
// is the sender's error.
func (p *Pool) key(v any) (key string, ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the pool's Key: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	key, ok = p.spec.Key(v)
	return key, ok, nil
}

func (p *Pool) leastLoaded(all []member) int {
	first := int(p.turn.Add(1) % uint64(len(all)))
	loader, _ := p.rt.cfg.Remote.(Loader)
	best, least := first, int(^uint(0)>>1)
	for i := range all {
		k := (first + i) % len(all)
		load, over := all[k].load(loader)
		if !over && load < least {
			best, least = k, load
		}
	}
	return best
}

// load returns what a member has to do, as far as that is known, and whether it takes nothing any more.
func (m *member) load(l Loader) (load int, over bool) {
	s := m.s
	switch {
	case s != nil:
	case l != nil:
		return l.Load(m.pid.Node), false
	default:
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	load = s.box.n + s.asleep
	if s.queued {
		load++
	}
	return load, s.leaves()
}

// byKey is rendezvous hashing (Thaler and Ravishankar 1998): a member that ends
// changes the place of its own keys only. The hash is the same in every process.
func byKey(all []member, key string) int {
	best, most := 0, uint64(0)
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	for i := range all {
		if all[i].ended() {
			continue
		}
		p := all[i].pid
		if s := stir(h ^ stir(uint64(p.Handle)^stir(uint64(p.Node)))); s >= most {
			best, most = i, s
		}
	}
	return best
}

// ended reports whether a member of this process takes nothing any more.
func (m *member) ended() bool {
	if m.s == nil {
		return false
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.s.leaves()
}

// stir is the last step of SplitMix64 (Steele, Lea and Flood 2014): each bit of x is in each of
// the result.
func stir(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
