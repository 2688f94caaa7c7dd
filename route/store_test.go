// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

func TestStoreAndLoad(t *testing.T) {
	root := testutil.Dir(t)
	want := sample(t)
	want.Generation = 77
	for generation := uint64(1); generation <= 3; generation++ {
		check(t, Store(root, want, shm.Keep))
		if want.Generation != 77 {
			t.Fatalf("Store changed its table: %+v", want)
		}
		got := load(t, root)
		if got.Generation != generation {
			t.Errorf("generation %d, want %d", got.Generation, generation)
		}
		got.Generation = 77
		if !same(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		want.Rules = want.Rules[1:]
	}
	if _, err := Load(root, key+1); !errors.Is(err, ErrNoTable) {
		t.Errorf("another key: %v", err)
	}
	if n := shm.Mapped(); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
}

func TestFilesOfATable(t *testing.T) {
	root := stored(t)
	for name, mode := range map[string]fs.FileMode{"": fs.ModeDir | 0o770, lockName: 0o660, tableName: 0o660} {
		st, err := os.Stat(filepath.Join(Dir(root, key), name))
		if err != nil || st.Mode() != mode {
			t.Errorf("%q: %v, %v, want mode %v", name, st, err, mode)
		}
	}
	wantFiles(t, root, lockName, tableName)
	s, err := shm.Open(tableFile(root), magic, true)
	check(t, err)
	if age := time.Since(time.Unix(0, s.Created())); age < 0 || age > time.Hour {
		t.Errorf("made %v ago", age)
	}
	s.Close()
	if got := Dir("", 5); got != "/dev/shm/skybus-routes-5" {
		t.Errorf("without a root: %s", got)
	}
}

// wantFiles compares the names in the table's folder; none means that there is none.
func wantFiles(t *testing.T, root string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(Dir(root, key))
	if names == nil && errors.Is(err, fs.ErrNotExist) {
		return
	}
	check(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("files %q, want %q", got, names)
	}
}

func TestWrongTableIsNotStored(t *testing.T) {
	root := testutil.Dir(t)
	bad := sample(t)
	bad.Rules[1].Priority, bad.Rules[2].Host = 8, "c"
	err := Store(root, bad, shm.Keep)
	if err == nil || !strings.Contains(err.Error(), "rule 2, *.*.*.*: priority 8") || !strings.Contains(err.Error(), `rule 3, 0.0.3.9: host "c"`) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, root)
	check(t, Store(root, sample(t), shm.Keep))
	if err := Store(root, bad, shm.Keep); err == nil || load(t, root).Generation != 1 {
		t.Errorf("got %v, %+v", err, load(t, root))
	}
}

func TestKeysThatAreNone(t *testing.T) {
	root := testutil.Dir(t)
	for _, k := range []uint32{0, 1 << 31} {
		_, loadErr := Load(root, k)
		_, viewErr := NewView(root, k).Table()
		for what, err := range map[string]error{
			"Load": loadErr, "View": viewErr, "Store": Store(root, &Table{Key: k}, shm.Keep), "Remove": Remove(root, k),
			"Update": Update(root, k, shm.Keep, func(*Table) error { return nil }),
		} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("key %d: want 1 to 2147483647", k)) {
				t.Errorf("%s, key %d: %v", what, k, err)
			}
		}
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}

