// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

// ReplicaOptions say what a Replica copies and for whom. Host is needed; the zero value of the
// others is of use.
type ReplicaOptions struct {
	// Cluster names the cluster in the keys, 1 to 63 of a-z A-Z 0-9 . _ -; "default". The replica has the keys
	// below /skybus/CLUSTER/.
	Cluster string
	// Host names this host, 1 to 63 of a-z A-Z 0-9 . _ -. No other one has the name.
	Host string
	// TTL is that of the host's lease, MinTTL to MaxTTL: how long what the processes of this host have
	// survives a host that is gone; 10 s. It is also how long they may take to come back to a daemon
	// that was started again.
	TTL time.Duration
	// Patience is how long a read waits for an engine that does not answer before it is answered from
	// the copy; 3 s. A batch waits three times as long.
	Patience time.Duration
	// Commits is how many batches are on their way to the engine at a time; 8. More wait, and small ones then go
	// together.
	Commits int
	// State is the file, made with mode 0600, in which the replica keeps what it needs to go on with
	// the host's lease after a restart. Empty: there is none, and Close gives the lease back.
	State string
	// Limits: Keys are 1,048,576 and Bytes 512 MiB unless said otherwise. They are of all keys of the
	// cluster; a cluster that has more is not followed any further.
	Limits Limits
	// Policy is what SetPolicy has as well; nil: every host may have every name.
	Policy NamePolicy
	Logger *slog.Logger // nil: nothing is logged
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func (o ReplicaOptions) withDefaults() ReplicaOptions {
	if o.Cluster == "" {
		o.Cluster = "default"
	}
	if o.TTL == 0 {
		o.TTL = 10 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 3 * cluster.Heartbeat
	}
	if o.Commits <= 0 {
		o.Commits = 8
	}
	if o.Limits.Keys <= 0 {
		o.Limits.Keys = 1 << 20
	}
	if o.Limits.Bytes <= 0 {
		o.Limits.Bytes = 512 << 20
	}
	o.Limits = o.Limits.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o *ReplicaOptions) check() error {
	for what, name := range map[string]string{"cluster": o.Cluster, "host": o.Host} {
		if name == "" || len(name) > 63 || strings.Trim(name, hostBytes) != "" {
			return fmt.Errorf("%s %q: want 1 to 63 of a-z A-Z 0-9 . _ -", what, name)
		}
	}
	if o.TTL < cluster.MinTTL || o.TTL > cluster.MaxTTL {
		return fmt.Errorf("TTL %v: want %v to %v", o.TTL, cluster.MinTTL, cluster.MaxTTL)
	}
	return nil
}

// A Replica has a copy of what an engine has of one cluster, in the memory of this process, for the
// processes of this host. Reads and watches are answered from the copy, batches go to the engine. While that
// is away the copy stays. Any goroutine may call its methods.
//
// The engine knows one lease of this host. The processes have leases of the replica, numbers that are
// written before each value; when one ends the replica deletes its keys. So the death of a process is
// a plain deletion by its host, and only the host's own lease expires.
type Replica struct {
	core
	p    cluster.Provider
	o    ReplicaOptions
	root string // that all keys begin with
	ctx  context.Context
	end  context.CancelFunc

	ferry  ferry
	owner  atomic.Uint64 // number of the host's lease, also of the one that was
	probes prober
	bad    unreadable
	law    law

	writing sync.Mutex // of the state file; comes before mu
	mu      sync.Mutex
	heard   time.Time // the engine; zero: never
	last    error     // why it is not heard, or what else is amiss; nil once it is heard
	term    uint64    // number of the time that the leases of the processes are of
	number  uint64    // of this start
	host    *hostLease
	changed chan struct{} // closed when host, known or decided change
	known   bool          // the copy has been told of a snapshot
	decided bool          // whether the lease of before was taken over
	servers map[*Server]bool
	closed  bool
	again   bool   // all is to be read again
	rewatch func() // ends the watch
}

// A hostLease is the host's lease in the engine.
type hostLease struct {
	cluster.Lease
	gone  chan struct{} // closed when somebody here has found that it is lost
	once  sync.Once
	since time.Time // when this process got it
}

func (h *hostLease) lose() { h.once.Do(func() { close(h.gone) }) }

// NewReplica returns a replica of what p's engine has. It returns at once and follows the engine by itself;
// until that was heard for the first time its clients wait. It makes goroutines, which Close ends; p
// must be closed after it. Errors: of the options; of a State file whose folder is not there.
func NewReplica(p cluster.Provider, o ReplicaOptions) (*Replica, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	return newReplica(p, o, "/skybus/"+o.Cluster+"/")
}

func newReplica(p cluster.Provider, o ReplicaOptions, root string) (*Replica, error) {
	r := &Replica{
		p: p, o: o, root: root, changed: make(chan struct{}), servers: map[*Server]bool{},
		core: core{limits: o.Limits, stop: make(chan struct{}), tending: map[*orphan]bool{}, store: store.NewCopy(o.Limits.store())},
		bad:  unreadable{log: o.Logger}, term: newTerm(), law: law{claims: map[string]bool{}},
	}
	r.ctx, r.end = context.WithCancel(context.Background())
	was, err := r.load()
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	if was.Lease != 0 {
		r.owner.Store(uint64(was.Lease))
		r.store.Adopt(o.TTL)
	}
	r.law.policy.Store(&o.Policy)
	r.again = o.Policy != nil || was.Judged
	r.probes.init()
	r.begin()
	for _, run := range []func(){r.follow, func() { r.keep(was) }, r.clean, r.probe} {
		r.done.Go(run)
	}
	return r, nil
}

func newTerm() uint64 { return rand.Uint64() | 1 }

// Serve makes the engine's socket in folder and answers there, until Close of the Server, which must
// come before the replica's. Otherwise it is as Engine.Serve.
func (r *Replica) Serve(folder string, c ServerConfig) (*Server, error) {
	s, err := serve(r.server(c), folder)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// server returns one without a socket, whose clients hear when their leases are lost.
func (r *Replica) server(c ServerConfig) *Server {
	s := newServer(r, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[s] = true
	context.AfterFunc(s.ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.servers, s)
	})
	return s
}

// Provider returns a client of the replica in this process. It must be closed before the replica is.
func (r *Replica) Provider(o Options) *Client {
	return inProcess(r.server(ServerConfig{Logger: o.Logger}), o)
}

// Close ends the replica; its servers and clients must have been closed. With a State file the host's
// lease stays for the next one, for its TTL. Without, it is given back if the engine answers soon.
func (r *Replica) Close() {
	r.mu.Lock()
	h, closed := r.host, r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return
	}
	if k, ok := h.kept(); ok && r.o.State != "" {
		k.Keep()
	} else if h != nil {
		ctx, stop := context.WithTimeout(r.ctx, cluster.Heartbeat)
		if err := r.farewell(ctx, h); err != nil {
			r.o.Logger.Warn("the host's lease could not be given back; it expires", "err", err)
		}
		stop()
	}
	r.end()
	close(r.stop)
	r.done.Wait()
}

