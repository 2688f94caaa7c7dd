// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
)

// tendEvery is how often leases are looked at.
const tendEvery = 50 * time.Millisecond

// A backend is what a Server answers from: an Engine or a Replica. Any goroutine may call its methods.
type backend interface {
	bounds() *Limits
	// hello opens the client of a hello and writes into its answer what the client is to know.
	hello(q, a *frame) (*store.Client, error)
	// handle does one request of a client.
	handle(ctx context.Context, c *store.Client, q *frame) *frame
	// waits says whether handle may take its time over a request, until ctx is over.
	waits(q *frame) bool
	// leave is what becomes of a client whose connection has ended without a word. alive may be
	// nil.
	leave(c *store.Client, alive func() bool)
}

// A core is what an Engine and a Replica have in common: a store whose leases are looked after.
type core struct {
	limits Limits
	store  *store.Store
	stop   chan struct{}
	done   sync.WaitGroup

	omu     sync.Mutex
	tending map[*orphan]bool
}

// An orphan is a client without a connection. Once its process is found to be gone, its
// leases are.
type orphan struct {
	c     *store.Client
	alive func() bool
}

// begin begins to look after the leases, until stop is closed.
func (e *core) begin() {
	e.done.Add(1)
	go e.tend()
}

func (e *core) bounds() *Limits { return &e.limits }

func (e *core) tend() {
	defer e.done.Done()
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.store.Tend()
			e.bury()
		case <-e.stop:
			return
		}
	}
}

// bury ends the leases of orphans whose process has ended. What is asked for each may be a
// system call, so it is not done under the lock.
func (e *core) bury() {
	e.omu.Lock()
	list := make([]*orphan, 0, len(e.tending))
	for o := range e.tending {
		list = append(list, o)
	}
	e.omu.Unlock()
	for _, o := range list {
		gone := o.c.Connected() || !o.c.Leased()
		if !gone && !o.alive() {
			o.c.RevokeAll()
			gone = true
		}
		if gone {
			e.omu.Lock()
			delete(e.tending, o)
			e.omu.Unlock()
		}
	}
}

func (e *core) leave(c *store.Client, alive func() bool) {
	if alive != nil && c.Leased() && !c.Connected() {
		e.omu.Lock()
		e.tending[&orphan{c, alive}] = true
		e.omu.Unlock()
	}
}

// do does the requests that need nobody else.
func (e *core) do(ctx context.Context, c *store.Client, q, a *frame) (err error) {
	switch q.Op {
	case opGrant:
		var id cluster.LeaseID
		id, err = c.Grant(time.Duration(q.TTL))
		a.Lease = uint64(id)
	case opRenew:
		var ttl time.Duration
		ttl, err = c.Renew(cluster.LeaseID(q.Lease), time.Duration(q.TTL))
		a.TTL = int64(ttl)
	case opRevoke:
		e.store.Revoke(cluster.LeaseID(q.Lease))
	case opCommit:
		a.Revision, err = c.Commit(q.batch())
	case opGet:
		err = e.get(q, a)
	case opPoll:
		err = e.poll(ctx, q, a)
	case opHealth:
		st := e.store.Stats()
		a.Life, a.Revision, a.Keys, a.Leases, a.Bytes = e.store.Life(), st.Revision, st.Keys, st.Leases, st.Bytes
	case opLeave:
		c.RevokeAll()
	default:
		err = fmt.Errorf("request %d: want 1 to %d", q.Op, opLeave)
	}
	return err
}

// get reads a page.
func (e *core) get(q, a *frame) error {
	query := cluster.Query{Key: q.Key, Prefix: q.Prefix, Revision: q.Revision}
	snap, more, err := e.store.Get(query, q.From, pageBytes)
	a.KVs, a.Revision, a.Life, a.More = wireKVs(snap.KVs), snap.Revision, snap.Life, more
	return err
}

// poll waits a heartbeat for what has changed.
func (e *core) poll(ctx context.Context, q, a *frame) error {
	events, at, err := e.store.Poll(ctx, q.Key, store.Cursor{Revision: q.Revision, Skip: q.Skip}, pageBytes, cluster.Heartbeat)
	a.KVs, a.Revision, a.Skip, a.Life = wireEvents(events), at.Revision, at.Skip, e.store.Life()
	return err
}

// answer makes a frame of what came of a request.
func answer(q, a *frame, err error) *frame {
	if err != nil {
		*a = frame{}
		a.fail(err)
	}
	a.ID, a.Op = q.ID, q.Op
	return a
}
