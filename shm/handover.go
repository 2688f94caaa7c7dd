// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"fmt"
	"os"

	"github.com/skybus-io/skybus/internal/sys"
)

// HandOver returns the file whose description holds the lock of addr, for the program that this one is
// about to become: its descriptor is to survive exec. Until release is called, which is needed
// only if that fails, no goroutine of this process changes the table: the lock of
// changes belongs to the same description, and would survive, too. ok is false if addr is not held.
func (l *Locks) HandOver(addr uint32) (f *os.File, release func(), ok bool) {
	l.change.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held[addr] {
		l.change.Unlock()
		return nil, nil, false
	}
	if f = l.adopted[addr]; f == nil {
		f = l.file
	}
	return f, l.change.Unlock, true
}

// Adopt takes over the lock of addr, which f's description holds since the program before. Other locks of
// that description are released. f is the Locks' from now on, unless there is an error: f is
// no description of the lock file, or does not hold the lock.
func (l *Locks) Adopt(addr uint32, f *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.holds(addr, f); err != nil {
		return fmt.Errorf("take over the lock of address %d: %w", addr, err)
	}
	if err := sys.UnlockOthers(f, int64(addr)); err != nil {
		return lockErr(err, l.path)
	}
	if l.adopted == nil {
		l.adopted = map[uint32]*os.File{}
	}
	l.held[addr], l.adopted[addr] = true, f
	return nil
}

// holds says why f does not hold the lock of addr. Whoever asks through the holder does not see the
// lock, all others do.
func (l *Locks) holds(addr uint32, f *os.File) error {
	same, err := sys.SameFile(f, l.path)
	if err != nil {
		return lockErr(err, l.path)
	}
	if !same {
		return fmt.Errorf("the descriptor is not one of %s", l.path)
	}
	_, held, err := sys.LockedAt(l.probe, int64(addr), 1)
	if err != nil {
		return lockErr(err, l.path)
	}
	_, other, err := sys.LockedAt(f, int64(addr), 1)
	if err != nil {
		return lockErr(err, l.path)
	}
	if !held || other || l.held[addr] {
		return fmt.Errorf("the descriptor does not hold it (held: %v, by another: %v)", held, other || l.held[addr])
	}
	return nil
}