// kept returns the lease as one that may outlive its Provider.
func (h *hostLease) kept() (cluster.Keeper, bool) {
	if h == nil {
		return nil, false
	}
	k, ok := h.Lease.(cluster.Keeper)
	return k, ok
}

// Leave gives back all that the processes of this host have, as when the host goes for good: nobody takes
// it for dead. Errors: ErrUnavailable, after which it expires; the context's.
func (r *Replica) Leave(ctx context.Context) error {
	r.mu.Lock()
	h := r.host
	r.mu.Unlock()
	if h == nil {
		return nil
	}
	err := r.farewell(ctx, h)
	h.lose()
	return err
}

// told closes changed. With mu held.
func (r *Replica) told() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// follow keeps the copy.
func (r *Replica) follow() {
	after, wait := uint64(0), minBackoff
	for r.ctx.Err() == nil {
		heard := false // with this watch
		ctx, anew := r.watching()
		if anew {
			if err := r.mark(ctx); err != nil {
				r.note(err)
				r.o.Logger.Warn("the cluster engine does not take a batch: its keys are not judged anew", "err", err)
				r.rest(wait)
				wait = min(2*wait, maxBackoff)
				continue
			}
			after = 0
		}
		err := r.p.Watch(ctx, r.root, after, func(u cluster.Update) error {
			err := r.take(u)
			if err == nil {
				heard, wait = true, minBackoff
			}
			return err
		})
		if r.ctx.Err() != nil {
			return
		}
		if ctx.Err() != nil {
			after = r.store.Revision()
			continue
		}
		r.note(err)
		// One that went on for a while may go on from where it was: a snapshot costs the past.
		if after = r.store.Revision(); errors.Is(err, cluster.ErrCompacted) && !heard || errors.Is(err, cluster.ErrLimit) {
			after = 0
		} else if !errors.Is(err, cluster.ErrCompacted) {
			r.o.Logger.Warn("the watch of the cluster engine has ended", "err", err)
		}
		if errors.Is(err, cluster.ErrLimit) {
			r.o.Logger.Error("the cluster is too large for its copy on this host", "err", err)
		}
		r.rest(wait/2 + rand.N(wait))
		wait = min(2*wait, maxBackoff)
	}
}

