// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
)

// TestAStartWithoutTheEngine: routes are there at once, as they were last, and told to be that old.
func TestAStartWithoutTheEngine(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east", func(c *Config) { c.State = dir })
		west.bind("0.0.3.1")
		east.bind("0.0.4.1")
		if err := west.m.SetGroups(map[string]int{"g": 7}); err != nil {
			t.Fatal(err)
		}
		w.same(soon, "0.0.3.1=west+ 0.0.4.1=east+")
		w.quiet(time.Minute)
		east.kill()
		w.quiet(30 * time.Second)
		east.c.Incarnation++
		east.p = w.e.dial("east")
		east.p.sever(true)
		east.c.Provider = east.p
		east.routes = Routes{}
		m, err := Start(east.c)
		if err != nil {
			t.Fatal(err)
		}
		east.m = m
		equal(t, "at once", east.text(), "0.0.3.1=west+ 0.0.4.1=east+")
		st := east.status()
		if !st.FromDisk || !st.Stale || st.Age < 30*time.Second || st.Age > 42*time.Second {
			t.Errorf("from disk %v, stale %v, age %v", st.FromDisk, st.Stale, st.Age)
		}
		equal(t, "hosts", east.hostOf("west").State, report.HostKnown)
		equal(t, "groups", m.Group("g"), "[{west 7}]")
		equal(t, "links", east.routes.Hosts, "[{west west.example:7100}]")
		w.quiet(10 * time.Minute)
		equal(t, "much later", east.text(), "0.0.3.1=west+ 0.0.4.1=east+")
		west.bind("0.0.3.2")
		east.p.sever(false)
		w.same(3*time.Second, "0.0.3.2=west+ 0.0.4.1=east+")
		if st := east.status(); st.FromDisk || st.Stale {
			t.Errorf("with the engine: %+v", st)
		}
	})
}

// TestAWipeWhileTheDaemonWasAway: the life in the last good copy tells.
func TestAWipeWhileTheDaemonWasAway(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east", func(c *Config) { c.State = dir })
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
		w.quiet(2 * time.Second)
		east.kill()
		west.p.sever(true)
		w.e.wipe()
		w.quiet(2 * time.Second)
		east.start()
		w.quiet(5 * time.Second)
		equal(t, "west has not come back yet", east.text(), "0.0.3.1=west+")
		equal(t, "its state", east.hostOf("west").State, report.HostDoubted)
		west.p.sever(false)
		w.quiet(20 * time.Second)
		w.same(soon, "0.0.3.1=west+")
		east.alwaysHad("0.0.3.1=west+")
	})
}

// TestADamagedCopy is told of, passed over, and written anew.
func TestADamagedCopy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, StateFile("c"))
	var good []byte
	inWorld(t, store.Limits{}, func(w *world) {
		w.join("west", func(c *Config) { c.State = dir }).bind("0.0.3.1")
		w.quiet(5 * time.Second)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		good = data
	})
	mend := func(text string) []byte { // with a sum that is right
		_, state, _ := bytes.Cut([]byte(text), []byte(`"state":`))
		state = bytes.TrimSuffix(state, []byte("}"))
		return encode(&saved{V: 1, Sum: sumOf(state), State: state})
	}
	for _, c := range []struct {
		what string
		data []byte
		want string
	}{
		{"empty", nil, "no JSON of its kind"},
		{"cut off", good[:len(good)/2], "no JSON of its kind"},
		{"a bit", bytes.Replace(good, []byte("00000301"), []byte("00000300"), 1), "its checksum is"},
		{"a version", bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1), "version 2, want 1"},
		{"a key", mend(strings.Replace(string(good), "00000301", "0000030x", 1)), "want hosts/HOST, routes/PREFIX"},
		{"a value", mend(strings.Replace(string(good), `"kind":"bound"`, `"kind":"found"`, 1)), `kind "found", want`},
		{"a cluster", mend(strings.Replace(string(good), `"cluster":"c"`, `"cluster":"d"`, 1)), `it is of cluster "d", want "c"`},
		{"a life", mend(strings.Replace(string(good), `"life":"`, `"life":"x`, 1)), "want 16 hexadecimal digits"},
		{"state", []byte(`{"v":1,"sum":"` + sumOf([]byte("[]")) + `","state":[]}`), "its state is no JSON of its kind"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			inWorld(t, store.Limits{}, func(w *world) {
				west := w.join("west", func(c *Config) { c.State = dir })
				equal(t, "told", west.logged("the last good copy of the cluster is passed over"), 1)
				if list := strings.Join(west.status().Problems, "\n"); !strings.Contains(list, c.want) {
					t.Errorf("problems %q, want %q", list, c.want)
				}
				west.bind("0.0.3.1")
				w.same(soon, "0.0.3.1=west+")
				w.quiet(3 * time.Second)
				data, err := os.ReadFile(path)
				if err == nil {
					_, _, err = parseSaved(data, "c")
				}
				if err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

// TestTheCopyCannotBeWritten: it is told, and nothing else comes of it.
func TestTheCopyCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".tmp-"+StateFile("c")), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".tmp-"+StateFile("c"), "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west", func(c *Config) { c.State = dir })
		w.join("east").bind("0.0.3.1")
		w.same(soon, "0.0.3.1=east+")
		w.quiet(5 * time.Second)
		equal(t, "told", west.logged("the last good copy of the cluster cannot be written"), 1)
	})
}

// TestSavedSeldom: once a second at most, and not if nothing has changed.
func TestSavedSeldom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, StateFile("c"))
	inWorld(t, store.Limits{}, func(w *world) {
		w.join("west", func(c *Config) { c.State = dir })
		east := w.join("east")
		inode := func() os.FileInfo {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return info
		}
		w.quiet(3 * time.Second)
		last, writes := inode(), 0
		for i := range 100 {
			east.bind(fmtAddr(i))
			w.quiet(50 * time.Millisecond)
			if now := inode(); !os.SameFile(now, last) {
				last = now
				writes++
			}
		}
		if writes < 2 || writes > 6 {
			t.Errorf("written %d times within 5 s", writes)
		}
		w.quiet(3 * time.Second)
		last = inode()
		w.quiet(time.Minute)
		now := inode()
		if !os.SameFile(last, now) || time.Since(now.ModTime()) > 12*time.Second || last.Mode().Perm() != 0o600 {
			t.Errorf("a minute later: the same file %v, %v old, mode %v", os.SameFile(last, now), time.Since(now.ModTime()), last.Mode())
		}
		if _, err := os.Stat(filepath.Join(dir, ".tmp-"+StateFile("c"))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what is left: %v", err)
		}
	})
}
