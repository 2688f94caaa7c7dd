// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of a Provider. They are wrapped with what they are about.
var (
	// ErrCompare means that a compare of a batch did not hold: nothing of the batch was done.
	ErrCompare = errors.New("something has changed meanwhile")
	// ErrLeaseLost means that the lease has expired, was revoked, or is of another life of
	// the engine: its keys are gone, or soon will be.
	ErrLeaseLost = errors.New("the lease is lost")
	// ErrCompacted means that the engine does not remember that far back, or is not the one
	// that the revision is of: take a new snapshot.
	ErrCompacted = errors.New("the engine does not remember that revision")
	// ErrUnavailable means that the engine did not answer in time. Whether a batch was done is
	// then unknown.
	ErrUnavailable = errors.New("the cluster engine is not available")
	// ErrLimit means that the request is beyond what the engine takes, of one request or of
	// one client.
	ErrLimit = errors.New("beyond the limits of the cluster engine")
	// ErrForbidden means that the cluster's policy does not let this host have that.
	ErrForbidden = errors.New("not allowed by the cluster's policy")
	// ErrClosed means that the Provider, or what is on top of it, has been closed.
	ErrClosed = errors.New("closed")
)

// A CompareError is an ErrCompare that says at which revision the compare did not hold: whoever
// reads what the engine had then sees why. Others do not say that.
type CompareError struct {
	Revision uint64
	Text     string
}

func (e *CompareError) Error() string { return ErrCompare.Error() + ": " + e.Text }

// Is reports whether target is ErrCompare.
func (e *CompareError) Is(target error) bool { return target == ErrCompare }

// What every engine takes. Beyond that is ErrLimit.
const (
	MaxKey   = 1024      // bytes of a key
	MaxValue = 64 << 10  // bytes of a value
	MaxOps   = 120       // puts and deletes of a batch; and as many compares. etcd takes 128: the rest is a Provider's own
	MaxBatch = 512 << 10 // bytes of a batch's keys and values
	MinTTL   = 100 * time.Millisecond
	MaxTTL   = time.Hour
	MaxHead  = 64 // bytes of a value that do not count (Batch.Head)
)

// Heartbeat is how long a watch is silent at most while the engine is there.
const Heartbeat = time.Second

// A LeaseID names a lease in one life of the engine; 0 is none.
type LeaseID uint64

// A KV is a key with its value. Its bytes belong to whoever got it and are shared with nobody.
type KV struct {
	Key      string
	Value    []byte
	Lease    LeaseID // that it goes away with; 0: with none
	Created  uint64  // the revision that put it where none was
	Modified uint64  // the revision that put it last; of a deleted one: that deleted it
}

// A Compare is a condition of a batch. The zero Revision wants the key to be absent, another
// one wants it to be of just that Modified. With Prefix set, no key that begins with Key may
// have been put after Revision; deletions do not count.
type Compare struct {
	Key      string
	Revision uint64
	Prefix   bool
}

// An Op puts a key or deletes it. Deleting one that is not there is no error and no change.
type Op struct {
	Key    string
	Value  []byte
	Lease  LeaseID
	Delete bool
}

// Put returns the Op that gives key a value, and a lease if it is not 0.
func Put(key string, value []byte, l LeaseID) Op { return Op{Key: key, Value: value, Lease: l} }

// Delete returns the Op that deletes key.
func Delete(key string) Op { return Op{Key: key, Delete: true} }

// A Batch is done whole or not at all, as one revision. No key comes twice in Do.
type Batch struct {
	If []Compare
	Do []Op
	// Head is how many bytes at the front of each value do not count for the limits: what a replica
	// writes before the values of its clients. 0 to MaxHead.
	Head int
}

// Check says whether the batch keeps to the limits. Errors: ErrLimit; of a key that is empty
// or comes twice.
func (b *Batch) Check() error {
	if b.Head < 0 || b.Head > MaxHead {
		return fmt.Errorf("%w: a batch with heads of %d bytes, want 0 to %d", ErrLimit, b.Head, MaxHead)
	}
	if len(b.If) > MaxOps || len(b.Do) > MaxOps {
		return fmt.Errorf("%w: a batch of %d changes and %d compares, want at most %d of each", ErrLimit, len(b.Do), len(b.If), MaxOps)
	}
	size := 0
	seen := make(map[string]bool, len(b.Do))
	for i := range b.Do {
		op := &b.Do[i]
		if err := checkOp(op, b.Head); err != nil {
			return err
		}
		if seen[op.Key] {
			return fmt.Errorf("batch: key %q comes twice", op.Key)
		}
		seen[op.Key] = true
		size += len(op.Key) + max(len(op.Value)-b.Head, 0)
	}
	for _, c := range b.If {
		if err := checkKey(c.Key, c.Prefix); err != nil {
			return err
		}
		size += len(c.Key)
	}
	if size > MaxBatch {
		return fmt.Errorf("%w: a batch of %d bytes, want at most %d", ErrLimit, size, MaxBatch)
	}
	return nil
}

