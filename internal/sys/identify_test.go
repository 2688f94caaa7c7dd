// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pass waits until the kernel's clock for files has gone on.
func pass(t *testing.T, path string, since int64) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(time.Millisecond) {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := Identify(path); err != nil || id.Changed != since {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the kernel's clock for files stands still")
		}
	}
}

func TestIdentify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if id, err := Identify(path); !errors.Is(err, fs.ErrNotExist) || id != (FileID{}) {
		t.Fatalf("of no file: %v, %v", id, err)
	}
	seen := map[FileID]string{}
	identify := func(what string) {
		t.Helper()
		id, err := Identify(path)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[id]; ok {
			t.Errorf("%s: has the identity of %s", what, before)
		}
		seen[id] = what
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if open, err := IdentifyFile(f); err != nil || open != id {
			t.Errorf("%s: open it is %v, %v; by name %v", what, open, err, id)
		}
		if age := time.Since(time.Unix(0, id.Changed)); age < -time.Hour || age > time.Hour {
			t.Errorf("%s: changed %v ago", what, age)
		}
		pass(t, path+"-clock", id.Changed)
	}
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path)
	identify("made")
	write(path)
	identify("written")
	write(path + "2")
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	identify("replaced")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(path)
	identify("made anew")

	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := IdentifyFile(f); err == nil {
		t.Error("a closed file has an identity")
	}
}
