// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

const (
	maxKeys    = cluster.MaxOps - 1 // of a batch: one compare is on the host's key
	maxBatches = 8                  // under way at a time
	patience   = 5 * time.Second    // with one of them, then it is decided upon anew
)

// A landing is a batch that the engine has done and the mirror has not seen yet.
type landing struct {
	revision uint64
	keys     []string
}

// publish brings what is wanted into the engine: a key that is under way is left alone until the
// mirror shows what became of it, so the changes of each are in order.
func (m *Member) publish() {
	for {
		wait, more := m.launch()
		if more {
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-m.work:
		case <-timer:
		case <-m.ctx.Done():
			return
		}
	}
}

// launch sends the next batch, if there is one and it may go now. It says how long to wait for
// that, 0: until somebody kicks.
func (m *Member) launch() (wait time.Duration, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lease == nil || !m.mirror.synced || m.closing || m.batches >= maxBatches || len(m.own.dirty) == 0 {
		return 0, false
	}
	if wait := time.Until(m.hold); wait > 0 {
		return wait, false
	}
	b := m.next()
	if len(b.Do) == 0 {
		return 0, false
	}
	for _, op := range b.Do {
		key := op.Key[len(m.root):]
		delete(m.own.dirty, key)
		m.flying[key] = 0
	}
	m.batches++
	l, life := m.lease, m.mirror.life
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		ctx, stop := context.WithTimeout(m.ctx, patience)
		rev, err := m.c.Provider.Commit(ctx, b)
		stop()
		m.committed(&b, l, life, rev, err)
	}()
	return 0, true
}

// next makes a batch of what is to be done now: the host's own key before all others. With mu held.
func (m *Member) next() (b cluster.Batch) {
	home := hostKey(m.c.Host)
	if _, flies := m.flying[home]; flies {
		return b
	}
	if op, c, ok := m.decideHost(home); ok {
		b.Do, b.If = append(b.Do, op), append(b.If, c)
		return b
	}
	standing := m.standing()
	if standing == 0 {
		return b
	}
	b.If = append(b.If, cluster.Compare{Key: m.root + home, Revision: standing})
	for key := range m.own.dirty {
		if _, flies := m.flying[key]; flies {
			continue
		}
		op, c, ok := m.decide(key)
		if !ok {
			delete(m.own.dirty, key)
			continue
		}
		b.Do, b.If = append(b.Do, op), append(b.If, c)
		if len(b.Do) >= m.size {
			break
		}
	}
	return b
}

// standing is the revision of the host's key if it is as this member has put it, else 0: then
// nothing may be published.
func (m *Member) standing() uint64 {
	e := m.mirror.hosts[m.c.Host]
	w := m.own.wants[hostKey(m.c.Host)]
	if e == nil || e.lease != m.lease.ID() || string(e.raw) != string(w.raw) {
		return 0
	}
	return e.modified
}

// decideHost says what is to be done with the host's own key.
func (m *Member) decideHost(key string) (op cluster.Op, c cluster.Compare, ok bool) {
	delete(m.own.dirty, key)
	if m.standing() != 0 {
		m.own.fenced = nil
		return op, c, false
	}
	m.own.fenced = m.fence()
	if m.own.fenced != nil {
		m.notices.say("fenced", "this host publishes nothing", "host", m.c.Host, "err", m.own.fenced.Error())
		m.own.dirty[key] = true // looked at again when the key changes, or something else does
		return op, c, false
	}
	op = cluster.Put(m.root+key, m.own.wants[key].raw, m.lease.ID())
	return op, cluster.Compare{Key: m.root + key, Revision: m.present(key)}, true
}

// fence says why this host may not be in the cluster.
func (m *Member) fence() error {
	e := m.mirror.hosts[m.c.Host]
	switch {
	case e == nil || e.modified == 0:
		return m.roomForHost()
	case e.refused != nil:
		return e.refused
	case e.value.host.Fingerprint != m.c.Fingerprint:
		return fmt.Errorf("host %s (%s) is in the cluster with another certificate: %s, this one has %s", e.host, e.value.host.Links[0],
			orNone(e.value.host.Fingerprint), orNone(m.c.Fingerprint))
	case e.value.host.Incarnation > m.c.Incarnation:
		return fmt.Errorf("incarnation %d of host %s (%s) has taken the place of this one, %d", e.value.host.Incarnation, e.host,
			e.value.host.Links[0], m.c.Incarnation)
	}
	return nil
}

