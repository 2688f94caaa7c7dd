// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, c Config, want string) {
	t.Helper()
	e, err := Open(t.Context(), c)
	if err == nil {
		e.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func plain(dir string) Config {
	return Config{State: dir, Host: "a", Domain: 1, Size: 3, Client: "127.0.0.1:1", Peer: "127.0.0.1:2", Program: []string{"/bin/false"}}
}

func TestWhatIsNoState(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                          "want JSON",
		"{}":                        "want version, cluster, host and members",
		`{"v":1,"cluster":"c"}`:     "want version, cluster, host and members",
		strings.Repeat(" ", 70_000): "70000 bytes, want at most 65536",
		`{"v":1,"cluster":"c","host":"a","domain":1,"member":"begins","members":[{"name":"a"}]}`: "want version",
	} {
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, plain(dir), want)
		if !Remembers(dir, "a", 1) {
			t.Errorf("%.40q is passed over", text)
		}
	}
}

func TestRemembers(t *testing.T) {
	dir := t.TempDir()
	if Remembers(dir, "a", 1) {
		t.Error("an empty folder")
	}
	st := state{V: 1, Cluster: "c", Host: "a", Domain: 1, Members: []Member{{Name: "b", Client: "b:1"}}}
	if err := st.save(dir); err != nil {
		t.Fatal(err)
	}
	if !Remembers(dir, "a", 1) || Remembers(dir, "b", 1) || Remembers(dir, "a", 2) {
		t.Error("the wrong hosts are known")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// What Join says is judged, and nothing is remembered of what is refused.
func TestInvitations(t *testing.T) {
	dir := t.TempDir()
	told := &Invitation{Cluster: "games", Members: []Member{{Name: "b", Client: "b:1"}}}
	joining := func(name string, i *Invitation, err error) Config {
		c := plain(dir)
		c.Cluster, c.Join = name, func(context.Context) (*Invitation, error) { return i, err }
		return c
	}
	wantRefused(t, plain(dir), "--cluster-join HOST:PORT")
	wantRefused(t, joining("", nil, errors.New("nobody there")), "nobody there")
	wantRefused(t, joining("other", told, nil), `called "games", want "other"`)
	wantRefused(t, joining("", &Invitation{Cluster: "games", Members: []Member{{Client: "b:1", Learner: true}}}, nil), "no member that serves yet")
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	e, err := Open(t.Context(), joining("games", told, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Endpoints(); len(got) != 1 || got[0] != "b:1" || e.Health().String() != "" {
		t.Errorf("endpoints %v, member %q", got, e.Health())
	}
	e.Close()
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for _, change := range []func(c *Config){
		func(c *Config) { c.Size = 2 }, func(c *Config) { c.Program = nil }, func(c *Config) { c.Client = ":1" }, func(c *Config) { c.Peer = "a:0" },
	} {
		c := plain(t.TempDir())
		change(&c)
		wantRefused(t, c, "want")
	}
}
