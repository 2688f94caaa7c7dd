// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Memfd makes a file without a name, in memory, which exec closes.
func Memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Exec replaces the program of this process. The descriptors of keep survive it, and
// no child that another goroutine starts gets them. It returns only if that failed; then all is as before.
func Exec(path string, args, env []string, keep []*os.File) error {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	for i, f := range keep {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			closeOnExec(keep[:i])
			return fmt.Errorf("keep %s over exec: %w", f.Name(), err)
		}
	}
	err := syscall.Exec(path, args, env)
	closeOnExec(keep)
	return &os.PathError{Op: "exec", Path: path, Err: err}
}

func closeOnExec(list []*os.File) {
	for _, f := range list {
		unix.CloseOnExec(int(f.Fd()))
	}
}

// Inherited returns the file that the program before has left under descriptor fd. No program
// that this one starts gets it. Errors: there is no such descriptor.
func Inherited(fd int, name string) (*os.File, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// UnlockOthers releases all of f's locks but the one on the byte at off.
func UnlockOthers(f *os.File, off int64) error {
	for _, part := range [][2]int64{{0, off}, {off + 1, math.MaxInt64 - off - 1}} {
		if part[1] == 0 { // would be all
			continue
		}
		lk := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: part[0], Len: part[1]}
		for {
			err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}
	return nil
}
