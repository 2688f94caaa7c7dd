// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
)

// Access says who may use the files: their mode is 0660, their folder's 0770.
type Access struct {
	UID, GID int // numbers; -1 leaves what the process creates
}

// Keep is the Access that changes no owner.
var Keep = Access{UID: -1, GID: -1}

const (
	fileMode = 0o660
	dirMode  = 0o770
	tmpMark  = ".tmp-"
)

// A Segment is a mapped file. Its memory stays mapped until as many Close calls
// as there were Create, Open and Acquire (R15). Safe for concurrent use.
type Segment struct {
	path string
	file fs.FileInfo // which file it is
	mem  []byte
	refs atomic.Int32
}

// mapped counts this process's mappings.
var mapped atomic.Int64

// MaxMappings is the number of segments that one process maps at most: half of
// what the kernel allows, for the Go runtime itself dies when mappings run out.
var MaxMappings = int64(sys.MaxMappings() / 2)

// Mapped returns how many segments this process has mapped.
func Mapped() int64 { return mapped.Load() }

// A Spec says what a segment is made of.
type Spec struct {
	Magic  Magic
	Size   int64            // of the file in bytes
	Alloc  int64            // bytes at the start that get memory now; 0 is all
	Body   [BodySize]byte   // the kind's part of the header
	Init   func(mem []byte) // fills the rest, before the segment has a name
	Access Access
	Now    int64 // creation time, Unix nanoseconds
}

// Create makes the segment and gives it its name, which must not exist.
// A crash before that leaves a file that IsTemporary knows.
func Create(path string, spec Spec) (*Segment, error) { return create(path, spec, sys.Rename) }

// Replace is Create for a name that may exist: from one moment to the next it
// leads to the new segment, and never to none. Who has the old one open keeps
// it. Callers hold a lock: of two at once one fails.
func Replace(path string, spec Spec) (*Segment, error) { return create(path, spec, os.Rename) }

func create(path string, spec Spec, rename func(from, to string) error) (*Segment, error) {
	tmp := filepath.Join(filepath.Dir(path), tmpMark+filepath.Base(path))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Explain(err, tmp)
	}
	invariantStep("shm.create")
	f, err := sys.Open(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, Explain(err, tmp)
	}
	defer f.Close()
	s, err := fill(f, path, spec)
	if err == nil {
		invariantStep("shm.rename")
		err = rename(tmp, path)
		invariantStep("shm.renamed")
	}
	if err != nil {
		if s != nil {
			s.Close()
		}
		_ = os.Remove(tmp)
		return nil, err
	}
	return s, nil
}

func invariantStep(site string) {
	if invariant.Enabled {
		invariant.Step(site)
	}
}

func fill(f *os.File, path string, spec Spec) (*Segment, error) {
	if err := spec.Access.apply(f.Name(), fileMode); err != nil {
		return nil, err
	}
	if err := f.Truncate(spec.Size); err != nil {
		return nil, Explain(err, path)
	}
	alloc := spec.Alloc
	if alloc == 0 {
		alloc = spec.Size
	}
	if err := Allocate(f, 0, alloc); err != nil {
		return nil, err
	}
	invariantStep("shm.allocated")
	s, err := mapFile(f, path, spec.Size, false)
	if err != nil {
		return nil, err
	}
	if spec.Init != nil {
		spec.Init(s.mem)
	}
	h := header{magic: spec.Magic, layout: Layout, size: uint64(spec.Size), created: spec.Now, body: spec.Body}
	h.sum = sumOf(h)
	*headerOf(s.mem) = h
	return s, nil
}

