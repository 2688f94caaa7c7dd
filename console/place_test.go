// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestDir(t *testing.T) {
	tmp := fmt.Sprintf("/tmp/skybus-%d", os.Geteuid())
	for _, c := range []struct {
		run, xdg, dir string
		looked        []string // first
	}{
		{"/run/arena", "/run/user/7", "/run/arena", []string{"/run/arena"}},
		{"", "/run/user/7", "/run/user/7/skybus", []string{"/run/user/7/skybus", tmp}},
		{"", "", tmp, []string{tmp}},
	} {
		t.Setenv(EnvRun, c.run)
		t.Setenv("XDG_RUNTIME_DIR", c.xdg)
		got := Dirs()
		if Dir() != c.dir || len(got) < len(c.looked) || !slices.Equal(got[:len(c.looked)], c.looked) {
			t.Errorf("%+v: %s, and looked for in %v", c, Dir(), got)
		}
		if c.run != "" && len(got) > 1 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
			t.Errorf("%+v: looked for in %v", c, got)
		}
	}
	t.Setenv(EnvRun, ".")
	if here, err := os.Getwd(); err != nil || Dir() != here || Dirs()[0] != here {
		t.Errorf("a dot is %s, want %s", Dir(), here)
	}
}

// TestListenHere: several consoles of a process have a socket each, and what a dead
// process has left is cleared away.
func TestListenHere(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(t.TempDir(), "run")
	t.Setenv(EnvRun, dir)
	if list, err := Sockets(dir); err != nil || len(list) > 0 {
		t.Fatalf("where no folder is: %v, %v", list, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	leave(t, filepath.Join(dir, "1.sock"))
	leave(t, filepath.Join(dir, "other"))
	if err := os.WriteFile(filepath.Join(dir, "file.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "0.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close() // nobody accepts there, as of a process that is stopped
	k, _ := newConsole(t, Config{})
	want := []string{busy.Addr().String()}
	for _, end := range []string{"", "-2", "-3"} {
		ln, err := k.Listen(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		path := filepath.Join(dir, strconv.Itoa(os.Getpid())+end+".sock")
		if want = append(want, path); ln.Addr().String() != path {
			t.Errorf("it listens at %v, want %s", ln.Addr(), path)
		}
	}
	slices.Sort(want)
	if got, err := Sockets(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("the sockets are %v, %v, want %v", got, err, want)
	}
	for _, name := range []string{"other", "file.sock"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("what is no console's: %v", err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
}

// leave makes a socket on which nobody listens.
func leave(t *testing.T, path string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
}

func TestFoldersOfOthers(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	made := func(name string, mode fs.FileMode) string {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	file := at("file")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	mine := made("mine", 0o700)
	if err := os.Symlink(mine, at("link")); err != nil {
		t.Fatal(err)
	}
	k, _ := newConsole(t, Config{})
	for _, c := range []struct{ dir, wrong string }{
		{mine, ""},
		{at("new"), ""},
		{made("shown", 0o755), "has the mode 0755: want 0700"},
		{made("written", 0o720), "has the mode 0720: want 0700"},
		{file, "is no folder"},
		{at("link"), "is no folder"},
		{at("missing/new"), "no such file or directory"},
	} {
		t.Setenv(EnvRun, c.dir)
		ln, err := k.Listen(t.Context(), "")
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.wrong)
		}
		if err == nil {
			_ = ln.Close()
		}
		_, err = Sockets(c.dir)
		if wrong := c.wrong != "" && c.dir != at("missing/new"); (err != nil) != wrong || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("look into %s: %v, want %q", c.dir, err, c.wrong)
		}
	}
}
