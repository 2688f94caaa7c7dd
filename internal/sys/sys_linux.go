// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Map maps size bytes of f, shared and writable unless readOnly.
func Map(f *os.File, size int, readOnly bool) ([]byte, error) {
	prot := unix.PROT_READ | unix.PROT_WRITE
	if readOnly {
		prot = unix.PROT_READ
	}
	return unix.Mmap(int(f.Fd()), 0, size, prot, unix.MAP_SHARED)
}

// Unmap ends a mapping that Map returned.
func Unmap(b []byte) error { return unix.Munmap(b) }

// Allocate makes sure that the bytes [off, off+n) of f have memory or disk
// behind them, so that storing to them later cannot raise SIGBUS.
func Allocate(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, n)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Open is os.OpenFile with descriptors that exec closes and no controlling of links.
func Open(path string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag|unix.O_NOFOLLOW, perm)
}

// Rename gives old the name new, which must not exist yet.
func Rename(oldPath, newPath string) error {
	err := unix.Renameat2(unix.AT_FDCWD, oldPath, unix.AT_FDCWD, newPath, unix.RENAME_NOREPLACE)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldPath, New: newPath, Err: err}
	}
	return nil
}

// IsNoSpace reports whether err says that a file system or quota is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// IsOutOfMappings reports whether a mapping failed for want of room in the process.
func IsOutOfMappings(err error) bool { return errors.Is(err, unix.ENOMEM) }

// TryLock takes the exclusive lock on the byte at off of f for f's open file
// description (OFD). It returns false if another description holds it. The
// kernel releases the lock when the last descriptor of f is closed, at the
// latest with the death of the process.
func TryLock(f *os.File, off int64) (bool, error) {
	err := ofd(f, unix.F_OFD_SETLK, unix.F_WRLCK, off, 1)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// Lock is TryLock, waiting.
func Lock(f *os.File, off int64) error { return ofd(f, unix.F_OFD_SETLKW, unix.F_WRLCK, off, 1) }

// Unlock releases the byte at off.
func Unlock(f *os.File, off int64) error { return ofd(f, unix.F_OFD_SETLK, unix.F_UNLCK, off, 1) }

// LockedAt asks, without taking anything, whether another open file description
// holds a lock in [off, off+n) of f, and returns one such byte.
func LockedAt(f *os.File, off, n int64) (at int64, held bool, err error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: off, Len: n}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk)
		if !errors.Is(err, unix.EINTR) {
			return lk.Start, err == nil && lk.Type != unix.F_UNLCK, err
		}
	}
}

func ofd(f *os.File, cmd int, typ int16, off, n int64) error {
	lk := unix.Flock_t{Type: typ, Whence: io.SeekStart, Start: off, Len: n}
	for {
		err := unix.FcntlFlock(f.Fd(), cmd, &lk)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// SameFile reports whether path still names the file that f has open.
func SameFile(f *os.File, path string) (bool, error) {
	var a, b unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &a); err != nil {
		return false, err
	}
	err := unix.Stat(path, &b)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil && a.Dev == b.Dev && a.Ino == b.Ino, err
}

// A FileID tells a file, and one state of it, from others: a file that was
// written, renamed or replaced has another, but for two changes within one step
// of the kernel's clock, which is at most 10 ms.
type FileID struct {
	Dev, Ino uint64
	Changed  int64 // Unix nanoseconds
}

// Identify returns the FileID of the file at path, which may be a link's target.
func Identify(path string) (FileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return FileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return FileID{st.Dev, st.Ino, st.Ctim.Nano()}, nil
}

// IdentifyFile is Identify for a file that is open.
func IdentifyFile(f *os.File) (FileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return FileID{}, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return FileID{st.Dev, st.Ino, st.Ctim.Nano()}, nil
}

// Blocks returns the bytes of storage that the file at path takes up.
func Blocks(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Blocks * 512, nil
}

// Free returns the bytes free in the file system that holds path, and its size.
func Free(path string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// Owner returns the user and group that the file at path belongs to, by number.
func Owner(path string) (uid, gid uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Uid, st.Gid, nil
}

// PIDNamespace returns a number for the PID namespace of this process: PIDs of
// two processes can be compared only where it is equal. 0 is unknown.
func PIDNamespace() uint32 {
	s, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.Trim(strings.TrimPrefix(s, "pid:"), "[]"), 10, 64)
	return uint32(n)
}

// MaxMappings returns how many mappings the kernel allows a process.
func MaxMappings() int {
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return 65530
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 65530
	}
	return n
}

// CPUTime returns the processor time that this process has used.
func CPUTime() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// Doze has the thread sleep, and not the goroutine alone: another thread can have its
// processor.
func Doze(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it early
}

// Eventfd makes a counter that epoll can wait for. It is non-blocking.
func Eventfd() (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return os.NewFile(uintptr(fd), "eventfd"), nil
}

// Sync writes f's data to the disk.
func Sync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
