// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// The files of a table's folder.
const (
	lockName  = "lock"
	tableName = "table"
	tmpName   = ".tmp-table" // as shm.Replace calls it
)

// Dir returns the folder of the table key under root; "" is /dev/shm.
func Dir(root string, key uint32) string {
	if root == "" {
		root = "/dev/shm"
	}
	return filepath.Join(root, "skybus-routes-"+strconv.FormatUint(uint64(key), 10))
}

// Store makes t the table of t.Key, whatever there was: a damaged table is
// replaced, too. The generation stored is one more than the present one, or 1;
// that of t means nothing. t is read only, and not kept. Of several processes
// and goroutines that store at once one waits for the other, for as long as
// it needs to write a file.
//
// a says who may use the files of a table that did not exist; later ones belong
// to whom the folder belongs. Errors are those of [Table.Validate], of the file
// system (shm.ErrNoSpace among them), and shm.ErrLayout if the present table
// is of another version; then nothing was changed.
func Store(root string, t *Table, a shm.Access) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("route table %d: %w", t.Key, err)
	}
	return locked(root, t.Key, a, func(w *writer) error {
		generation := uint64(0)
		present, err := Load(root, t.Key)
		switch {
		case err == nil:
			generation = present.Generation
		case !errors.Is(err, ErrNoTable) && !errors.Is(err, ErrDamaged):
			return err
		}
		return w.replace(t.encode(next(generation)))
	})
}

// Update changes the table of a key: change gets the present table, which it may
// change and must not keep, and what it leaves is stored as by [Store]. Where there
// is no table it gets an empty one of that key with the generation 0. If it
// returns an error, that is the error of Update, and nothing was changed. A table
// that it leaves as it was is not stored again and keeps its generation.
//
// change must not call Store, Update or Remove with the same key: the lock is
// held. A table that is there and cannot be read (ErrDamaged) is an error.
func Update(root string, key uint32, a shm.Access, change func(*Table) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return locked(root, key, a, func(w *writer) error {
		t, err := Load(root, key)
		if errors.Is(err, ErrNoTable) {
			t, err = &Table{Key: key}, nil
		}
		if err != nil {
			return err
		}
		return w.change(t, change)
	})
}

// Load reads the table of a key. It takes no lock. The table is the caller's.
// Errors wrap ErrNoTable, ErrDamaged, or shm.ErrLayout if it is of another version.
func Load(root string, key uint32) (*Table, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := read(root, key, nil)
	if err != nil {
		return nil, err
	}
	return r.table, r.err
}

// Remove removes the table of a key, damaged or not, and its folder. The error is
// ErrNoTable if there is none; what a process left that was killed while it
// changed the table is gone then, too.
func Remove(root string, key uint32) error {
	if err := checkKey(key); err != nil {
		return err
	}
	w, err := lock(root, key, nil)
	if err != nil {
		return err
	}
	defer w.locks.Close()
	return w.remove()
}

func checkKey(key uint32) error {
	if key < 1 || key > MaxKey {
		return fmt.Errorf("relay key %d: want 1 to %d", key, MaxKey)
	}
	return nil
}

// next is the generation after g, never 0.
func next(g uint64) uint64 { return max(g+1, 1) }

// noTable is the error where there is none.
func noTable(root string, key uint32) error {
	return fmt.Errorf("%w: relay key %d (%s is not there)", ErrNoTable, key, filepath.Join(Dir(root, key), tableName))
}

// A writer holds the lock of a table.
type writer struct {
	root   string
	key    uint32
	dir    string
	access shm.Access // of the files that it makes
	locks  *shm.Locks
}

// locked runs do with the lock held. A folder that has no table after an error
// is removed: it was made for nothing.
func locked(root string, key uint32, a shm.Access, do func(*writer) error) error {
	w, err := lock(root, key, &a)
	if err != nil {
		return err
	}
	defer w.locks.Close()
	if err := do(w); err != nil {
		if _, statErr := os.Stat(w.path(tableName)); errors.Is(statErr, fs.ErrNotExist) {
			_ = w.remove() // the error that counts is do's
		}
		return err
	}
	return nil
}

// lockTries is how often a table may be removed under the feet of one writer.
const lockTries = 100

