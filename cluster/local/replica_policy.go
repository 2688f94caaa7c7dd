// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/cluster"
)

// A NamePolicy says which host may have which global names. Any goroutine may call its methods.
type NamePolicy interface {
	// Name says why a host may not have a name; nil if it may.
	Name(host, name string) error
	// MaxNames is how many claims on names a host may have; 0: any number.
	MaxNames(host string) int
}

// SetPolicy has the replica keep to a policy from now on; nil, as at the start: none. What processes of this host ask for
// beyond it is refused (cluster.ErrForbidden); claims of hosts that may not have the name are passed over, as if they
// were not there. All that the engine has is read again and judged anew. Any goroutine may call it.
func (r *Replica) SetPolicy(p NamePolicy) {
	r.law.policy.Store(&p)
	r.mu.Lock()
	h := r.host
	r.again = true
	if r.rewatch != nil {
		r.rewatch()
	}
	r.mu.Unlock()
	if h != nil {
		r.remember(h)
	}
}

// A law is what a replica knows of its policy, and needs to judge by it.
type law struct {
	policy atomic.Pointer[NamePolicy]

	// The host's lease in the engine stands for the host; a presence tells whose it is. It is there before any claim.
	// They belong to the goroutine that follows the engine.
	leases map[string]cluster.LeaseID // by host, the latest
	hosts  map[cluster.LeaseID]string

	mu     sync.Mutex
	claims map[string]bool // on names, of this host
	coming int             // in batches on their way
}

func (l *law) in() NamePolicy {
	if p := l.policy.Load(); p != nil {
		return *p
	}
	return nil
}

// presences takes in whose lease is whose from a snapshot, whose keys come in any order, and begins to count anew.
func (l *law) presences(root string, u *cluster.Update) {
	if !u.Snapshot {
		return
	}
	l.leases, l.hosts = map[string]cluster.LeaseID{}, map[cluster.LeaseID]string{}
	l.mu.Lock()
	l.claims = map[string]bool{}
	l.mu.Unlock()
	for i := range u.Events {
		if kv := &u.Events[i].KV; cluster.IsPresence(root, kv.Key) {
			if _, value, err := cutValue(kv.Value); err == nil {
				l.learn(value, kv.Lease)
			}
		}
	}
}

// learn notes that a lease of the engine is the host's of which a presence says that it is there.
func (l *law) learn(value []byte, lease cluster.LeaseID) {
	host, ok := cluster.PresenceHost(value)
	if !ok || lease == 0 {
		return
	}
	if old, ok := l.leases[host]; ok {
		delete(l.hosts, old)
	}
	l.leases[host], l.hosts[lease] = lease, host
}

// judge says why a key that the engine has, with its lease there, is to be passed over.
func (l *law) judge(root, key string, value []byte, lease cluster.LeaseID) error {
	if cluster.IsPresence(root, key) {
		l.learn(value, lease)
		return nil
	}
	p := l.in()
	name, ok := nameOf(root, key)
	if p == nil || !ok {
		return nil
	}
	host, ok := l.hosts[lease]
	if !ok {
		return fmt.Errorf("%w: nobody says of which host it is", cluster.ErrForbidden)
	}
	if err := p.Name(host, name); err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrForbidden, err)
	}
	return nil
}

// count notes whether a claim is one of this host. Without a policy nobody asks; with one all is read anew.
func (l *law) count(root, key string, own bool) {
	if _, ok := nameOf(root, key); !ok || l.in() == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if own {
		l.claims[key] = true
	} else {
		delete(l.claims, key)
	}
}

// admit says why this host may not do a batch; done is to be called when the copy has it, or it was not done.
func (l *law) admit(root, host string, b *cluster.Batch) (done func(), err error) {
	p := l.in()
	if p == nil {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	more := 0
	for i := range b.Do {
		name, ok := nameOf(root, b.Do[i].Key)
		if !ok || b.Do[i].Delete {
			continue
		}
		if err := p.Name(host, name); err != nil {
			return nil, fmt.Errorf("%w: %w", cluster.ErrForbidden, err)
		}
		if !l.claims[b.Do[i].Key] {
			more++
		}
	}
	if most := p.MaxNames(host); most > 0 && more > 0 && len(l.claims)+l.coming+more > most {
		return nil, fmt.Errorf("%w: host %s may have %d names, and has %d", cluster.ErrForbidden, host, most, len(l.claims)+l.coming)
	}
	l.coming += more
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.coming -= more
	}, nil
}

// nameOf returns the name that a key is a claim on. root is that of the names.
func nameOf(root, key string) (name string, ok bool) {
	if !strings.HasPrefix(key, root) || cluster.IsPresence(root, key) {
		return "", false
	}
	name, _, ok = strings.Cut(key[len(root):], "/")
	return name, ok
}
