// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the place of the one at path.
func replace(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// date sets the time of a file's last change.
func date(t testing.TB, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// file writes a file into a folder of the test.
func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	write(t, path, text)
	return path
}

func load[T any](t testing.TB, path string, opts ...Option) *File[T] {
	t.Helper()
	f, err := Load[T](path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantError wants an *Error of a kind that has a line and whose text has all
// parts.
func wantError(t testing.TB, err, kind error, line int, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, kind) {
		t.Errorf("error %T %v, want %v", err, err, kind)
		return
	}
	if e.Line != line {
		t.Errorf("error %q is of line %d, want %d", err, e.Line, line)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q says nothing of %q", err, part)
		}
	}
	if reason := strings.TrimPrefix(err.Error(), e.Path); len(reason) > maxReason+100 {
		t.Errorf("error of %d bytes", len(reason))
	}
}
