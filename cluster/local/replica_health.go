// SPDX-License-Identifier: Apache-2.0

package local

import (
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A ReplicaHealth says how a Replica does.
type ReplicaHealth struct {
	Cluster, Host  string
	Incarnation    uint64        // of this start: later ones have higher ones
	Heard          bool          // the engine was heard at least once
	Age            time.Duration // since the engine was heard; 0 while it is there
	Life, Revision uint64        // of the copy
	Keys           int           // of the copy
	Bytes          int64         // of keys and values, each key with 128 more
	Clients        int           // of this host
	Leases         int           // of its processes
	Ended          int           // leases of its processes that have ended and whose keys are not deleted yet
	Unreadable     int           // keys that no replica has written; they are passed over
	Commits        int           // batches on their way to the engine
	// Lease is the host's, 0 if it has none; LeaseAge is since when this process has it.
	Lease    cluster.LeaseID
	LeaseAge time.Duration
	// LastError is what has gone wrong since the engine was last heard; nil: nothing.
	LastError error
}

// Health says how the replica does. It asks nobody.
func (r *Replica) Health() ReplicaHealth {
	st := r.store.Stats()
	h := ReplicaHealth{
		Cluster: r.o.Cluster, Host: r.o.Host, Age: r.age(), Life: r.store.Life(), Revision: st.Revision, Keys: st.Keys, Bytes: st.Bytes,
		Clients: st.Clients, Leases: st.Leases, Ended: st.Ended, Unreadable: r.bad.count(), Commits: r.ferry.crossings(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Incarnation, h.Heard, h.LastError = r.number, r.known, r.last
	if !r.known {
		h.Age = 0
	}
	if r.host != nil {
		h.Lease, h.LeaseAge = r.host.ID(), time.Since(r.host.since)
	}
	return h
}
