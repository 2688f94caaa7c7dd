// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/shm"
)

// ErrGone means that the domain was destroyed.
var ErrGone = errors.New("the domain was destroyed")

// A Registry is one process's view of the names of a host. Any goroutine may call its methods.
//
// Lock order: turn, then the kernel's lock, then mu.
type Registry struct {
	path   string // of the table
	lock   string // of the domain's lock file
	key    uint32
	binds  func(addr.Addr) uint64
	access shm.Access
	file   *os.File // of the domain's locks: for the names' own, and to ask who has an address
	turn   chan struct{}
	done   chan struct{} // closed by Close
	ears   ears

	mu     sync.RWMutex // guards the next: who reads t's memory holds it for reading
	t      *table       // nil: there is none, or it was not opened yet
	closed bool
}

var _ names.Registry = (*Registry)(nil)

// Open returns the registry of the domain of that key in a folder, which there must be. It makes
// nothing: the table is made by the first Request or Watch. binds tells how often an address was
// bound; any goroutine calls it, and not after Close has returned.
func Open(folder string, key uint32, binds func(addr.Addr) uint64) (*Registry, error) {
	r := &Registry{
		path: filepath.Join(folder, FileName), lock: filepath.Join(folder, "lock"), key: key, binds: binds,
		turn: make(chan struct{}, 1), done: make(chan struct{}),
	}
	r.ears.init()
	var err error
	if r.access, err = shm.AccessOf(folder); err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	if r.file, err = shm.OpenLockFile(r.lock, false, shm.Keep); err != nil {
		return nil, fmt.Errorf("names: %w", err)
	}
	return r, nil
}

// Close ends all watches, and all that waits. Names are not released: their owners live on. It waits for
// calls that are under way, but not for what a Watch has called.
func (r *Registry) Close() {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return
	}
	close(r.done)
	r.ears.close()
	r.turn <- struct{}{} // for good: nobody makes a change any more
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.close()
	r.t = nil
	r.file.Close()
}

var errClosed = fmt.Errorf("names: %w", os.ErrClosed)

// look calls f with the present table, nil if there is none, and keeps it mapped meanwhile.
func (r *Registry) look(f func(t *table) error) error {
	for tries := 0; ; tries++ {
		r.mu.RLock()
		if r.closed {
			r.mu.RUnlock()
			return errClosed
		}
		if r.t != nil && !r.t.moving() || tries > 0 {
			defer r.mu.RUnlock()
			return f(r.t)
		}
		r.mu.RUnlock()
		if err := r.open(); err != nil {
			return err
		}
	}
}

// open maps the table that the name leads to, unless that is the one that is mapped.
func (r *Registry) open() error {
	r.mu.RLock()
	same := r.t != nil && r.t.seg.Named()
	r.mu.RUnlock()
	if same { // no reader is to wait for one that makes a larger table
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	if r.t != nil && r.t.seg.Named() {
		return nil
	}
	t, err := openTable(r.path, r.key)
	if errors.Is(err, fs.ErrNotExist) {
		t, err = nil, nil
	}
	if err != nil {
		return err
	}
	r.t.close()
	r.t = t
	return nil
}

func openTable(path string, key uint32) (*table, error) {
	seg, err := shm.Open(path, magic, false)
	if err == nil {
		var t *table
		if t, err = view(seg.Mem(), seg.Body(), key); err == nil {
			t.seg = seg
			return t, nil
		}
		seg.Close()
		err = fmt.Errorf("%s: %w", path, err)
	}
	for _, kind := range []error{shm.ErrMagic, shm.ErrChecksum, shm.ErrTruncated} {
		if errors.Is(err, kind) {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return nil, err
}

// change calls f with the present table, which it may change, made if there is none. f is called
// again if there was no room for what it does. With the lock held.
func (r *Registry) change(f func(t *table) error) error {
	if err := r.open(); err != nil {
		return err
	}
	for {
		var larger *table
		err := r.look(func(t *table) (err error) {
			if t == nil {
				larger, err = r.make(minUnits, nil, 0)
				return err
			}
			if t.word(mutationAt).Load()&1 == 1 || t.moving() {
				err = t.tidy()
			}
			if err == nil {
				err = f(t)
			}
			var full errNoRoom
			if errors.As(err, &full) {
				larger, err = r.grow(t, full.units)
			}
			return err
		})
		if err != nil || larger == nil {
			return err
		}
		r.swap(larger)
	}
}

func (r *Registry) swap(t *table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.close()
	r.t = t
}
