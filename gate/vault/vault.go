// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// Defaults of Config.
const (
	DefaultSessions = 4096
	DefaultRing     = 16 << 20
	DefaultReplay   = 64 << 10
	DefaultSources  = 4096
)

// MaxReplay is how many of its newest packets a session gets again at most.
const MaxReplay = 256

// Config are the limits of a vault. Zero fields mean the default.
type Config struct {
	// Sessions is how many there may be at a time, those included that are away or have ended and are not yet freed. It is
	// rounded up to a multiple of 64; at most 1,048,576. Each takes 5,184 bytes, from when it is first needed on. Default 4096.
	Sessions int
	// Ring is the memory in bytes for packets of all sessions, taken at once: 4 KiB to 1 GiB, rounded up to a power of two.
	// A packet takes 32 bytes more than it has, rounded up to 32, and once for all sessions that get it. It should
	// hold what all clients together are sent in the time that one may be away. Default 16 MiB.
	Ring int
	// Replay is how many bytes of packets a session gets again at most; its newest packet is not bound
	// by it. Default 64 KiB.
	Replay int
	// Sources is how many senders the vault remembers, 24 bytes each; at most 65,536. Default 4096.
	Sources int
}

// check fills in the defaults, rounds, and looks whether the limits are possible.
func (c *Config) check() error {
	for _, f := range []struct {
		v            *int
		name         string
		least, most  int
		defaultValue int
	}{
		{&c.Sessions, "Sessions", 1, maxSlots, DefaultSessions},
		{&c.Ring, "Ring", minRing, maxRing, DefaultRing},
		{&c.Replay, "Replay", 1, maxRing, DefaultReplay},
		{&c.Sources, "Sources", 1, maxSources, DefaultSources},
	} {
		if *f.v == 0 {
			*f.v = f.defaultValue
		}
		if *f.v < f.least || *f.v > f.most {
			return fmt.Errorf("vault: %s is %d, want %d to %d", f.name, *f.v, f.least, f.most)
		}
	}
	c.Sessions = roundUp(c.Sessions, slotChunk)
	for ring := minRing; ; ring *= 2 {
		if ring >= c.Ring {
			c.Ring = ring
			return nil
		}
	}
}

func (c *Config) limits() limits { return limits{slots: c.Sessions, ring: c.Ring, sources: c.Sources} }

// A Vault is the memory of a home, which this process alone may write. See the package's comment for who calls what.
type Vault struct {
	image
	home   addr.Addr
	replay int
	seg    *shm.Segment // nil: mem is the heap's
	file   *os.File     // of the vault, to give slots memory
	lock   *os.File     // of the domain's locks; one byte of it is taken

	written uint64 // what the words of these names say; the owner alone writes them
	last    uint64
	id      uint64
	ready   int
	damage  []Damage
	slots   []slot // one for each possible session: their addresses stay
	free    []int  // slots that have memory and no session
	done    doneTable
	cut     map[int]*[cuts]Origin // by slot: items that were cut off and that its session has; source 0: none
	cutOff  map[uint64]struct{}   // sources of these

	mu     sync.RWMutex // held for reading by whoever else looks at mem
	closed bool         // guarded by mu, but for the owner, who alone writes it
}

var errClosed = fmt.Errorf("vault: %w", os.ErrClosed)

// Open opens the vault of a home in the folder of a domain, or makes it. The caller has the home's address bound
// until it has closed the vault. A vault that has sessions keeps the limits that it was made with (Limits); without any it
// gets those of cfg. What was cut off by a death is noted, and what is damaged is dropped
// (Damage), before Open returns. access says whose a new file is: shm.AccessOf
// the folder. Any goroutine may call it; the one that
// uses the vault is its owner.
//
// Errors: ErrInUse; ErrDamaged and those of shm.Open: no session can be saved, remove the file (Remove) to go on without;
// shm.ErrNoSpace; fs.ErrNotExist: there is no domain in the folder.
func Open(folder string, home addr.Addr, cfg Config, access shm.Access) (*Vault, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	lock, err := takeLock(folder, home)
	if err != nil {
		return nil, fmt.Errorf("vault of %v: %w", home, err)
	}
	v, err := openFile(folder, home, cfg, access)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("vault of %v: %w", home, err)
	}
	v.lock = lock
	return v, nil
}

// Close gives the vault up as it is; its sessions stay in the file. Calls of other goroutines that are under way
// end before; later ones get os.ErrClosed, or what there is for a session that was freed. What Since returned is not
// to be used any more.
func (v *Vault) Close() {
	v.mu.Lock()
	closed := v.closed
	v.closed = true
	v.mu.Unlock()
	if closed {
		return
	}
	v.release()
	if v.lock != nil {
		v.lock.Close()
	}
}

// release lets go of the file.
func (v *Vault) release() {
	v.mem = nil
	if v.file != nil {
		v.file.Close()
	}
	if v.seg != nil {
		v.seg.Close()
	}
}

// Home returns the address whose vault it is. Any goroutine may call it.
func (v *Vault) Home() addr.Addr { return v.home }

// Limits returns the limits of the file, which may be others than Open was asked for, and Replay. Any goroutine may
// call it.
func (v *Vault) Limits() Config {
	return Config{Sessions: v.limits.slots, Ring: v.ring, Replay: v.replay, Sources: v.sources}
}

// A Damage is something that was found damaged when the vault was opened: a session that is lost.
type Damage struct {
	Slot    int
	ID      uint64 // of the session; 0: it cannot be told
	Binding []byte // of the session; nil: it cannot be told
	What    string
}

// Damage returns what Open has found and dropped. The list is not to be changed. Any goroutine may call it.
func (v *Vault) Damage() []Damage { return v.damage }

// Stats count what is in a vault.
type Stats struct {
	Live, Away, Ended int    // sessions
	Sources           int    // senders that are remembered
	Written           uint64 // bytes that were ever taken from the ring
	Evicted           uint64 // senders that made room for others: a message of theirs that comes again may be handled again
	Forgotten         uint64 // marks that made room for others: a packet may come to a session again
}

// Stats counts.
func (v *Vault) Stats() (s Stats) {
	if v.closed {
		return s
	}
	s = Stats{
		Sources: v.done.used, Written: (v.written - 1) * unitSize,
		Evicted: v.word(evictedAt).Load(), Forgotten: v.word(forgottenAt).Load(),
	}
	v.Slots(func(l Slot) bool {
		switch l.State() {
		case Live:
			s.Live++
		case Away:
			s.Away++
		case Ended:
			s.Ended++
		case Free:
		}
		return true
	})
	return s
}

// Slots calls f for each session, until that returns false: in the order of their slots. f may free
// the session that it gets.
func (v *Vault) Slots(f func(Slot) bool) {
	for i := range v.slots {
		if v.closed {
			return
		}
		if id := v.slots[i].id.Load(); id != 0 && !f(Slot{&v.slots[i], id}) {
			return
		}
	}
}

// takeLock takes the home's byte of the domain's lock file, which belongs to the file returned.
func takeLock(folder string, home addr.Addr) (*os.File, error) {
	path := lockPath(folder)
	f, err := shm.OpenLockFile(path, false, shm.Keep)
	if err != nil {
		return nil, err
	}
	ok, err := sys.TryLock(f, lockBase+int64(home))
	if err == nil && !ok {
		err = ErrInUse
	}
	if err == nil {
		ok, err = sys.SameFile(f, path)
		if err == nil && !ok {
			err = errors.New("the domain was destroyed")
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
