// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/shm"
)

// roles are what the processes do that tests start.
var roles = map[string]killtest.Role{}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(m.Run())
}

const (
	key      = 1000
	patience = 90 * time.Second
)

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

// A bus stands for a domain: a folder with a lock file, and for each address a file with a byte
// for each time it was bound.
type bus struct {
	dir   string
	locks *shm.Locks
}

func joinBus(dir string) (*bus, error) {
	locks, err := shm.OpenLocks(filepath.Join(dir, "lock"), true, shm.Keep)
	return &bus{dir, locks}, err
}

func newBus(t testing.TB) *bus {
	t.Helper()
	b, err := joinBus(testutil.Dir(t))
	check(t, err)
	t.Cleanup(b.locks.Close)
	return b
}

func (b *bus) counts(a addr.Addr) string { return filepath.Join(b.dir, fmt.Sprintf("binds-%d", a)) }

// bind makes a process alive at an address.
func (b *bus) bind(a addr.Addr) error {
	if ok, err := b.locks.TryBind(uint32(a)); err != nil || !ok {
		return fmt.Errorf("bind %v: %v, %w", a, ok, err)
	}
	f, err := os.OpenFile(b.counts(a), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte{0})
	return err
}

// end ends the process.
func (b *bus) end(a addr.Addr) { b.locks.Unbind(uint32(a)) }

func (b *bus) binds(a addr.Addr) uint64 {
	st, err := os.Stat(b.counts(a))
	if err != nil {
		return 0
	}
	return uint64(st.Size())
}

func (b *bus) open() (*Registry, error) { return Open(b.dir, key, b.binds) }

func (b *bus) registry(t testing.TB) *Registry {
	t.Helper()
	r, err := b.open()
	check(t, err)
	t.Cleanup(r.Close)
	return r
}

// alive binds addresses from 1 to n.
func (b *bus) alive(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		check(t, b.bind(addr.Addr(i+1)))
	}
}

func owner(a, handle int) names.Owner { return names.Owner{Addr: addr.Addr(a), Handle: uint64(handle)} }

func request(t testing.TB, r *Registry, name string, o names.Owner, f names.Flags, is names.Standing) {
	t.Helper()
	s, err := r.Request(t.Context(), name, o, f)
	if err != nil || s != is {
		t.Errorf("request of %q by %v: %v, %v, want %v", name, o, s, err, is)
	}
}

func release(t testing.TB, r *Registry, name string, o names.Owner) {
	t.Helper()
	if err := r.Release(t.Context(), name, o); err != nil {
		t.Errorf("release of %q by %v: %v", name, o, err)
	}
}

func owners(t testing.TB, r *Registry, name string) []names.Owner {
	t.Helper()
	list, err := r.Owners(t.Context(), name)
	check(t, err)
	return list
}

// A log gathers changes.
type log struct {
	mu  sync.Mutex
	all []names.Change
}

func (l *log) add(c names.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
	return nil
}

func (l *log) get() []names.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]names.Change(nil), l.all...)
}

// watching follows names until the test ends.
func watching(t testing.TB, r *Registry, prefix string) *log {
	t.Helper()
	l := &log{}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- r.Watch(ctx, prefix, l.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrClosed) {
			t.Errorf("the watch ends with %v", err)
		}
	})
	return l
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// sound fails if the table has damage, or anything at all that should not be.
func sound(t testing.TB, r *Registry) {
	t.Helper()
	list, err := r.Check()
	check(t, err)
	for _, v := range list {
		t.Errorf("the table: %s", v.What)
	}
}
