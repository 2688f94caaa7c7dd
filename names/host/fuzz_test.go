// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// fuzzed returns a table on heap bytes with names in it, and one that was freed.
func fuzzed(t testing.TB) *table {
	t.Helper()
	mem := make([]byte, sizeOf(minUnits))
	tab, err := view(mem, bodyOf(key, minUnits), key)
	check(t, err)
	tab.write(nil, 0)
	for i := range 300 {
		rec, err := tab.find(fmt.Sprint("name", i))
		check(t, err)
		check(t, tab.put(&rec, []names.Claim{{Owner: names.Owner{Addr: 1, Handle: uint64(i)}, Life: 1}}))
	}
	rec, err := tab.find("name3")
	check(t, err)
	check(t, tab.put(&rec, nil))
	return tab
}

// FuzzTable changes bytes of a table. Whatever they are, readers and writers come to an end, and say what is
// wrong or do what they should.
func FuzzTable(f *testing.F) {
	f.Add(uint32(mutationAt), []byte{1})
	f.Add(uint32(usedAt), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(freeAt), []byte{2, 0, 0, 0})
	f.Add(uint32(liveAt), []byte{0, 0, 0, 0, 1})
	f.Add(uint32(bucketsAt), []byte{9, 0, 0, 0, 9, 0, 0, 0, 9})
	f.Add(uint32(bucketsAt+8*minUnits/unitsEach+unitSize), []byte{1, 0, 0, 0})
	f.Add(uint32(bucketsAt+8*minUnits/unitsEach+unitSize+12), []byte{7, 255, 255, 255})
	f.Add(uint32(journalAt), []byte{1, 2, 3, 4, 5})
	base := fuzzed(f)
	f.Fuzz(func(t *testing.T, at uint32, b []byte) {
		mem := append([]byte(nil), base.mem...)
		for i := range b { // a stretch of bytes, and the same again further on
			mem[mutationAt+(int(at)+i)%(len(mem)-mutationAt)] = b[i]
			mem[mutationAt+(int(at)*7+i*31)%(len(mem)-mutationAt)] ^= b[i]
		}
		tab, err := view(mem, bodyOf(key, minUnits), key)
		check(t, err)
		use(t, tab)
	})
}

func use(t *testing.T, tab *table) {
	t.Helper()
	tab.check()
	for i := range 20 {
		rec, err := tab.find(fmt.Sprint("name", i))
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		var full errNoRoom
		claims := []names.Claim{{Owner: names.Owner{Addr: 2, Handle: 1}, Life: 9}}
		err = tab.put(&rec, append(claims, rec.claims[:min(len(rec.claims), 5)]...))
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, names.ErrFull) && !errors.As(err, &full) {
			t.Fatal(err)
		}
	}
	if err := tab.tidy(); err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		return
	}
	for _, v := range tab.check() { // what can be tidied up is whole then
		t.Errorf("after tidying up: %s", v.What)
	}
}

// FuzzFile opens a file with other bytes at its beginning.
func FuzzFile(f *testing.F) {
	f.Add(uint16(0), []byte("SKYNAMES"))
	f.Add(uint16(32), []byte{0xe8, 3, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add(uint16(16), []byte{0, 0})
	f.Add(uint16(mutationAt), []byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, at uint16, b []byte) {
		dir := testutil.Dir(t)
		bus, err := joinBus(dir)
		check(t, err)
		defer bus.locks.Close()
		check(t, bus.bind(1))
		r, err := bus.open()
		check(t, err)
		defer r.Close()
		if _, err := r.Request(t.Context(), "a", owner(1, 1), 0); err != nil {
			t.Fatal(err)
		}
		r.swap(nil)
		check(t, overwrite(filepath.Join(dir, FileName), int64(at)%bucketsAt, b[:min(len(b), 4096)]))
		for range 2 { // the first one may tidy up
			_, _ = r.Owners(t.Context(), "a")
			_, _ = r.List(t.Context(), "")
			_, _ = r.Request(t.Context(), "b", names.Owner{Addr: addr.Addr(1), Handle: 2}, 0)
			if _, err := r.Check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
