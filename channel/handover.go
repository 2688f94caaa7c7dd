// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// HandOver returns the file whose descriptor holds the address, for the program that this one is
// about to become; see shm.Locks.HandOver. From now on the program must not close the Binding.
func (b *Binding) HandOver() (f *os.File, release func(), err error) {
	f, release, ok := b.t.locks.HandOver(uint32(b.addr))
	if !ok {
		return nil, nil, fmt.Errorf("%s: the address is not bound", b.t.Format(b.addr))
	}
	return f, release, nil
}

// Rebind goes on with an address that the program before has bound in this process and handed over by f.
// For others it was bound all the time, once. Errors: f does not hold the address; then it is the caller's.
func (t *Table) Rebind(a addr.Addr, f *os.File) (*Binding, error) {
	if err := t.mayBind(a); err != nil {
		return nil, err
	}
	if err := t.locks.Adopt(uint32(a), f); err != nil {
		return nil, fmt.Errorf("%s: %w", t.Format(a), err)
	}
	b := &Binding{t: t, addr: a}
	if err := t.change(b.refill); err != nil {
		t.locks.Unbind(uint32(a))
		return nil, budget(err)
	}
	return b, nil
}

// refill is fill for a process that has the address already.
func (b *Binding) refill() (err error) {
	if b.entry, err = b.t.know(b.addr); err != nil {
		return err
	}
	if b.inbox, err = b.t.inbox(b.addr, true); err != nil {
		return err
	}
	clear(b.entry.comm[:])
	copy(b.entry.comm[:commSize-1], strings.ToValidUTF8(filepath.Base(os.Args[0]), "?"))
	return nil
}
