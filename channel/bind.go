// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// bindTries is how often Bind tries, a millisecond apart: the kernel needs a moment to
// release the locks of a process that was just killed. They are counted, and no time is
// measured: it goes on while the machine stands still, and whoever holds the lock with it.
const bindTries = 200

// A Binding is an address that this process holds.
type Binding struct {
	t     *Table
	addr  addr.Addr
	entry *endpointEntry
	inbox *inbox
}

// Bind takes address a for this process; nobody else can until Close or the
// process's death. Errors: ErrInUse, ErrNoRoute (a strict domain does not know
// the address), ErrBudget.
func (t *Table) Bind(a addr.Addr) (*Binding, error) {
	if err := t.mayBind(a); err != nil {
		return nil, err
	}
	if err := t.takeBind(a); err != nil {
		return nil, err
	}
	b := &Binding{t: t, addr: a}
	step("bind.locked")
	if err := t.change(func() (err error) { return b.fill() }); err != nil {
		t.locks.Unbind(uint32(a))
		return nil, budget(err)
	}
	return b, nil
}

func (t *Table) mayBind(a addr.Addr) error {
	if a.IsNone() || !t.cfg.Template.Contains(a) {
		return fmt.Errorf("%s: no address that template %s can name", t.Format(a), t.cfg.Template)
	}
	if _, known := t.findEndpoint(a); !known && t.Strict() {
		return fmt.Errorf("%s: %w: no channel with it is configured, and domain %d is strict", t.Format(a), ErrNoRoute, t.key)
	}
	return nil
}

// takeBind takes the bind lock, or says who has it.
func (t *Table) takeBind(a addr.Addr) error {
	for range bindTries {
		ok, err := t.locks.TryBind(uint32(a))
		if err != nil || ok {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s: %w: %s", t.Format(a), ErrInUse, t.holder(a))
}

// holder describes the process that has a bound, as far as it has said so.
func (t *Table) holder(a addr.Addr) string {
	if a == relayAddr {
		return "by the relay daemon of this domain"
	}
	e, ok := t.findEndpoint(a)
	if !ok || e.pid.Load() == 0 {
		return "by a process that has not yet said its PID"
	}
	who := fmt.Sprintf("by PID %d (%s)", e.pid.Load(), text(e.comm[:]))
	if ns := e.pidNS.Load(); ns != sys.PIDNamespace() {
		who += fmt.Sprintf(" of another PID namespace (%d)", ns)
	}
	return who
}

// fill writes who we are. The lock alone says that the address is bound.
func (b *Binding) fill() (err error) {
	if b.entry, err = b.t.know(b.addr); err != nil {
		return err
	}
	if b.inbox, err = b.t.inbox(b.addr, true); err != nil {
		return err
	}
	for _, i := range b.t.lanesTo(relayAddr) { // they led to another host once; a relay that runs turns them itself
		if e := b.t.lane(i); addr.Addr(e.dst) == b.addr {
			if err := b.t.turnHere(e); err != nil {
				return err
			}
		}
	}
	e := b.entry
	step("bind.pid")
	e.pid.Store(uint32(os.Getpid()))
	e.pidNS.Store(sys.PIDNamespace())
	clear(e.comm[:])
	copy(e.comm[:commSize-1], strings.ToValidUTF8(filepath.Base(os.Args[0]), "?"))
	e.since.Store(time.Now().UnixNano())
	e.binds.Add(1)
	return nil
}

// Addr returns the address bound.
func (b *Binding) Addr() addr.Addr { return b.addr }

// Bell returns the doorbell of the address: it rings for messages, and for room
// that a sender of this address waits for.
func (b *Binding) Bell() *shm.Doorbell { return &b.inbox.page.bell }

// Drain returns a new reader of the inbox; one at a time may exist.
func (b *Binding) Drain() (*Drain, error) { return b.t.NewDrain(b.addr) }

// CountPark counts one wait of the reader's process that had to park, for the tools.
func (b *Binding) CountPark() { b.entry.parks.Add(1) }

// CountSweep counts one sweep of the lanes.
func (b *Binding) CountSweep() { b.entry.sweep.Add(1) }

// Close gives the address back. Senders and Drain must be closed before.
func (b *Binding) Close() {
	b.inbox.page.bell.Reset()
	step("bind.close")
	b.entry.since.Store(0)
	b.t.locks.Unbind(uint32(b.addr))
}
