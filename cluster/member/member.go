// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
)

const (
	lookEvery  = 50 * time.Millisecond  // at binds, doubts and what is to be told again
	applyEvery = 20 * time.Millisecond  // at most
	backoff    = 100 * time.Millisecond // after an engine that has failed
	staleAfter = 3 * cluster.Heartbeat
)

// A Member is one host in its cluster. Any goroutine may call its methods.
type Member struct {
	c     Config
	root  string
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
	apply chan struct{} // full if the routes may have changed
	work  chan struct{} // full if there may be something to publish
	relet chan struct{} // full if the engine has said that the lease is lost
	store *disk         // nil: there is no last good copy

	mu       sync.Mutex
	settings Settings
	mirror   *mirror
	heard    time.Time // when the engine was; of the last good copy before that
	fromDisk bool      // the engine was never heard
	own      *own
	lease    cluster.Lease // nil: there is none
	closing  bool
	hold     time.Time         // nothing is published before
	size     int               // keys of the next batch, at most
	flying   map[string]uint64 // keys that are to be left alone; where the engine has done it, its revision
	landed   []landing
	batches  int // under way
	notices  *notices
	watchers map[*groupWatcher]bool
}

// Start has a host take part in a cluster. It returns when the routes of the last good copy, or else of the
// configuration, are in force; what needs the engine goes on in goroutines, which Close ends.
// Errors: of the configuration, all of them; of the folder for the last good copy; of Apply.
func Start(c Config) (*Member, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cluster member: %w", err)
	}
	m := &Member{
		c: c, root: Root(c.Cluster), settings: c.clone(), heard: time.Now(), fromDisk: true, size: maxKeys,
		apply: make(chan struct{}, 1), work: make(chan struct{}, 1), relet: make(chan struct{}, 1),
		flying: map[string]uint64{}, watchers: map[*groupWatcher]bool{},
	}
	m.notices = newNotices(c.Logger)
	m.mirror = newMirror(m.root, c.TTL+graceMargin, func(key string, err error) {
		m.notices.say("value "+key, "what the cluster's engine has is passed over", "key", key, "err", err.Error())
	})
	m.own = newOwn(&m.c)
	if c.State != "" {
		if err := m.recall(); err != nil {
			return nil, fmt.Errorf("cluster member: %w", err)
		}
	}
	m.look()
	m.own.reckon(&m.settings)
	first := m.routes()
	if err := c.Apply(first); err != nil {
		return nil, fmt.Errorf("cluster member: routes cannot be put in force: %w", err)
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	for _, run := range []func(){m.follow, m.keepLease, m.publish, m.tick, func() { m.applyAll(first) }, m.saveAll} {
		m.done.Add(1)
		go func() {
			defer m.done.Done()
			run()
		}()
	}
	return m, nil
}

// Close has the host leave the cluster: it says so, and gives up what it has published, if the engine answers
// soon; else that goes with its lease. The last good copy stays.
func (m *Member) Close() error {
	m.mu.Lock()
	l, batch := m.lease, m.farewell()
	again := m.closing
	m.closing = true
	m.mu.Unlock()
	if l != nil && !again {
		ctx, stop := context.WithTimeout(m.ctx, cluster.Heartbeat)
		if len(batch.Do) > 0 {
			_, _ = m.c.Provider.Commit(ctx, batch) // else it seems to die
		}
		_ = l.Revoke(ctx) // else it expires
		stop()
	}
	m.Detach()
	return nil
}

// Detach ends the Member and leaves what it has published in the engine, for a next one of the same host that
// starts within the TTL: a daemon that is replaced detaches, and nobody sees its routes go. A lease that is a
// cluster.Keeper stays when the Provider is closed.
func (m *Member) Detach() {
	m.mu.Lock()
	if k, ok := m.lease.(cluster.Keeper); ok && !m.closing {
		k.Keep()
	}
	m.closing = true
	m.mu.Unlock()
	m.stop()
	m.done.Wait()
}