// errGone means that the table was removed while its lock was being taken.
var errGone = errors.New("the route table was removed")

// lock waits for the lock of a table. With a it makes the folder if need be;
// without, it is an error that there is none.
func lock(root string, key uint32, a *shm.Access) (*writer, error) {
	w := &writer{root: root, key: key, dir: Dir(root, key)}
	for tries := 0; ; tries++ {
		err := w.lock(a)
		if err == nil {
			return w, nil
		}
		if errors.Is(err, ErrNoTable) {
			return nil, err
		}
		if !errors.Is(err, errGone) || tries == lockTries {
			return nil, fmt.Errorf("change route table %d: %w", key, err)
		}
	}
}

func (w *writer) lock(a *shm.Access) error {
	if a != nil {
		if err := shm.MakeDir(w.dir, *a); err != nil {
			return err
		}
	}
	step("route.folder")
	var err error
	if w.access, err = owner(w.dir); err != nil {
		return w.missing(a, err)
	}
	if w.locks, err = shm.OpenLocks(w.path(lockName), true, w.access); err != nil {
		return w.missing(a, err)
	}
	step("route.lockfile")
	err = w.locks.Change()
	if err == nil {
		step("route.locked")
		var current bool
		if current, err = w.locks.Current(); err == nil && !current {
			err = errGone
		}
	}
	if err != nil {
		w.locks.Close()
	}
	return err
}

// missing judges an error of opening something in the folder: the folder may
// just have been removed, or not be there.
func (w *writer) missing(a *shm.Access, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, statErr := os.Stat(w.dir); a == nil && errors.Is(statErr, fs.ErrNotExist) {
		return noTable(w.root, w.key)
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// owner returns the access that the folder has, so that files made later by any
// process belong to the same users.
func owner(dir string) (shm.Access, error) {
	uid, gid, err := sys.Owner(dir)
	a := shm.Keep
	if os.Geteuid() == 0 && uid != 0 {
		a.UID = int(uid)
	}
	if int(gid) != os.Getegid() {
		a.GID = int(gid)
	}
	return a, err
}

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

// change is Update with the lock held.
func (w *writer) change(t *Table, change func(*Table) error) error {
	generation := t.Generation
	before := t.encode(generation)
	if err := change(t); err != nil {
		return err
	}
	if t.Key != w.key {
		return fmt.Errorf("route table %d: its key was changed to %d", w.key, t.Key)
	}
	if err := t.Validate(); err != nil {
		return fmt.Errorf("route table %d: %w", t.Key, err)
	}
	if after := t.encode(generation); generation > 0 && after.body == before.body && string(after.rest) == string(before.rest) {
		return nil
	}
	return w.replace(t.encode(next(generation)))
}

// replace gives the table's name to a new segment.
func (w *writer) replace(c content) error {
	s, err := shm.Replace(w.path(tableName), shm.Spec{
		Magic: magic, Size: int64(shm.HeaderSize + len(c.rest)), Body: c.body, Access: w.access, Now: time.Now().UnixNano(),
		Init: func(mem []byte) { copy(mem[shm.HeaderSize:], c.rest) },
	})
	if err != nil {
		return fmt.Errorf("change route table %d: %w", w.key, err)
	}
	s.Close()
	step("route.replaced")
	return nil
}

// remove removes all that a table has, the table first and the lock last: who
// finds no table need not look further, and who waits for the lock begins again.
func (w *writer) remove() error {
	tableErr := os.Remove(w.path(tableName))
	if tableErr != nil && !errors.Is(tableErr, fs.ErrNotExist) {
		return fmt.Errorf("remove route table %d: %w", w.key, shm.Explain(tableErr, w.path(tableName)))
	}
	step("route.unnamed")
	for _, path := range []string{w.path(tmpName), w.path(lockName)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove route table %d: %w", w.key, shm.Explain(err, path))
		}
		step("route.removed")
	}
	_ = os.Remove(w.dir) // fails if somebody makes the table anew by now
	if tableErr != nil {
		return noTable(w.root, w.key)
	}
	return nil
}

func step(site string) {
	if invariant.Enabled {
		invariant.Step(site)
	}
}
