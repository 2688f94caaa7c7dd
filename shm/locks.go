// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"fmt"
	"os"
	"sync"

	"github.com/skybus-io/skybus/internal/sys"
)

// Lock bytes above the addresses.
const (
	addresses = int64(1) << 32 // the byte at an address's offset is its bind lock
	changeAt  = addresses      // held while the table is being changed
)

// Locks are the locks of one domain: bytes of one file, which belong to an open
// file description and so end with the process, however it ends. Safe for
// concurrent use.
//
// Lock order: change, then mu.
type Locks struct {
	path  string
	file  *os.File // holds this process's locks
	probe *os.File // a description of its own, to ask who holds what: one's own locks are invisible

	change sync.Mutex // the change lock between goroutines

	mu      sync.Mutex
	held    map[uint32]bool
	adopted map[uint32]*os.File // of those that a program before has taken: handover.go
}

// OpenLocks opens the lock file at path, and makes it if create is set.
func OpenLocks(path string, create bool, a Access) (*Locks, error) {
	file, err := OpenLockFile(path, create, a)
	if err != nil {
		return nil, err
	}
	probe, err := sys.Open(path, os.O_RDWR, 0)
	if err != nil {
		file.Close()
		return nil, Explain(err, path)
	}
	return &Locks{path: path, file: file, probe: probe, held: map[uint32]bool{}}, nil
}

// Close gives every lock back.
func (l *Locks) Close() {
	l.file.Close()
	l.probe.Close()
	for _, f := range l.adopted {
		f.Close()
	}
}

// TryBind takes the lock of address addr. False: somebody holds it, in this
// process or another.
func (l *Locks) TryBind(addr uint32) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[addr] {
		return false, nil
	}
	ok, err := sys.TryLock(l.file, int64(addr))
	if ok {
		l.held[addr] = true
	}
	return ok, lockErr(err, l.path)
}

// Unbind gives the lock of addr back.
func (l *Locks) Unbind(addr uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held[addr] {
		return
	}
	delete(l.held, addr)
	if f := l.adopted[addr]; f != nil {
		delete(l.adopted, addr)
		f.Close() // its last lock
	} else {
		_ = sys.Unlock(l.file, int64(addr)) // unlocking one's own byte fails only on a closed file
	}
}

// Bound reports whether a live process, this one included, has addr bound. It
// takes nothing, so it never makes a Bind fail.
func (l *Locks) Bound(addr uint32) (bool, error) {
	_, held, err := sys.LockedAt(l.probe, int64(addr), 1)
	return held, lockErr(err, l.path)
}

// AnyBound returns an address from from on that is bound, of several not
// necessarily the lowest.
func (l *Locks) AnyBound(from uint32) (addr uint32, held bool, err error) {
	at, held, err := sys.LockedAt(l.probe, int64(from), addresses-int64(from))
	return uint32(max(at, int64(from))), held, lockErr(err, l.path)
}

// Change waits for the lock that guards changes of the table.
func (l *Locks) Change() error {
	l.change.Lock()
	if err := sys.Lock(l.file, changeAt); err != nil {
		l.change.Unlock()
		return lockErr(err, l.path)
	}
	return nil
}

// Changed gives the change lock back.
func (l *Locks) Changed() {
	_ = sys.Unlock(l.file, changeAt)
	l.change.Unlock()
}

// Current reports whether the lock file is still the one of that name: a domain
// that was destroyed and made anew has another.
func (l *Locks) Current() (bool, error) { return sys.SameFile(l.file, l.path) }

func lockErr(err error, path string) error {
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}
