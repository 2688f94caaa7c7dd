// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// A View is the table of one key as it is at present. It holds no file open and
// needs no closing. Safe for concurrent use.
type View struct {
	root    string
	key     uint32
	path    string
	missing error // where there is no table

	seen atomic.Pointer[reading] // the last table that was read

	mu sync.Mutex // one goroutine reads
}

// NewView returns a view of the table key under root, which need not exist.
// It touches nothing.
func NewView(root string, key uint32) *View {
	return &View{root: root, key: key, path: filepath.Join(Dir(root, key), tableName), missing: noTable(root, key)}
}

// Table returns the present table, which others have, too: it must not be
// changed. It is the same one, by pointer, until the table is replaced. That
// costs one stat; only a table that was replaced is read again, and one that is
// younger than 100 ms. Without a table the error is ErrNoTable, each time, for
// one stat; other errors are those of [Load].
func (v *View) Table() (*Table, error) {
	if err := checkKey(v.key); err != nil {
		return nil, err
	}
	id, err := sys.Identify(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, v.missing
	}
	if err != nil {
		return nil, shm.Explain(err, v.path)
	}
	if s := v.seen.Load(); s.is(id) {
		return s.table, s.err
	}
	return v.read(id)
}

// read reads the table unless another goroutine has just done so.
func (v *View) read(id sys.FileID) (*Table, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	last := v.seen.Load()
	if last.is(id) {
		return last.table, last.err
	}
	r, err := read(v.root, v.key, last)
	if err != nil {
		return nil, err
	}
	v.seen.Store(r)
	return r.table, r.err
}

// A reading is what reading a table's file came to. It is never changed.
type reading struct {
	id      sys.FileID
	settled bool // no other state of the table can have this id
	body    [shm.BodySize]byte
	table   *Table
	err     error // what is wrong with the bytes; then there is no table
}

// is reports whether r certainly is what a file with this id has.
func (r *reading) is(id sys.FileID) bool { return r != nil && r.settled && r.id == id }

// settling is how old a file must be for its time of change to tell it from the
// next one: more than the kernel's clock for files takes for a step.
const settling = 100 * time.Millisecond

// read reads the table's file. Where it holds the table of last, which may be
// nil, it returns that. What is wrong with the bytes is an error in the
// reading; other errors say nothing about the table.
func read(root string, key uint32, last *reading) (*reading, error) {
	path := filepath.Join(Dir(root, key), tableName)
	before := time.Now()
	f, err := sys.Open(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noTable(root, key)
	}
	if err != nil {
		return nil, shm.Explain(err, path)
	}
	defer f.Close()
	r := &reading{}
	if r.id, err = sys.IdentifyFile(f); err != nil {
		return nil, err
	}
	r.settled = before.UnixNano()-r.id.Changed > int64(settling)
	var rest []byte
	if r.body, rest, err = shm.ReadFile(f, magic, maxRest); err != nil {
		return r.failed(err)
	}
	r.decode(path, rest, key, last)
	return r, nil
}

// failed tells bytes that are wrong from a file that cannot be read.
func (r *reading) failed(err error) (*reading, error) {
	switch {
	case errors.Is(err, shm.ErrLayout):
		r.err = err
	case errors.Is(err, shm.ErrMagic), errors.Is(err, shm.ErrChecksum), errors.Is(err, shm.ErrTruncated), errors.Is(err, shm.ErrTooLarge):
		r.err = fmt.Errorf("%w: %w", ErrDamaged, err)
	default:
		return nil, err
	}
	return r, nil
}

func (r *reading) decode(path string, rest []byte, key uint32, last *reading) {
	c := content{r.body, rest}
	if last != nil && last.table != nil && last.body == r.body && c.checkSum() == nil {
		r.table = last.table // the body has generation and checksum
		return
	}
	if r.table, r.err = c.decode(key); r.err != nil {
		r.err = fmt.Errorf("%s: %w", path, r.err)
	}
}
