// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ address, network, at, wrong string }{
		{"/run/game.sock", "unix", "/run/game.sock", ""},
		{"./game.sock", "unix", "./game.sock", ""},
		{"unix:game.sock", "unix", "game.sock", ""},
		{"127.0.0.1:8000", "tcp", "127.0.0.1:8000", ""},
		{"[::1]:8000", "tcp", "[::1]:8000", ""},
		{":8000", "tcp", ":8000", ""},
		{"localhost", "", "", `address "localhost": want the path of a socket`},
		{"unix:", "", "", `address "unix:": want unix: and a path`},
		{"", "", "", `address "": want`},
		{"a:b:c", "", "", "want"},
	} {
		network, at, err := ParseAddress(c.address)
		if network != c.network || at != c.at || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q: %s %q, %v, want %s %q, %q", c.address, network, at, err, c.network, c.at, c.wrong)
		}
	}
}

// newConsole returns one for a runtime that lives as long as the test.
func newConsole(t testing.TB, cfg Config) (*Console, *actor.Runtime) {
	t.Helper()
	rt := actor.New(actor.Config{})
	t.Cleanup(rt.Close)
	k, err := New(rt, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k, rt
}

func TestOutsideIsRefused(t *testing.T) {
	testutil.NoLeaks(t)
	k, _ := newConsole(t, Config{})
	open, _ := newConsole(t, Config{Outside: true})
	for _, c := range []struct {
		address string
		outside bool
	}{
		{":0", true}, {"0.0.0.0:0", true}, {"[::]:0", true}, {"192.0.2.1:0", true}, {"[2001:db8::1]:0", true}, {"[::ffff:192.0.2.1]:0", true},
		{"127.0.0.1:0", false}, {"127.3.4.5:0", false}, {"[::ffff:127.0.0.1]:0", false}, {"localhost:0", false},
	} {
		ln, err := k.Listen(t.Context(), c.address)
		if errors.Is(err, ErrOutside) != c.outside || err == nil == c.outside {
			t.Errorf("%s: %v, want a refusal: %v", c.address, err, c.outside)
		}
		if err == nil {
			_ = ln.Close()
		} else if c.outside && !strings.Contains(err.Error(), `console: listen at "`+c.address+`": `) {
			t.Errorf("%s: the error %q does not name it", c.address, err)
		}
	}
	ln, err := open.Listen(t.Context(), ":0")
	if err != nil {
		t.Fatalf("with Config.Outside: %v", err)
	}
	if err := k.Serve(t.Context(), ln); !errors.Is(err, ErrOutside) {
		t.Errorf("serve a listener of somebody else: %v, want %v", err, ErrOutside)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it is still open: %v", err)
	}
	if err := k.Serve(t.Context(), newPipes()); !errors.Is(err, ErrOutside) {
		t.Errorf("serve what is neither TCP nor a Unix socket: %v, want %v", err, ErrOutside)
	}
}

func TestUnixSocketIsForOneUser(t *testing.T) {
	testutil.NoLeaks(t)
	k, _ := newConsole(t, Config{})
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	ln, err := k.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v, want a socket with the mode 0600", info, err)
	}
	if got := ln.Addr().String(); got != path {
		t.Errorf("it listens at %s, want %s", got, path)
	}
	if _, err := k.Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "somebody listens there already") {
		t.Errorf("a second one: %v", err)
	}
	if c, err := ln.Accept(); err != nil {
		t.Errorf("the question who listens: %v", err)
	} else {
		_ = c.Close()
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("%v, %v is left", list, err)
	}
}

func TestUnixSocketPlaces(t *testing.T) {
	testutil.NoLeaks(t)
	k, _ := newConsole(t, Config{})
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	old, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = old.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, wrong string }{
		{dead, ""},
		{file, "there is a file that is no socket"},
		{dir, "there is a file that is no socket"},
		{filepath.Join(dir, "missing", "s"), "no such file or directory"},
		{filepath.Join(dir, strings.Repeat("x", 120)), "want 103 at most"},
	} {
		ln, err := k.Listen(t.Context(), c.path)
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.path, err, c.wrong)
		}
		if err == nil {
			defer ln.Close()
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// TestUnixSocketOfAnother: one that has lost its place leaves the other's alone.
func TestUnixSocketOfAnother(t *testing.T) {
	testutil.NoLeaks(t)
	k, _ := newConsole(t, Config{})
	path := filepath.Join(t.TempDir(), "s")
	first, err := k.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := k.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- k.Serve(ctx, second) }()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
