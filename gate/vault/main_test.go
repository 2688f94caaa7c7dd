// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// roles are what the processes do that tests start.
var roles = map[string]killtest.Role{}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(m.Run())
}

const home = addr.Addr(0x00000101)

// small are limits of a vault that is soon full.
var small = Config{Sessions: 64, Ring: minRing, Sources: 4}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got the error %v, want one that is %v", err, kind)
	}
}

// newFolder returns the folder of a domain, which has a lock file.
func newFolder(t testing.TB) string {
	t.Helper()
	dir := testutil.Dir(t)
	makeLock(t, dir)
	return dir
}

func makeLock(t testing.TB, dir string) {
	t.Helper()
	f, err := shm.OpenLockFile(lockPath(dir), true, shm.Keep)
	check(t, err)
	check(t, f.Close())
}

// open opens the vault in a folder until the test ends.
func open(t testing.TB, dir string, cfg Config) *Vault {
	t.Helper()
	v, err := Open(dir, home, cfg, shm.Keep)
	check(t, err)
	t.Cleanup(v.Close)
	return v
}

// onHeap returns a vault on heap bytes, which belong to nobody else.
func onHeap(t testing.TB, cfg Config) *Vault {
	t.Helper()
	check(t, cfg.check())
	l := cfg.limits()
	m, err := view(make([]byte, l.size()), bodyOf(home, l), home)
	check(t, err)
	m.initialise(1000, nil)
	v, err := join(m, home, cfg, &Vault{})
	check(t, err)
	return v
}

// rejoin opens an image on heap bytes once more, as Open would.
func rejoin(m image, cfg Config) (*Vault, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return join(m, home, cfg, &Vault{})
}

func key(n byte) (k [KeySize]byte) {
	for i := range k {
		k[i] = n + byte(i)
	}
	return k
}

func texts(n int) Texts {
	return Texts{
		Binding: fmt.Append(nil, "binding ", n), Identity: fmt.Append(nil, "identity ", n),
		Groups: []string{"all", fmt.Sprint("room ", n)}, Remote: fmt.Sprint("192.0.2.1:", n),
	}
}

func begin(t testing.TB, v *Vault, n int) Slot {
	t.Helper()
	s, err := v.Begin(Session{Key: key(byte(n)), Epoch: 1, Texts: texts(n)})
	check(t, err)
	return s
}

func put(t testing.TB, v *Vault, o Origin, data []byte) Ref {
	t.Helper()
	ref, err := v.Put(o, data)
	check(t, err)
	return ref
}

// packet makes bytes that tell from which number they were made.
func packet(n, size int) []byte {
	b := fmt.Appendf(nil, "%d/", n)
	for len(b) < size {
		b = append(b, byte(n+7*len(b)))
	}
	return b[:size]
}

// sessions lists what is in a vault.
func sessions(v *Vault) (list []Slot) {
	v.Slots(func(s Slot) bool { list = append(list, s); return true })
	return list
}

func byID(t testing.TB, v *Vault, id uint64) Slot {
	t.Helper()
	for _, s := range sessions(v) {
		if s.ID() == id {
			return s
		}
	}
	t.Fatalf("there is no session %x", id)
	return Slot{}
}

// sound fails if the vault has damage.
func sound(t testing.TB, v *Vault) {
	t.Helper()
	for _, d := range v.Damage() {
		t.Errorf("slot %d, session %x: %s", d.Slot, d.ID, d.What)
	}
	s, err := v.snapshot(v.home)
	check(t, err)
	for _, d := range s.Damage {
		t.Errorf("a look finds in slot %d, session %x: %s", d.Slot, d.ID, d.What)
	}
}

// wantSince wants packets to come again.
func wantSince(t testing.TB, s Slot, received uint64, want ...[]byte) {
	t.Helper()
	got, err := s.Since(received, nil)
	if err != nil || len(got) != len(want) {
		t.Errorf("since %d: %d packets, %v; want %d", received, len(got), err, len(want))
		return
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("since %d: packet %d is %.40q, want %.40q", received, i, got[i], want[i])
		}
	}
}
