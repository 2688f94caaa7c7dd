// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// save writes the last good copy, unless it is what the file has, and returns what the file has then.
func (m *Member) save(last []byte) []byte {
	m.mu.Lock()
	st, heard := m.snapshot(), m.heard
	m.mu.Unlock()
	if st == nil {
		return last
	}
	slices.SortFunc(st.Keys, func(a, b savedKey) int { return strings.Compare(a.Key, b.Key) })
	data := st.bytes()
	if bytes.Equal(data, last) {
		m.mark(last)
		return last
	}
	if err := replace(m.store.path, data, heard); err != nil {
		m.say("save", "the last good copy of the cluster cannot be written", "err", err.Error())
		return nil
	}
	return data
}

// mark notes that the file was true when the engine was last heard.
func (m *Member) mark(last []byte) {
	m.mu.Lock()
	heard := m.heard
	m.mu.Unlock()
	if last != nil {
		_ = os.Chtimes(m.store.path, time.Time{}, heard) // else its age is only larger
	}
}

// replace gives a file other bytes: after a crash, of the host too, it has the old or the new ones.
func replace(path string, data []byte, at time.Time) error {
	dir := filepath.Dir(path)
	tmp := filepath.Join(dir, ".tmp-"+filepath.Base(path))
	if err := write(tmp, data); err != nil {
		_ = os.Remove(tmp) // the error that counts is the other one
		return err
	}
	if err := os.Chtimes(tmp, time.Time{}, at); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
