// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	mutexKey  = "/skybus-engine/members"
	placeKey  = "/skybus-engine/place" // the host that takes the place of a removed member
	mutexTTL  = 10                     // seconds
	placeTTL  = 60                     // seconds, from which on any host may take it
	caughtUp  = 1000                   // entries of the log that a learner may be behind its leader
	askMember = time.Second
)

// Errors of Replace.
var (
	// ErrHasMember means that this host has a member already.
	ErrHasMember = errors.New("this host has a member of the engine already")
	// ErrNoMember means that there is no such member.
	ErrNoMember = errors.New("no such member of the engine")
	// ErrAnswers means that the member that is to be replaced is there.
	ErrAnswers = errors.New("it answers: only a lost member is replaced")
)

// mine is the member at this host's peer address.
func (e *Engine) mine(list []*etcdserverpb.Member) *etcdserverpb.Member {
	for _, m := range list {
		if first(m.PeerURLs) == e.c.Peer {
			return m
		}
	}
	return nil
}

func named(list []*etcdserverpb.Member, host string) *etcdserverpb.Member {
	for _, m := range list {
		if m.Name == host {
			return m
		}
	}
	return nil
}

// consider has this host, which has no member, become one if there are too few.
func (e *Engine) consider(ctx context.Context, list []*etcdserverpb.Member) error {
	mine := e.mine(list)
	switch {
	case mine != nil && mine.Name == "" && mine.IsLearner:
		return e.added() // the daemon was killed when it had asked for it
	case mine != nil || named(list, e.c.Host) != nil:
		return fmt.Errorf("member %q is in the list, and its data are not here: \"skybus cluster replace %s\" makes this host a member again", e.c.Host, e.c.Host)
	}
	if ok, err := e.mayAdd(ctx, len(list)); err != nil || !ok {
		return err
	}
	return e.alone(ctx, func(ctx context.Context) error {
		r, err := e.etcd.MemberList(ctx)
		if err != nil {
			return err
		}
		if ok, err := e.mayAdd(ctx, len(r.Members)); err != nil || !ok { // others were first
			return err
		}
		return e.add(ctx)
	})
}

// mayAdd says whether this host is to become one more of n members. A place that a host has made free for itself is
// nobody else's.
func (e *Engine) mayAdd(ctx context.Context, n int) (bool, error) {
	r, err := e.etcd.Get(ctx, placeKey)
	if err != nil {
		return false, fmt.Errorf("ask whose place is free: %w", err)
	}
	if len(r.Kvs) > 0 {
		return string(r.Kvs[0].Value) == e.c.Host, nil
	}
	return n < e.c.Size, nil
}

// alone does something while no other host changes the members.
func (e *Engine) alone(ctx context.Context, do func(ctx context.Context) error) error {
	lease, err := e.etcd.Grant(ctx, mutexTTL)
	if err != nil {
		return fmt.Errorf("take the engine's mutex: %w", err)
	}
	s, err := concurrency.NewSession(e.etcd, concurrency.WithLease(lease.ID), concurrency.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("take the engine's mutex: %w", err)
	}
	defer s.Close() // else it expires
	m := concurrency.NewMutex(s, mutexKey)
	if err := m.Lock(ctx); err != nil {
		return fmt.Errorf("take the engine's mutex: %w", err)
	}
	return do(ctx)
}

// add makes this host a learner.
func (e *Engine) add(ctx context.Context) error {
	if _, err := e.etcd.MemberAddAsLearner(ctx, []string{e.c.url(e.c.Peer)}); err != nil {
		return fmt.Errorf("become a member: %w", err)
	}
	if _, err := e.etcd.Delete(ctx, placeKey); err != nil {
		e.log.Warn("the place in the engine that this host has taken looks free for a minute", "error", err.Error())
	}
	return e.added()
}

// added starts the server of this host's member, which is in the list.
func (e *Engine) added() error {
	if hasData(e.c.State) {
		return fmt.Errorf("the folder %s has data of another member: move it away", dataDir)
	}
	if err := e.remember(func(st *state) { st.Member, st.Peer = memberAdded, e.c.url(e.c.Peer) }); err != nil {
		return err
	}
	e.log.Info("this host becomes a member of the engine", "clients", e.c.Client, "peers", e.c.Peer)
	e.startLocked()
	return nil
}