// watching returns the context of the next watch, which SetPolicy ends, and whether that is to begin with a snapshot.
func (r *Replica) watching() (ctx context.Context, anew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rewatch != nil {
		r.rewatch()
	}
	ctx, r.rewatch = context.WithCancel(r.ctx)
	return ctx, r.again
}

// mark has the engine come to another revision, so that clients do not take what is judged anew for what they know, and
// notes that it was done. The copy stands still meanwhile.
func (r *Replica) mark(ctx context.Context) error {
	key := r.root + "judged/" + r.o.Host
	for _, op := range []cluster.Op{cluster.Put(key, joinValue(0, nil), 0), cluster.Delete(key)} {
		ctx, stop := context.WithTimeout(ctx, 3*r.o.Patience)
		_, err := r.p.Commit(ctx, cluster.Batch{Do: []cluster.Op{op}})
		stop()
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil { // no other policy has come meanwhile
		r.again = false
	}
	return nil
}

// take takes in what the watch has told.
func (r *Replica) take(u cluster.Update) error {
	if u.Snapshot {
		r.bad.begin()
	}
	r.law.presences(r.names(), &u)
	another, err := r.store.Feed(&u, r.read)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.heard, r.last = time.Now().Add(-u.Age), nil
	if !r.known {
		r.known = true
		r.told()
	}
	h := r.host
	if another {
		r.anew(h)
	}
	r.mu.Unlock()
	if another {
		r.o.Logger.Warn("the cluster engine has begun anew", "life", fmt.Sprintf("%x", u.Life))
		r.hangUp()
	}
	return nil
}

// read makes of what the engine has what the copy is to hold.
func (r *Replica) read(ev *cluster.Event) (own, ok bool) {
	switch {
	case ev.Deleted:
		r.bad.mend(ev.Key)
		r.law.count(r.names(), ev.Key, false)
		return false, false
	case ev.Key == r.lifeKey(): // that is the Provider's
		ev.Lease = 0
		return false, true
	}
	id, value, err := cutValue(ev.Value)
	if err == nil {
		err = r.law.judge(r.names(), ev.Key, value, ev.Lease)
	}
	own = err == nil && ev.Lease != 0 && uint64(ev.Lease) == r.owner.Load()
	r.law.count(r.names(), ev.Key, own)
	if err != nil {
		r.bad.add(ev.Key, err)
		return false, false
	}
	r.bad.mend(ev.Key)
	ev.Lease, ev.Value = id, value
	return own, true
}

func (r *Replica) lifeKey() string { return r.root + "life" }

// names is the root of the names.
func (r *Replica) names() string { return r.root + "names/" }

// note remembers what went wrong.
func (r *Replica) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.last = err
	}
}

// rest keeps a loop from spinning on an error that comes at once.
func (r *Replica) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
	}
}

// hangUp has all clients come again: the answer to their hello says what has changed.
func (r *Replica) hangUp() {
	r.mu.Lock()
	var list []*Server
	for s := range r.servers {
		list = append(list, s)
	}
	r.mu.Unlock()
	for _, s := range list {
		s.hangUp()
	}
}

// fresh is how long ago the engine may have been heard and still be there.
const fresh = cluster.Heartbeat * 3 / 2

// age is how long ago the engine was heard, 0 while it is there.
func (r *Replica) age() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := time.Since(r.heard); d > fresh {
		return d
	}
	return 0
}
