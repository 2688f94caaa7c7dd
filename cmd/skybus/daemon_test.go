// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
)

// fakeDaemon answers at the socket of a domain as answer says, and counts questions.
func fakeDaemon(t *testing.T, d *skybus.Domain, answer string) *atomic.Int64 {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(d.Table().Folder(), channel.DaemonSocket))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(answer))
			c.Close()
		}
	}()
	return &asked
}

func openDomain(t *testing.T, root string, key int, relayKey uint32) *skybus.Domain {
	t.Helper()
	d, err := skybus.Open(key, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Table().SetRelayKey(relayKey); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDaemonsThatAnswerNonsense(t *testing.T) {
	testutil.NoLeaks(t)
	for answer, want := range map[string]string{
		"":                       "domain 1: the daemon's answer: EOF",
		"{}\n":                   "the relay daemon of domain 1 says nothing of itself",
		"HTTP/1.1 400\n":         "domain 1: the daemon's answer: invalid character 'H'",
		`{"error":"not now"}`:    "domain 1: the daemon refuses: not now",
		`{"status":{"pid":"x"}}`: "domain 1: the daemon's answer: json: cannot unmarshal",
	} {
		d := openDomain(t, testutil.Dir(t), 1, 7)
		fakeDaemon(t, d, answer)
		if _, err := ask(d, askStatus); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", answer, err, want)
		}
	}
}

// TestDaemonsAreToldOfRoutes tells those that follow the table, no others, and goes
// on behind one that fails.
func TestDaemonsAreToldOfRoutes(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	var errOut bytes.Buffer
	a := newApp("skybus", strings.NewReader(""), &errOut, &errOut)
	follows := fakeDaemon(t, openDomain(t, root, 1, 7), "{}\n")
	other := fakeDaemon(t, openDomain(t, root, 2, 8), "{}\n")
	openDomain(t, root, 3, 7) // no daemon
	dead := openDomain(t, root, 4, 7)
	if err := os.WriteFile(filepath.Join(dead.Table().Folder(), channel.DaemonSocket), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.tellDaemons(root, 7); err != nil || follows.Load() != 1 || other.Load() != 0 {
		t.Errorf("%v; asked %d and %d times", err, follows.Load(), other.Load())
	}
	fakeDaemon(t, openDomain(t, root, 5, 7), `{"error":"not now"}`)
	last := fakeDaemon(t, openDomain(t, root, 6, 7), "{}\n")
	err := a.tellDaemons(root, 7)
	if err == nil || err.Error() != "domain 5: the daemon refuses: not now" || last.Load() != 1 || follows.Load() != 2 {
		t.Errorf("%v; asked %d and %d times", err, follows.Load(), last.Load())
	}
	if errOut.Len() != 0 {
		t.Errorf("warned: %s", errOut.String())
	}
	if err := a.tellDaemons(filepath.Join(root, "none"), 7); err == nil {
		t.Error("a folder that is not there is no error")
	}
}
