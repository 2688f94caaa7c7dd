// SPDX-License-Identifier: Apache-2.0

package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/skybus-io/skybus/share"
)

// A File is a table that is loaded from a file. All methods may be called by any
// goroutine.
type File[T any] struct {
	path   string
	format format
	opts   *options
	table  *share.Table[T]

	mu      sync.Mutex        // held while the file is read, decoded and published
	good    [sha256.Size]byte // content of the table
	bad     [sha256.Size]byte // content that was refused, with badErr
	badErr  error             // nil when the last content was good
	err     error             // of the last attempt
	errKey  string            // equal for errors that are of the same content or state
	info    fs.FileInfo       // as the last content was read
	settled bool              // the table or badErr is of info, and a later change would show in it
}

// Load reads a file, makes a table of it, and returns both. The path is used as
// it is at each later look, relative to the working directory of then. The errors
// are of type [*Error]; they wrap fs.ErrNotExist and its like, and the errors of
// this package.
func Load[T any](path string, opts ...Option) (*File[T], error) {
	format, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	o, err := newOptions[T](path, format, opts)
	if err != nil {
		return nil, err
	}
	f := &File[T]{path: path, format: format, opts: o}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns the path that the file was loaded from.
func (f *File[T]) Path() string { return f.path }

// Table returns the table, which is the same for ever; it can be given to a
// [share.Registry]. Its source names the file and begins the SHA-256 of its
// content. Who replaces its value by other ways than the file sees that value
// until the content of the file changes.
func (f *File[T]) Table() *share.Table[T] { return f.table }

// Err returns why the table is not what the file held at the last attempt to load
// it, or nil if it is.
func (f *File[T]) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Reload reads the file and publishes what it holds, if that is not what it was
// loaded from last. It reports whether there is a new version. Whatever goes
// wrong, the table stays as it is, and the error, a [*Error], says why; [OnError]
// is not told of it. A file that somebody writes to is tried five times in about
// 0.1 s, then it is [ErrChanging].
func (f *File[T]) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.badErr = nil // the validation may judge otherwise by now
	return f.loadLocked()
}

// settleTime is how near the time of a change may be to that of reading, so that
// another change may show the same time: file systems count in steps, the
// coarsest of 2 s.
const settleTime = 2 * time.Second

// loadLocked brings the table up to the file.
func (f *File[T]) loadLocked() (changed bool, err error) {
	c, err := f.opts.read(f.path)
	if err != nil {
		f.awayLocked(err)
		return false, err
	}
	f.info, f.settled = c.info, c.at.Sub(c.info.ModTime()).Abs() >= settleTime
	switch {
	case f.table != nil && c.sum == f.good:
		f.badErr, f.err = nil, nil
		return false, nil
	case f.badErr != nil && c.sum == f.bad:
		f.err, f.errKey = f.badErr, hex.EncodeToString(f.bad[:])
		return false, f.err
	}
	value, fault := f.decode(c.data)
	if fault != nil {
		f.bad, f.badErr = c.sum, fault.in(f.path)
		f.err, f.errKey = f.badErr, hex.EncodeToString(f.bad[:])
		return false, f.err
	}
	f.good, f.badErr, f.err = c.sum, nil, nil
	f.publish(value, fmt.Sprintf("%s (sha256 %x)", f.path, c.sum[:6]))
	return true, nil
}

// awayLocked remembers that there was no content to be had. The next content is
// read although it may look as the last one did.
func (f *File[T]) awayLocked(err error) {
	f.err, f.errKey, f.settled = err, err.Error(), false
}

func (f *File[T]) publish(value T, source string) {
	if f.table == nil {
		f.table = share.NewFrom(f.opts.name, source, value)
		return
	}
	f.table.ReplaceFrom(source, value)
}

// decode makes a value of a file, and has it judged.
func (f *File[T]) decode(data []byte) (value T, bad *fault) {
	defer func() {
		if r := recover(); r != nil { // in a method of T, the validation, or a decoder
			bad = &fault{reason: fmt.Sprintf("decoding or validation panicked: %v", r), kind: ErrValue}
		}
	}()
	if bad := decode(f.format, data, &value); bad != nil {
		return value, bad
	}
	if f.opts.validate != nil {
		if err := f.opts.validate.(func(T) error)(value); err != nil {
			return value, &fault{reason: "refused: " + err.Error(), kind: ErrValue, cause: err}
		}
	}
	return value, nil
}
