// SPDX-License-Identifier: Apache-2.0

package share

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Version is one state of a table. It never changes, and stays whole as long
// as anybody holds it. Any goroutine may use it.
type Version[T any] struct {
	value  T
	number uint64
	time   time.Time
	source string
}

// Value returns the value. It is shared with all other readers and must not be
// changed, nor anything that is reached from it.
func (v *Version[T]) Value() T { return v.value }

// Number returns which version it is: 1 is the first of the table, each later
// one has the next number.
func (v *Version[T]) Number() uint64 { return v.number }

// Time returns when the version became the current one.
func (v *Version[T]) Time() time.Time { return v.time }

// Source returns where the value is from, as its writer said; it may be empty.
func (v *Version[T]) Source() string { return v.source }

// A Table holds a value that many goroutines read and few replace. [New] makes
// one. All methods may be called by any goroutine at any time.
//
// Lock order: writers, then mu.
type Table[T any] struct {
	name    string
	current atomic.Pointer[Version[T]] // stored under writers, loaded by anybody

	writers sync.Mutex // held while a version is made, and so during the functions of Update

	mu       sync.Mutex // never held while a function of the user runs
	watchers map[*watcher[T]]struct{}
	changed  chan struct{} // closed with the next version; nil while nobody asked for it
}

// New makes a table whose first version is value, which belongs to the table
// from here on. The name is for people and for a [Registry].
func New[T any](name string, value T) *Table[T] { return NewFrom(name, "", value) }

// NewFrom is New for a value that comes from source, such as the name of a file.
func NewFrom[T any](name, source string, value T) *Table[T] {
	t := &Table[T]{name: name}
	t.current.Store(&Version[T]{value: value, number: 1, time: time.Now(), source: source})
	return t
}

// Name returns the name that the table was made with.
func (t *Table[T]) Name() string { return t.name }

// Get returns the current value. It is shared with all other readers and must
// not be changed, nor anything that is reached from it. Get waits for nobody and
// allocates nothing. It copies a T: a large struct is better shared as a pointer.
func (t *Table[T]) Get() T { return t.current.Load().value }

// Load returns the current version, which is never nil. It waits for nobody and
// allocates nothing.
func (t *Table[T]) Load() *Version[T] { return t.current.Load() }

// Replace makes value the current version, and returns its number. The value
// belongs to the table from here on. Replace waits for other writers, and for no
// reader or watcher.
func (t *Table[T]) Replace(value T) uint64 { return t.ReplaceFrom("", value) }

// ReplaceFrom is Replace for a value that comes from source.
func (t *Table[T]) ReplaceFrom(source string, value T) uint64 {
	t.writers.Lock()
	defer t.writers.Unlock()
	return t.publish(source, value)
}

// Update makes what change returns for the current value the current version,
// and returns its number. Between the two no other writer comes. When change
// fails the table stays as it is, and Update returns the number of the current
// version and the error unchanged; a panic of change passes through and also
// leaves the table as it is.
//
// Change must not alter the value it gets, and must not write to this table,
// which would wait for itself.
func (t *Table[T]) Update(change func(old T) (T, error)) (uint64, error) {
	t.writers.Lock()
	defer t.writers.Unlock()
	old := t.current.Load()
	value, err := change(old.value)
	if err != nil {
		return old.number, err
	}
	return t.publish("", value), nil
}

// publish is called under writers.
func (t *Table[T]) publish(source string, value T) uint64 {
	v := &Version[T]{value: value, number: t.current.Load().number + 1, time: time.Now(), source: source}
	t.current.Store(v)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	for w := range t.watchers {
		w.wakeLocked()
	}
	return v.number
}

// Changed returns a channel that is closed when a version comes after the one
// that is current now. Asked for before the version is looked at, it misses
// nothing:
//
//	changed := t.Changed()
//	use(t.Get())
//	<-changed
func (t *Table[T]) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}

// Wait returns the current version as soon as its number is larger than after;
// 0 never waits. It returns a context's error, and no version, when ctx ends
// before that. Versions that were current only for a moment may be passed over.
func (t *Table[T]) Wait(ctx context.Context, after uint64) (*Version[T], error) {
	for {
		if v := t.current.Load(); v.number > after {
			return v, nil
		}
		changed := t.Changed()
		if v := t.current.Load(); v.number > after {
			return v, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
