// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/shm"
)

// FuzzImage changes bytes of a vault. Whatever they are, opening and using it comes to an end, and what it returns is
// what was put, or an error. A session that passes the checks has packets of those that were ever put.
func FuzzImage(f *testing.F) {
	base := furnished(f)
	slot := uint32(base.slotAt(0))
	f.Add(uint32(writtenAt), []byte{1}, uint32(lastAt))
	f.Add(uint32(readyAt), bytes.Repeat([]byte{0xff}, 8), uint32(idAt))
	f.Add(uint32(doneAt), []byte{2, 0, 0, 0}, uint32(doneAt+doneSize))
	f.Add(slot, []byte{0, 0, 0, 0, 0, 0, 0, 0}, slot+slotAtID)
	f.Add(slot+slotAtTexts, bytes.Repeat([]byte{0xff}, 16), slot+slotAtVersion)
	f.Add(slot+slotAtRefs, bytes.Repeat([]byte{0x80}, 16), slot+slotAtCuts)
	f.Add(uint32(base.ringAt()+unitSize), []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f}, uint32(base.ringAt()))
	f.Fuzz(func(t *testing.T, at uint32, b []byte, to uint32) {
		m := image{limits: base.limits, mem: bytes.Clone(base.mem)}
		end := m.slotAt(5)
		for i := range b { // a stretch of bytes, and one copied from elsewhere
			m.mem[shm.HeaderSize+(int(at)+i)%(end-shm.HeaderSize)] = b[i]
			m.mem[shm.HeaderSize+(int(to)+i)%(end-shm.HeaderSize)] = base.mem[shm.HeaderSize+(int(at)*3+i)%(end-shm.HeaderSize)]
		}
		if _, err := m.snapshot(home); err != nil {
			want(t, err, ErrDamaged)
		}
		v, err := rejoin(m, small)
		if err != nil {
			want(t, err, ErrDamaged)
			return
		}
		use(t, v)
	})
}

// use does everything with a vault that could be opened.
func use(t *testing.T, v *Vault) {
	t.Helper()
	for _, s := range sessions(v) {
		for received := range s.Sent() + 1 {
			list, err := s.Since(received, nil)
			if err != nil && !errors.Is(err, ErrTooOld) {
				t.Fatal(err)
			}
			for _, p := range list {
				if !bytes.Equal(p, packet(9, 40)) && !bytes.Equal(p, packet(0, 30)) && !bytes.Equal(p, packet(1, 30)) && !bytes.Equal(p, packet(2, 30)) {
					t.Fatalf("a packet that nobody has put: %q", p)
				}
			}
			if received > refs {
				break
			}
		}
		s.Has(cutItem)
		s.Newest()
		check(t, s.SetGroups([]string{"fuzzed"}))
		check(t, s.SetAccepted(s.Accepted()+1))
	}
	for n := range 100 {
		ref := put(t, v, Origin{Source: uint64(n % 9), Number: uint64(n)}, packet(n, 50))
		for _, s := range sessions(v) {
			if s.Add(ref) == 0 {
				t.Fatal("a session is gone")
			}
		}
		check(t, v.SetDone(uint64(n%9), uint64(n)))
	}
	if s, err := v.Begin(Session{Texts: texts(1)}); err == nil {
		check(t, s.Free())
	} else if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	v, err := rejoin(v.image, small)
	check(t, err)
	for _, d := range v.Damage() {
		t.Errorf("after use: %s", d.What)
	}
}

// FuzzFile opens a file with other bytes at its beginning.
func FuzzFile(f *testing.F) {
	f.Add(uint16(0), []byte("SKYVAULT"))
	f.Add(uint16(32), []byte{1, 1, 0, 0, 0x80, 0, 0, 0, 0, 0x20})
	f.Add(uint16(16), []byte{0, 0})
	f.Add(uint16(writtenAt), []byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, at uint16, b []byte) {
		dir := newFolder(t)
		v := open(t, dir, small)
		begin(t, v, 1)
		v.Close()
		file, err := os.OpenFile(filepath.Join(dir, FileName(home)), os.O_WRONLY, 0)
		check(t, err)
		_, err = file.WriteAt(b[:min(len(b), 4096)], int64(at)%4200)
		check(t, errors.Join(err, file.Close()))
		before := shm.Mapped()
		_, _ = Inspect(dir, home)
		if v, err := Open(dir, home, small, shm.Keep); err == nil {
			v.Close()
		}
		if shm.Mapped() != before {
			t.Errorf("%d mappings stay", shm.Mapped()-before)
		}
	})
}