func (m *Member) roomForHost() error {
	n := 0
	for _, e := range m.mirror.hosts {
		if e.modified != 0 {
			n++
		}
	}
	if n >= m.c.Quota.Hosts {
		return fmt.Errorf("the cluster has %d hosts already, which is the most", n)
	}
	return nil
}

// present is the revision that the engine has a key with, as far as the mirror knows.
func (m *Member) present(key string) uint64 {
	if rev, unread := m.mirror.unread[key]; unread {
		return rev
	}
	if e := m.mirror.entries[key]; e != nil {
		return e.modified
	}
	return 0
}

// decide says what is to be done with a key. What another host has is a conflict, also if that is
// in doubt.
func (m *Member) decide(key string) (op cluster.Op, c cluster.Compare, ok bool) {
	w, e := m.own.wants[key], m.mirror.entries[key]
	c = cluster.Compare{Key: m.root + key, Revision: m.present(key)}
	switch {
	case w == nil && e != nil && e.owner == m.c.Host && e.modified != 0:
		return cluster.Delete(m.root + key), c, true
	case w == nil:
		return op, c, false
	case e != nil && e.owner != m.c.Host:
		m.conflict(key, w, e.owner)
		return op, c, false
	}
	m.resolve(key)
	if e != nil && e.modified != 0 && e.lease == m.lease.ID() && string(e.raw) == string(w.raw) {
		return op, c, false
	}
	return cluster.Put(m.root+key, w.raw, m.lease.ID()), c, true
}

// committed takes in what has become of a batch.
func (m *Member) committed(b *cluster.Batch, l cluster.Lease, life, rev uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches--
	keys := make([]string, len(b.Do))
	for i, op := range b.Do {
		keys[i] = op.Key[len(m.root):]
	}
	kick(m.work)
	if err == nil && m.mirror.life == life { // else that revision means nothing any more
		m.size = min(2*m.size, maxKeys)
		for _, key := range keys {
			m.flying[key] = rev
		}
		m.landed = append(m.landed, landing{rev, keys})
		m.land()
		return
	}
	for _, key := range keys {
		delete(m.flying, key)
		m.own.dirty[key] = true
	}
	if err != nil {
		m.failed(l, len(keys), err)
	}
}

// failed says when to try again, and with how much.
func (m *Member) failed(l cluster.Lease, size int, err error) {
	again := backoff
	switch {
	case errors.Is(err, cluster.ErrCompare):
		again = applyEvery // the watch is about to tell what it was
		m.size = max(size/2, 1)
	case m.ctx.Err() != nil || m.closing:
	case errors.Is(err, cluster.ErrLeaseLost):
		if m.lease == l {
			kick(m.relet)
		}
	case errors.Is(err, cluster.ErrUnavailable):
		m.notices.say("publish", "the cluster's engine is away: what is new waits", "err", err.Error())
	default:
		again = time.Second
		m.size = max(size/2, 1)
		m.notices.say("publish", "the cluster's engine refuses what this host publishes", "err", err.Error())
	}
	m.hold = time.Now().Add(again)
}

// land lets go of the keys whose batches the mirror has seen. With mu held.
func (m *Member) land() {
	rest := m.landed[:0]
	for _, batch := range m.landed {
		if batch.revision > m.mirror.revision {
			rest = append(rest, batch)
			continue
		}
		for _, key := range batch.keys {
			if m.flying[key] == batch.revision {
				delete(m.flying, key)
			}
		}
	}
	m.landed = rest
}

// forgetLandings is for another life: what has landed in the last one will not be seen. With mu held.
func (m *Member) forgetLandings() {
	for _, batch := range m.landed {
		for _, key := range batch.keys {
			if m.flying[key] == batch.revision {
				delete(m.flying, key)
			}
		}
	}
	m.landed = nil
}

// farewell is the batch that says that this host leaves. With mu held.
func (m *Member) farewell() (b cluster.Batch) {
	if m.lease == nil || !m.mirror.synced {
		return b
	}
	if standing := m.standing(); standing != 0 {
		key := m.root + hostKey(m.c.Host)
		b.If = []cluster.Compare{{Key: key, Revision: standing}}
		b.Do = []cluster.Op{cluster.Put(key, m.own.hostValue(stateLeft), m.lease.ID())}
	}
	return b
}
