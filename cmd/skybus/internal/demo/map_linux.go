// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the first size bytes of the file at path, making it if need be.
// Memory is not behind all of it: see allocate.
func mapFile(path string, size int64) (*os.File, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("map %s: %w", path, err)
	}
	return f, mem, nil
}

func unmapFile(f *os.File, mem []byte) {
	_ = unix.Munmap(mem)
	f.Close()
}

// allocate puts memory behind part of a file, so that a full file system is an
// error here and no signal at a store.
func allocate(f *os.File, off, n int64) error {
	if err := unix.Fallocate(int(f.Fd()), 0, off, n); err != nil {
		return fmt.Errorf("allocate %d bytes of %s: %w", n, f.Name(), err)
	}
	return nil
}
