// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

const (
	// makeTries is how often the unfinished file may be taken away: whoever tidies up in the domain does that.
	makeTries = 5
	// idsPerSecond is by how much the first id of a new file is greater for each second of the clock.
	idsPerSecond = 1 << 14
)

func lockPath(folder string) string { return filepath.Join(folder, "lock") }

func pathOf(folder string, home addr.Addr) string { return filepath.Join(folder, FileName(home)) }

// Exists reports whether a home has a vault, whoever has it open. Any goroutine may call it.
func Exists(folder string, home addr.Addr) bool {
	_, err := os.Stat(pathOf(folder, home))
	return err == nil
}

// Remove removes the vault of a home, and with it its sessions. Errors: ErrInUse, fs.ErrNotExist. Any goroutine may call it.
func Remove(folder string, home addr.Addr) error {
	lock, err := takeLock(folder, home)
	if err != nil {
		return fmt.Errorf("remove the vault of %v: %w", home, err)
	}
	defer lock.Close()
	return os.Remove(pathOf(folder, home))
}

// openFile opens or makes the file; the caller has the lock.
func openFile(folder string, home addr.Addr, cfg Config, access shm.Access) (*Vault, error) {
	path := pathOf(folder, home)
	old, err := load(path, home, cfg)
	if errors.Is(err, fs.ErrNotExist) {
		return create(path, home, cfg, access, nil)
	}
	if err != nil || old.limits == cfg.limits() || len(old.free) < old.ready {
		return old, err
	}
	defer old.release()
	return create(path, home, cfg, access, old)
}

// load opens the file that is there.
func load(path string, home addr.Addr, cfg Config) (*Vault, error) {
	f, err := sys.Open(path, os.O_RDWR, 0)
	if err != nil {
		return nil, shm.Explain(err, path)
	}
	seg, err := shm.OpenFile(f, magic, false)
	if err != nil {
		f.Close()
		return nil, err
	}
	m, err := view(seg.Mem(), seg.Body(), home)
	v := &Vault{file: f, seg: seg}
	if err == nil {
		v, err = join(m, home, cfg, v)
	}
	if err != nil {
		v.release()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// join makes v the owner's side of an image, after recovery.
func join(m image, home addr.Addr, cfg Config, v *Vault) (*Vault, error) {
	v.image, v.home, v.replay = m, home, cfg.Replay
	v.slots = make([]slot, m.limits.slots)
	v.cut, v.cutOff = map[int]*[cuts]Origin{}, map[uint64]struct{}{}
	return v, v.recover()
}

// create gives the file's name to a new vault, which has the ids and the messages done of old.
func create(path string, home addr.Addr, cfg Config, access shm.Access, old *Vault) (*Vault, error) {
	now, l := time.Now(), cfg.limits()
	body := bodyOf(home, l)
	spec := shm.Spec{
		Magic: magic, Size: l.size(), Alloc: int64(l.slotsAt()), Body: body, Access: access, Now: now.UnixNano(),
		Init: func(mem []byte) {
			m := image{limits: l, mem: mem}
			m.initialise(uint64(max(now.Unix(), 0))*idsPerSecond, old)
		},
	}
	for tries := 1; ; tries++ {
		seg, err := shm.Replace(path, spec)
		if err == nil {
			seg.Close()
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || tries == makeTries {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
	}
	v, err := load(path, home, cfg)
	if err == nil && old != nil {
		v.damage = old.damage
	}
	return v, err
}

// initialise writes what a new file begins with.
func (m *image) initialise(id uint64, old *Vault) {
	if old != nil {
		id = max(id, old.id)
		next := 0
		for _, e := range old.done.entries[:old.done.used] {
			if next == m.sources {
				break
			}
			m.putSource(next, &e)
			next++
		}
		m.word(evictedAt).Store(old.word(evictedAt).Load() + uint64(old.done.used-next))
		m.word(forgottenAt).Store(old.word(forgottenAt).Load())
	}
	m.word(writtenAt).Store(seal(1, saltOf(kindWritten, 0, 0)))
	m.word(lastAt).Store(seal(0, saltOf(kindLast, 0, 0)))
	m.word(idAt).Store(seal(id&maxValue, saltOf(kindID, 0, 0)))
	m.word(readyAt).Store(seal(0, saltOf(kindReady, 0, 0)))
}

// putSource writes an entry of done to a file that nobody else has.
func (m *image) putSource(i int, e *doneEntry) {
	at := doneAt + doneSize*i
	m.word(at).Store(e.source)
	if e.number != 0 {
		m.word(at + 8).Store(seal(e.number, saltOf(kindNumber, e.source, 0)))
	}
	if e.part != 0 {
		m.word(at + 16).Store(seal(e.part-1, saltOf(kindPart, e.source, 0)))
	}
}
