// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A fakeT is a test that keeps what is reported to it.
type fakeT struct {
	testing.TB
	mu       sync.Mutex
	errors   []string
	logs     []string
	cleanups []func()
}

// fake runs f as a test of its own, with its cleanups, in a goroutine of its own.
func fake(t *testing.T, f func(t testing.TB)) *fakeT {
	t.Helper()
	inner := &fakeT{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer inner.end()
		f(inner)
	}()
	<-done
	return inner
}

func (f *fakeT) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

func (f *fakeT) Helper()           {}
func (f *fakeT) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *fakeT) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeT) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.errors) > 0
}

// wants fails t unless one error was reported, with all parts in it; without parts, none.
func (f *fakeT) wants(t *testing.T, parts ...string) {
	t.Helper()
	if len(parts) == 0 {
		if len(f.errors) > 0 {
			t.Errorf("reported %q, want nothing", f.errors)
		}
		return
	}
	if len(f.errors) != 1 {
		t.Fatalf("reported %q, want one error", f.errors)
	}
	for _, part := range parts {
		if !strings.Contains(f.errors[0], part) {
			t.Errorf("reported\n%s\nwant %q in it", f.errors[0], part)
		}
	}
}