// promote has learners vote that have caught up with this host's member, which leads: so many at a time that the
// number of voters is odd.
func (e *Engine) promote(ctx context.Context, list []*etcdserverpb.Member, own *clientv3.StatusResponse) error {
	voters := 0
	var ready []*etcdserverpb.Member
	for _, m := range list {
		switch {
		case !m.IsLearner:
			voters++
		case e.isReady(ctx, m, own.RaftIndex):
			ready = append(ready, m)
		}
	}
	n := 1 + voters%2
	if len(ready) < n {
		return nil
	}
	for _, m := range ready[:n] {
		if _, err := e.etcd.MemberPromote(ctx, m.ID); err != nil {
			return fmt.Errorf("have member %s vote: %w", m.Name, err)
		}
		e.log.Info("a member of the engine votes now", "member", m.Name)
	}
	return nil
}

// isReady says whether a learner has caught up with an index of the leader's log.
func (e *Engine) isReady(ctx context.Context, m *etcdserverpb.Member, index uint64) bool {
	st, err := e.status(ctx, m)
	return err == nil && st.RaftAppliedIndex+caughtUp >= index
}

// status asks a member how it is.
func (e *Engine) status(ctx context.Context, m *etcdserverpb.Member) (*clientv3.StatusResponse, error) {
	if len(m.ClientURLs) == 0 {
		return nil, errors.New("it has not begun yet")
	}
	ctx, stop := context.WithTimeout(ctx, askMember)
	defer stop()
	return e.etcd.Status(ctx, m.ClientURLs[0])
}

// isLost says whether a member does not answer, asked more than once: this host may be the one that was slow.
func (e *Engine) isLost(ctx context.Context, m *etcdserverpb.Member) bool {
	for range 3 {
		if _, err := e.status(ctx, m); err == nil {
			return false
		}
	}
	return true
}

// Replace has this host take the place of the lost member of a host, which may be this one's own, before its disk was
// wiped. It returns when that has begun. Errors: ErrHasMember, ErrNoMember, ErrAnswers; those of the engine.
func (e *Engine) Replace(ctx context.Context, old string) error {
	e.work.Lock()
	defer e.work.Unlock()
	if st := e.remembered(); st.Member != memberNone {
		return fmt.Errorf("%w: replace %s from one without", ErrHasMember, old)
	}
	return e.alone(ctx, func(ctx context.Context) error {
		r, err := e.etcd.MemberList(ctx)
		if err != nil {
			return err
		}
		m := named(r.Members, old)
		if m == nil {
			return fmt.Errorf("%w: %q; there are %s", ErrNoMember, old, strings.Join(hostNames(r.Members), ", "))
		}
		if !e.isLost(ctx, m) {
			return fmt.Errorf("member %s at %s: %w", old, first(m.ClientURLs), ErrAnswers)
		}
		lease, err := e.etcd.Grant(ctx, placeTTL)
		if err == nil {
			_, err = e.etcd.Put(ctx, placeKey, e.c.Host, clientv3.WithLease(lease.ID))
		}
		if err != nil {
			return fmt.Errorf("keep the place of member %s: %w", old, err)
		}
		if _, err := e.etcd.MemberRemove(ctx, m.ID); err != nil {
			_, kept := e.etcd.Delete(ctx, placeKey) // else this host would be one too many, for the lease's time
			return errors.Join(fmt.Errorf("remove member %s: %w", old, err), kept)
		}
		e.log.Warn("a lost member was removed from the engine", "member", old)
		if err := e.add(ctx); err != nil { // for some seconds after another one has come or gone the engine refuses
			e.log.Warn("this host does not take its place yet; it is tried again", "member", old, "error", err.Error())
		}
		return nil
	})
}

func hostNames(list []*etcdserverpb.Member) (all []string) {
	for _, m := range list {
		if m.Name != "" {
			all = append(all, m.Name)
		}
	}
	slices.Sort(all)
	return all
}
