// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// looks is how often Inspect looks again at a vault that seems damaged: its owner may be about to change it.
const looks = 5

// A Snapshot is what was in a vault when somebody looked.
type Snapshot struct {
	Home      addr.Addr
	Made      time.Time // when its file was
	Limits    Config    // Replay is 0: that is the owner's
	Owned     bool      // a process has it open
	Written   uint64    // bytes that were ever taken from the ring
	Evicted   uint64
	Forgotten uint64
	Sessions  []Info
	Sources   []Source
	Damage    []Damage
}

// Info is what is known of a session. Its key is not told.
type Info struct {
	ID        uint64
	State     State
	AwaySince int64  // milliseconds since 1970, if it is Away
	Reason    uint32 // if it has Ended
	Epoch     uint32
	Sent      uint64
	Accepted  uint64
	Kept      int // packets that it can be sent again, the newest ones; its owner may send fewer (Config.Replay)
	KeptBytes int // of these, without heads
	Texts
}

// A Source is a sender, and how far its messages are done.
type Source struct{ Source, Number uint64 }

// Inspect reads the vault of a home, whoever has it open, and changes nothing. What is being changed meanwhile is as before or as
// after. Errors: ErrDamaged and those of shm.Open; fs.ErrNotExist. Any goroutine may call it.
func Inspect(folder string, home addr.Addr) (*Snapshot, error) {
	seg, err := shm.Open(pathOf(folder, home), magic, true)
	if err != nil {
		return nil, fmt.Errorf("vault of %v: %w", home, err)
	}
	defer seg.Close()
	m, err := view(seg.Mem(), seg.Body(), home)
	var s *Snapshot
	for n := 0; err == nil && n < looks && (s == nil || len(s.Damage) > 0); n++ {
		s, err = m.snapshot(home)
		if n < looks-1 && errors.Is(err, ErrDamaged) {
			err = nil
		}
	}
	if err == nil {
		s.Made = time.Unix(0, seg.Created())
		s.Owned, err = owned(folder, home)
	}
	if err != nil {
		return nil, fmt.Errorf("vault of %v: %w", home, err)
	}
	return s, nil
}

// Homes returns the homes that have a vault in the folder of a domain, sorted. Errors: those of os.ReadDir. Any goroutine may call it.
func Homes(folder string) ([]addr.Addr, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var list []addr.Addr
	for _, e := range entries {
		var n uint32
		if _, err := fmt.Sscanf(e.Name(), "gate-%08x.vault", &n); err == nil && FileName(addr.Addr(n)) == e.Name() { // else it is none, or a temporary one
			list = append(list, addr.Addr(n))
		}
	}
	slices.Sort(list)
	return list, nil
}

func owned(folder string, home addr.Addr) (bool, error) {
	f, err := sys.Open(lockPath(folder), os.O_RDWR, 0)
	if err != nil {
		return false, shm.Explain(err, lockPath(folder))
	}
	defer f.Close()
	_, held, err := sys.LockedAt(f, lockBase+int64(home), 1)
	return held, err
}

// snapshot reads everything once.
func (m *image) snapshot(home addr.Addr) (*Snapshot, error) {
	v := Vault{image: *m}
	if err := v.readState(); err != nil {
		return nil, err
	}
	done, err := m.readDone()
	if err != nil {
		return nil, err
	}
	s := &Snapshot{
		Home: home, Limits: Config{Sessions: m.limits.slots, Ring: m.ring, Sources: m.sources},
		Written: (v.written - 1) * unitSize, Evicted: m.word(evictedAt).Load(), Forgotten: m.word(forgottenAt).Load(),
	}
	for _, e := range done.entries[:done.used] {
		s.Sources = append(s.Sources, Source{e.source, e.number})
	}
	sound := newUnits(m.ring)
	for i := range v.ready {
		is, used, err := m.examine(i, sound)
		if err != nil {
			s.Damage = append(s.Damage, Damage{Slot: i, ID: is.id, Binding: is.texts.Binding, What: err.Error()})
		} else if used {
			s.Sessions = append(s.Sessions, is.info())
		}
	}
	return s, nil
}

func (s *session) info() Info {
	i := Info{ID: s.id, State: s.state, Epoch: s.epoch, Sent: s.sent, Accepted: s.accepted, Kept: s.kept, KeptBytes: s.keptSize, Texts: s.texts}
	switch s.state {
	case Away:
		i.AwaySince = int64(s.detail)
	case Ended:
		i.Reason = uint32(s.detail)
	case Free, Live:
	}
	return i
}