func TestRootThatIsNotThere(t *testing.T) {
	root := filepath.Join(testutil.Dir(t), "missing")
	if err := Store(root, sample(t), shm.Keep); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), root) {
		t.Errorf("Store: %v", err)
	}
	if _, err := Load(root, key); !errors.Is(err, ErrNoTable) {
		t.Errorf("Load: %v", err)
	}
	if err := Remove(root, key); !errors.Is(err, ErrNoTable) {
		t.Errorf("Remove: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	root := testutil.Dir(t)
	update := func(f func(*Table) error) error { return Update(root, key, shm.Keep, f) }

	no := errors.New("no")
	if err := update(func(tab *Table) error {
		if tab.Key != key || tab.Generation != 0 || tab.Rules != nil {
			t.Errorf("got %+v for none", tab)
		}
		return no
	}); err != no { //nolint:errorlint // the error itself
		t.Errorf("got %v", err)
	}
	wantFiles(t, root) // nothing was made for nothing

	check(t, update(func(*Table) error { return nil })) // an empty table is one
	check(t, update(func(tab *Table) error {
		tab.Generation = 0
		tab.Hosts = append(tab.Hosts, Host{"a", "h:1"})
		tab.Rules = append(tab.Rules, Rule{Prefix: addr.Exact(1), Host: "a"})
		return nil
	}))
	if got := load(t, root); got.Generation != 2 || len(got.Rules) != 1 {
		t.Errorf("got %+v", got)
	}
	for what, f := range map[string]func(*Table) error{
		"nothing": func(*Table) error { return nil },
		"undone":  func(tab *Table) error { tab.Self = "x"; tab.Self = ""; return nil },
		"error":   func(tab *Table) error { tab.Self = "x"; return no },
		"key":     func(tab *Table) error { tab.Key++; return nil },
		"mistake": func(tab *Table) error { tab.Hosts = nil; return nil },
	} {
		err := update(f)
		if good := what == "nothing" || what == "undone"; good != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
		if got := load(t, root); got.Generation != 2 || got.Self != "" || len(got.Hosts) != 1 {
			t.Errorf("%s: got %+v", what, got)
		}
	}
	wantFiles(t, root, lockName, tableName)
}

// TestUpdatesAtOnce: none of many is lost.
func TestUpdatesAtOnce(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	const writers, each = 4, 25
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				err := Update(root, key, shm.Keep, func(tab *Table) error {
					tab.Hosts = append(tab.Hosts, Host{fmt.Sprintf("h%d.%d", w, i), "h:1"})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := load(t, root); len(got.Hosts) != writers*each || got.Generation != writers*each {
		t.Errorf("%d hosts, generation %d, want %d", len(got.Hosts), got.Generation, writers*each)
	}
}

// TestRemovedUnderWriters: a table that is removed while others change it comes
// anew, and nobody sees an error, or half a folder.
func TestRemovedUnderWriters(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 50 {
				if err := Store(root, sample(t), shm.Keep); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for range 50 {
				if err := Remove(root, key); err != nil && !errors.Is(err, ErrNoTable) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	check(t, Store(root, sample(t), shm.Keep))
	wantFiles(t, root, lockName, tableName)
	check(t, Remove(root, key))
	wantFiles(t, root)
}

func TestRemove(t *testing.T) {
	root := stored(t)
	check(t, Remove(root, key))
	wantFiles(t, root)
	err := Remove(root, key)
	if !errors.Is(err, ErrNoTable) || !strings.Contains(err.Error(), Dir(root, key)) {
		t.Errorf("again: %v", err)
	}
	if _, err := Load(root, key); !errors.Is(err, ErrNoTable) {
		t.Errorf("Load: %v", err)
	}
	// what a killed process leaves, and what somebody else does
	check(t, os.Mkdir(Dir(root, key), 0o700))
	check(t, os.WriteFile(filepath.Join(Dir(root, key), tmpName), nil, 0o600))
	if err := Remove(root, key); !errors.Is(err, ErrNoTable) {
		t.Errorf("without a table: %v", err)
	}
	wantFiles(t, root)
	check(t, Store(root, sample(t), shm.Keep))
	check(t, os.Remove(filepath.Join(Dir(root, key), lockName)))
	check(t, Remove(root, key))
	wantFiles(t, root)
}

// rewrite changes the bytes of the table's file and, if mend is set, makes the
// header's checksum right.
func rewrite(t *testing.T, root string, mend bool, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(tableFile(root))
	check(t, err)
	data = change(data)
	if mend {
		le.PutUint32(data[12:], 0)
		le.PutUint32(data[12:], (&content{rest: data[:shm.HeaderSize]}).sum())
	}
	check(t, os.WriteFile(tableFile(root), data, 0o600))
}

func TestDamagedFile(t *testing.T) {
	for _, c := range []struct {
		what   string
		mend   bool
		change func([]byte) []byte
		want   error
	}{
		{"empty", false, func([]byte) []byte { return nil }, shm.ErrTruncated},
		{"cut off", false, func(b []byte) []byte { return b[:len(b)-1] }, shm.ErrTruncated},
		{"another kind", false, func(b []byte) []byte { b[0]++; return b }, shm.ErrMagic},
		{"header", false, func(b []byte) []byte { b[40]++; return b }, shm.ErrChecksum},
		{"content", false, func(b []byte) []byte { b[130]++; return b }, ErrDamaged},
		{"generation 0", true, func(b []byte) []byte { b[32+bodyAtGeneration] = 0; return b }, ErrDamaged},
		{"too large", true, func(b []byte) []byte {
			b = append(b, make([]byte, shm.HeaderSize+maxRest-len(b)+1)...)
			binary.LittleEndian.PutUint64(b[16:], uint64(len(b)))
			return b
		}, shm.ErrTooLarge},
	} {
		t.Run(c.what, func(t *testing.T) {
			root := stored(t)
			rewrite(t, root, c.mend, c.change)
			view := NewView(root, key)
			for range 2 {
				_, loadErr := Load(root, key)
				_, viewErr := view.Table()
				for what, err := range map[string]error{
					"Load": loadErr, "View": viewErr, "Update": Update(root, key, shm.Keep, func(*Table) error { return nil }),
				} {
					if !errors.Is(err, ErrDamaged) || !errors.Is(err, c.want) || !strings.Contains(err.Error(), tableFile(root)) {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
			check(t, Store(root, sample(t), shm.Keep))
			if got := load(t, root); got.Generation != 1 {
				t.Errorf("generation %d", got.Generation)
			}
			if _, err := view.Table(); err != nil {
				t.Errorf("the view: %v", err)
			}
		})
	}
}

func TestDamagedTableCanBeRemoved(t *testing.T) {
	root := stored(t)
	rewrite(t, root, false, func([]byte) []byte { return nil })
	check(t, Remove(root, key))
	wantFiles(t, root)
}

// TestOtherLayoutIsNotTouched: a later version's table is not damaged, and stays.
func TestOtherLayoutIsNotTouched(t *testing.T) {
	root := stored(t)
	rewrite(t, root, true, func(b []byte) []byte { b[8]++; return b })
	_, loadErr := Load(root, key)
	_, viewErr := NewView(root, key).Table()
	for what, err := range map[string]error{"Load": loadErr, "View": viewErr, "Store": Store(root, sample(t), shm.Keep)} {
		if !errors.Is(err, shm.ErrLayout) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	data, err := os.ReadFile(tableFile(root))
	if err != nil || data[8] != shm.Layout+1 {
		t.Errorf("layout %d, %v", data[8], err)
	}
}

// TestGenerationDoesNotEnd: 0 means no table.
func TestGenerationDoesNotEnd(t *testing.T) {
	root := stored(t)
	rewrite(t, root, true, func(b []byte) []byte {
		le.PutUint64(b[32+bodyAtGeneration:], math.MaxUint64)
		return b
	})
	if got := load(t, root); got.Generation != math.MaxUint64 {
		t.Fatalf("generation %d", got.Generation)
	}
	check(t, Store(root, sample(t), shm.Keep))
	if got := load(t, root); got.Generation != 1 {
		t.Errorf("generation %d", got.Generation)
	}
}

func init() { roles["holder"] = holder }

// holder takes the lock and keeps it until its input ends.
func holder(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	return Update(root, key, shm.Keep, func(tab *Table) error {
		tab.Self = "never"
		fmt.Println("held")
		_, err := fmt.Scanln()
		return err
	})
}

// TestKilledWithTheLock: the next writer waits while the first lives, and no longer.
func TestKilledWithTheLock(t *testing.T) {
	testutil.NoLeaks(t)
	root := stored(t)
	p := killtest.Start(t, "holder", root)
	line, err := p.Out.ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("the holder says %q: %v", line, err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Update(root, key, shm.Keep, func(tab *Table) error { tab.Self = "second"; return nil })
	}()
	select {
	case err := <-done:
		t.Fatalf("the second did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if got := load(t, root); got.Generation != 1 || got.Self != "game-1" {
		t.Errorf("meanwhile it reads %+v", got)
	}
	p.Kill()
	select {
	case err := <-done:
		check(t, err)
	case <-time.After(90 * time.Second):
		t.Fatal("the lock has outlived its holder")
	}
	if got := load(t, root); got.Generation != 2 || got.Self != "second" {
		t.Errorf("got %+v", got)
	}
}