// Allocate gives the bytes [off, off+n) of f memory, or says that there is none.
func Allocate(f *os.File, off, n int64) error {
	err := sys.Allocate(f, off, n)
	if sys.IsNoSpace(err) {
		free, _, _ := sys.Free(filepath.Dir(f.Name()))
		return fmt.Errorf("%w: %d bytes for %s, the file system has %d free: %w", ErrNoSpace, n, f.Name(), free, err)
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// Open maps the segment at path after checking its header; readOnly for those
// who only look.
func Open(path string, magic Magic, readOnly bool) (*Segment, error) {
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	f, err := sys.Open(path, flag, 0)
	if err != nil {
		return nil, Explain(err, path)
	}
	defer f.Close()
	return OpenFile(f, magic, readOnly)
}

// OpenFile is Open for a file that is open already. It does not keep f.
func OpenFile(f *os.File, magic Magic, readOnly bool) (*Segment, error) {
	h, err := readHeader(f, magic)
	if err != nil {
		return nil, err
	}
	return mapFile(f, f.Name(), int64(h.size), readOnly)
}

// readHeader reads the header of f and checks it.
func readHeader(f *os.File, magic Magic) (header, error) {
	st, err := f.Stat()
	if err != nil {
		return header{}, err
	}
	if st.Size() < HeaderSize {
		return header{}, fmt.Errorf("%s: %w: %d bytes, less than a header", f.Name(), ErrTruncated, st.Size())
	}
	buf := make([]byte, HeaderSize)
	if _, err := f.ReadAt(buf, 0); err != nil {
		return header{}, err
	}
	h := *headerOf(buf)
	if err := h.check(magic, st.Size()); err != nil {
		return header{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return h, nil
}

// ReadFile returns the body of the header of f and a copy of what stands behind
// the header, at most limit bytes, after the checks of Open. It is for segments
// that nobody writes once they have their name: nothing is mapped, so a file
// that is cut off meanwhile is an error and no SIGBUS. The copy is the caller's.
func ReadFile(f *os.File, magic Magic, limit int64) (body [BodySize]byte, rest []byte, err error) {
	h, err := readHeader(f, magic)
	if err != nil {
		return body, nil, err
	}
	n := int64(h.size) - HeaderSize
	if n > limit {
		return body, nil, fmt.Errorf("%s: %w: %d bytes behind the header, want at most %d", f.Name(), ErrTooLarge, n, limit)
	}
	rest = make([]byte, n)
	if _, err := f.ReadAt(rest, HeaderSize); errors.Is(err, io.EOF) {
		return body, nil, fmt.Errorf("%s: %w while it was read", f.Name(), ErrTruncated)
	} else if err != nil {
		return body, nil, err
	}
	return h.body, rest, nil
}

func mapFile(f *os.File, path string, size int64, readOnly bool) (*Segment, error) {
	if n := mapped.Add(1); n > MaxMappings {
		mapped.Add(-1)
		return nil, fmt.Errorf("map %s: %w: %d, the limit is half of vm.max_map_count", path, ErrMappings, n-1)
	}
	file, err := f.Stat()
	if err != nil {
		mapped.Add(-1)
		return nil, err
	}
	mem, err := sys.Map(f, int(size), readOnly)
	if err != nil {
		mapped.Add(-1)
		if sys.IsOutOfMappings(err) {
			err = fmt.Errorf("%w: %w", ErrMappings, err)
		}
		return nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	s := &Segment{path: path, file: file, mem: mem}
	s.refs.Store(1)
	return s, nil
}

// Mem returns the mapped bytes, valid until the caller's Close.
func (s *Segment) Mem() []byte { return s.mem }

// Path returns the name that the segment was opened by.
func (s *Segment) Path() string { return s.path }

// Named reports whether Path still names this segment, and not another one or none.
func (s *Segment) Named() bool {
	file, err := os.Stat(s.path)
	return err == nil && os.SameFile(file, s.file)
}

// Created returns the time of creation in Unix nanoseconds.
func (s *Segment) Created() int64 { return headerOf(s.mem).created }

// Body returns a copy of the kind's part of the header.
func (s *Segment) Body() [BodySize]byte { return headerOf(s.mem).body }

// AccessOf returns the access with which files belong to the same users as folder dir does.
func AccessOf(dir string) (Access, error) {
	uid, gid, err := sys.Owner(dir)
	a := Keep
	if os.Geteuid() == 0 && uid != 0 {
		a.UID = int(uid)
	}
	if int(gid) != os.Getegid() {
		a.GID = int(gid)
	}
	return a, err
}

// Acquire adds a holder.
func (s *Segment) Acquire() *Segment {
	s.refs.Add(1)
	return s
}

// Close takes one holder away; with the last the memory is unmapped.
func (s *Segment) Close() {
	if s.refs.Add(-1) != 0 {
		return
	}
	mapped.Add(-1)
	_ = sys.Unmap(s.mem) // fails only for a mapping that is not one
	s.mem = nil
}

// IsTemporary reports whether a file name is that of an unfinished Create.
func IsTemporary(name string) bool {
	return len(name) >= len(tmpMark) && name[:len(tmpMark)] == tmpMark
}

// MakeDir makes the folder at path unless it is there.
func MakeDir(path string, a Access) error {
	err := os.Mkdir(path, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return Explain(err, path)
	}
	if err := a.apply(path, dirMode); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return MakeDir(path, a) // somebody has removed it at once
}

// OpenLockFile opens, or makes, the file that carries locks.
func OpenLockFile(path string, create bool, a Access) (*os.File, error) {
	f, err := sys.Open(path, os.O_RDWR, 0)
	if err == nil || !create || !errors.Is(err, fs.ErrNotExist) {
		return f, Explain(err, path)
	}
	f, err = sys.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		f, err = sys.Open(path, os.O_RDWR, 0)
		return f, Explain(err, path)
	}
	if err != nil {
		return nil, Explain(err, path)
	}
	if err := a.apply(path, fileMode); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// apply sets mode and owner; the mode explicitly, whatever the umask says.
func (a Access) apply(path string, mode fs.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	if a.UID < 0 && a.GID < 0 {
		return nil
	}
	if err := os.Chown(path, a.UID, a.GID); err != nil {
		return fmt.Errorf("give the file to uid %d, gid %d: %w", a.UID, a.GID, err)
	}
	return nil
}

// Explain adds to a permission error which right is missing and whose the file is.
func Explain(err error, path string) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	at, right := path, "read and write"
	st, statErr := os.Stat(path)
	if statErr != nil { // the folder is closed, or the file is to be made in it
		at, right = filepath.Dir(path), "write and search"
		st, statErr = os.Stat(at)
	}
	uid, gid, ownErr := sys.Owner(at)
	if statErr != nil || ownErr != nil {
		return err
	}
	return fmt.Errorf("%w: uid %d needs the right to %s %s, which has mode %04o, uid %d, gid %d",
		err, os.Geteuid(), right, at, st.Mode().Perm(), uid, gid)
}
