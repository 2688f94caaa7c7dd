// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The modes of new files.
const (
	modeCert = 0o644
	modeKey  = 0o600
)

// create writes both files, which must not exist, or none.
func (p *pair) create(cert, key string) error {
	if _, err := os.Lstat(cert); err == nil {
		return &fs.PathError{Op: "create", Path: cert, Err: fs.ErrExist}
	}
	if err := createFile(key, p.key, modeKey); err != nil {
		return err
	}
	if err := createFile(cert, p.cert, modeCert); err != nil {
		return errors.Join(err, os.Remove(key))
	}
	return nil
}

// createFile writes a file that must not exist, or leaves none.
func createFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return finish(f, data, mode)
}

// finish writes data to a new file and closes it, or removes it. The mode is set
// again: the process's mask may have taken the right to read from a certificate
// that others have to read.
func finish(f *os.File, data []byte, mode fs.FileMode) error {
	_, err := f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// replace writes both files, whether they exist or not. Each is complete at any
// time, under a name of its own first.
func (p *pair) replace(cert, key string) error {
	newKey, err := writeBeside(key, p.key, modeKey)
	if err != nil {
		return err
	}
	newCert, err := writeBeside(cert, p.cert, modeCert)
	if err != nil {
		return errors.Join(err, os.Remove(newKey))
	}
	if err := os.Rename(newKey, key); err != nil {
		return errors.Join(err, os.Remove(newKey), os.Remove(newCert))
	}
	if err := os.Rename(newCert, cert); err != nil {
		return errors.Join(fmt.Errorf("%s was replaced already: %w", key, err), os.Remove(newCert))
	}
	return nil
}

// writeBeside writes a file that is to be renamed to path, and returns its name.
func writeBeside(path string, data []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	return f.Name(), finish(f, data, mode)
}