// Reload puts other settings in force; what is wrong with them changes nothing. It waits for nothing.
// Errors: every mistake in the settings.
func (m *Member) Reload(s Settings) error {
	if err := m.c.checkSettings(&s); err != nil {
		return fmt.Errorf("cluster member: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = s.clone()
	m.own.reckon(&m.settings)
	kick(m.work)
	m.touchGroups()
	kick(m.apply)
	return nil
}

// follow keeps the mirror.
func (m *Member) follow() {
	for m.ctx.Err() == nil {
		err := m.c.Provider.Watch(m.ctx, m.root, 0, func(u cluster.Update) error {
			m.take(&u)
			return nil
		})
		if m.ctx.Err() != nil {
			return
		}
		if !errors.Is(err, cluster.ErrCompacted) {
			m.say("watch", "the watch of the cluster has ended", "err", fmt.Sprint(err))
		}
		m.pause(lookEvery)
	}
}

// take takes in what the watch has told.
func (m *Member) take(u *cluster.Update) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	heard := now.Add(-u.Age)
	if silent := heard.Sub(m.heard); silent > staleAfter && !m.fromDisk {
		m.mirror.postpone(silent, now)
	}
	m.heard, m.fromDisk = heard, false
	first := !m.mirror.synced || m.mirror.life != u.Life
	touched := m.mirror.update(u, now)
	if first {
		m.forgetLandings() // revisions of before mean nothing
	}
	m.land()
	m.changed(touched)
	if u.Snapshot {
		m.own.all()
	}
	if len(touched) > 0 || first {
		kick(m.apply)
	}
	kick(m.work)
}

// changed has those look at keys again that they concern. With mu held.
func (m *Member) changed(touched map[string]bool) {
	hosts := false
	for key := range touched {
		e := m.mirror.entries[key]
		m.own.see(key, e)
		id, err := parseKey(key)
		if err != nil {
			continue
		}
		hosts = hosts || id.kind == kindHost
		if id.kind == kindGroup {
			m.touchGroup(id.group)
		}
	}
	if hosts {
		m.touchGroups()
	}
}

// tick looks at what nobody tells of: binds, and time.
func (m *Member) tick() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			m.look()
			m.expire()
		case <-m.ctx.Done():
			return
		}
	}
}

// look publishes what has been bound since the last look, and takes back what is not bound any more.
func (m *Member) look() {
	list := m.c.Binds()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own.bind(list, &m.settings) {
		kick(m.apply)
		kick(m.work)
	}
}

// expire lets go of what has been doubted for long enough, and tells again what still is so.
func (m *Member) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.heard) <= staleAfter && !m.fromDisk {
		if touched := m.mirror.believe(now); len(touched) > 0 {
			m.changed(touched)
			kick(m.apply)
			kick(m.work)
		}
	}
	m.tellConflicts(now)
	m.notices.forget(now)
}

// keepLease has a lease as long as the engine gives one.
func (m *Member) keepLease() {
	for m.ctx.Err() == nil {
		l, err := m.c.Provider.Grant(m.ctx, m.c.TTL)
		if err != nil {
			if m.ctx.Err() == nil {
				m.say("lease", "the cluster's engine gives no lease", "err", err.Error())
			}
			m.pause(backoff)
			continue
		}
		m.use(l)
		select {
		case <-l.Lost():
		case <-m.relet:
		case <-m.ctx.Done():
			return // whoever comes next takes the keys over
		}
		m.use(nil)
		m.say("lost", "the host's lease is lost: what it has published is published again")
		ctx, stop := context.WithTimeout(m.ctx, cluster.Heartbeat)
		_ = l.Revoke(ctx) // ends its renewal, if nothing else
		stop()
	}
}

// use puts a lease in force: everything is published with it.
func (m *Member) use(l cluster.Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.relet: // it was about another one
	default:
	}
	m.lease = l
	m.own.all()
	kick(m.work)
}

func (m *Member) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-m.ctx.Done():
	}
}

func (m *Member) say(about, text string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notices.say(about, text, args...)
}

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// format writes a prefix as this domain does.
func (m *Member) format(p addr.Prefix) string { return m.c.Template.FormatPrefix(p) }