func checkOp(op *Op, head int) error {
	if err := checkKey(op.Key, false); err != nil {
		return err
	}
	if len(op.Value) > MaxValue+head {
		return fmt.Errorf("%w: key %q has a value of %d bytes, want at most %d", ErrLimit, op.Key, len(op.Value), MaxValue+head)
	}
	return nil
}

func checkKey(key string, mayBeEmpty bool) error {
	switch {
	case len(key) > MaxKey:
		return fmt.Errorf("%w: key %.40q... has %d bytes, want at most %d", ErrLimit, key, len(key), MaxKey)
	case key == "" && !mayBeEmpty:
		return errors.New("a key is empty, want 1 byte or more")
	}
	return nil
}

// A Query says what Get is to read.
type Query struct {
	Key      string
	Prefix   bool   // all keys that begin with Key; "" is all
	Revision uint64 // as it was then; 0: now
}

// Matches reports whether key is one that q asks for.
func (q *Query) Matches(key string) bool {
	if q.Prefix {
		return strings.HasPrefix(key, q.Key)
	}
	return key == q.Key
}

// A Snapshot is what Get has read: keys in order, as of one revision.
type Snapshot struct {
	KVs      []KV
	Revision uint64
	// Life names what the engine has held since it was last empty. In another life
	// revisions and leases of before mean nothing.
	Life uint64
	// Age is how long ago the engine was last heard when this was told; 0 while it is there. Only
	// a replica answers while the engine is away, and then tells what it had before.
	Age time.Duration
}

// An Event is a change of one key. Deleted has only Key and Modified.
type Event struct {
	KV
	Deleted bool
}

// An Update is what a watch tells at once.
type Update struct {
	// Snapshot: Events are all keys that there are, and whatever was told before is void.
	Snapshot bool
	// Events are in the order they happened; those of one batch are never told apart. The
	// receiver may keep them.
	Events []Event
	// Revision: everything up to it has been told. A watch goes on from here.
	Revision uint64
	Life     uint64
	// Age is as in Snapshot.
	Age time.Duration
}

// A Lease keeps keys as long as somebody renews it, which its Provider does until Revoke or
// Close. Any goroutine may call its methods.
type Lease interface {
	ID() LeaseID
	// TTL is how long the lease lives without being renewed.
	TTL() time.Duration
	// Lost is closed once the lease must be taken for lost: the engine has said so, or is
	// another one, or could not be reached for the TTL. It stays so.
	Lost() <-chan struct{}
	// Revoke ends the lease and deletes its keys. Errors: ErrUnavailable, after which it
	// expires by itself; the context's.
	Revoke(ctx context.Context) error
}

// Health is what a Provider knows of its engine.
type Health struct {
	// Engine is what it is and where, for people.
	Engine string
	// Age is how long ago it was last heard; Reached whether that is no longer than a few
	// heartbeats.
	Age     time.Duration
	Reached bool
	// LastError is why it is not reached; nil if it is.
	LastError error
	// Of the engine, when it was last heard.
	Life, Revision uint64
	Keys, Leases   int
	Bytes          int64 // of keys and values
	// Host is the name of the host whose daemon answers with a replica; else empty. Leases that
	// were made there are that host's: they end with it.
	Host string
}

// An Adopter is a Provider that takes over leases which an earlier process was granted. Any goroutine
// may call its method.
type Adopter interface {
	// Adopt renews a lease that the engine still has, and keeps it from then on as if it were
	// granted by this Provider. Errors: ErrLeaseLost, the engine does not have it; ErrUnavailable.
	Adopt(ctx context.Context, id LeaseID) (Lease, error)
}

// A Keeper is a Lease that may outlive its Provider. Any goroutine may call its method.
type Keeper interface {
	// Keep has Close of the Provider leave the lease to whoever adopts it, or to its end.
	Keep()
}

// A Provider is a client of an engine. Any goroutine may call its methods. While the engine
// cannot be reached calls wait for it until their context is over, and then return
// ErrUnavailable together with the context's error. After Close they return ErrClosed.
type Provider interface {
	// Grant makes a lease of ttl, MinTTL to MaxTTL. Errors: ErrUnavailable, ErrLimit.
	Grant(ctx context.Context, ttl time.Duration) (Lease, error)
	// Commit does a batch, and returns its revision: one that changed nothing returns the
	// present one. Errors: ErrCompare, ErrLeaseLost, ErrLimit, ErrForbidden, and ErrUnavailable, after
	// which the batch may have been done, or may be done yet.
	Commit(ctx context.Context, b Batch) (uint64, error)
	// Get reads what was committed before the call. Errors: ErrCompacted, ErrUnavailable.
	Get(ctx context.Context, q Query) (Snapshot, error)
	// Watch calls f with what begins with prefix, from one goroutine at a time, until ctx is
	// over or f returns an error, which it then returns. With after 0 it begins with a
	// snapshot; else with what came after that revision. It goes on by itself when the engine
	// was away. While the engine is there f is called each Heartbeat, without events if there
	// are none. Errors: ErrCompacted, also if the engine began another life.
	Watch(ctx context.Context, prefix string, after uint64, f func(Update) error) error
	// Health asks the engine how it is. An engine that does not answer is no error.
	Health(ctx context.Context) (Health, error)
	// Close revokes the leases if the engine is there, and ends what waits.
	Close() error
}
