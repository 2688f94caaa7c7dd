// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// The bus needs Linux: shared futexes and open-file-description locks.

// Map is not supported here.
func Map(*os.File, int, bool) ([]byte, error) { return nil, errors.ErrUnsupported }

// Unmap is not supported here.
func Unmap([]byte) error { return errors.ErrUnsupported }

// Allocate is not supported here.
func Allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

// Open opens a file.
func Open(path string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, perm)
}

// Rename is not supported here.
func Rename(string, string) error { return errors.ErrUnsupported }

// IsNoSpace is false here.
func IsNoSpace(error) bool { return false }

// IsOutOfMappings is false here.
func IsOutOfMappings(error) bool { return false }

// TryLock is not supported here.
func TryLock(*os.File, int64) (bool, error) { return false, errors.ErrUnsupported }

// Lock is not supported here.
func Lock(*os.File, int64) error { return errors.ErrUnsupported }

// Unlock is not supported here.
func Unlock(*os.File, int64) error { return errors.ErrUnsupported }

// LockedAt is not supported here.
func LockedAt(*os.File, int64, int64) (int64, bool, error) { return 0, false, errors.ErrUnsupported }

// SameFile is not supported here.
func SameFile(*os.File, string) (bool, error) { return false, errors.ErrUnsupported }

// A FileID tells a file from others.
type FileID struct {
	Dev, Ino uint64
	Changed  int64
}

// Identify is not supported here.
func Identify(string) (FileID, error) { return FileID{}, errors.ErrUnsupported }

// IdentifyFile is not supported here.
func IdentifyFile(*os.File) (FileID, error) { return FileID{}, errors.ErrUnsupported }

// Blocks is not supported here.
func Blocks(string) (int64, error) { return 0, errors.ErrUnsupported }

// Free is not supported here.
func Free(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }

// Owner is not supported here.
func Owner(string) (uid, gid uint32, err error) { return 0, 0, errors.ErrUnsupported }

// PIDNamespace is unknown here.
func PIDNamespace() uint32 { return 0 }

// MaxMappings is a guess here.
func MaxMappings() int { return 65530 }

// CPUTime is unknown here.
func CPUTime() time.Duration { return 0 }

// Eventfd is not supported here.
func Eventfd() (*os.File, error) { return nil, errors.ErrUnsupported }

// Sync writes f's data to the disk.
func Sync(f *os.File) error { return f.Sync() }

// FutexWait sleeps here: nothing can be shared between processes anyway.
func FutexWait(*atomic.Uint32, uint32, time.Duration) { time.Sleep(time.Millisecond) }

// FutexWake wakes nobody here.
func FutexWake(*atomic.Uint32) int { return 0 }

// Doze has the goroutine sleep.
func Doze(d time.Duration) { time.Sleep(d) }
