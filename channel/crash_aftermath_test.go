// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// aftermath judges the domain after a death: the survivors go on, the dead side
// is replaced, what was cut off is completed, and all of it works.
func aftermath(w *world, s *scenario) {
	if !s.damaged {
		violations(w, false)
	}
	if w.d != nil { // a reader that lived on finds everything without help
		w.d.Sweep()
		w.receive()
	}
	if s.redo != nil {
		s.redo(w)
	}
	w.receive()
	w.sender()
	fatal(w.t.change(func() error { return nil }))
	violations(w, false)
	w.exercise()
	w.leave()
	violations(w, true)
}

// exercise uses the lane in every way that it has.
func (w *world) exercise() {
	w.send(20, 40)
	w.batch(100, 12, 300)
	w.receive()
	w.send(1500, 1500, 1500, 6000) // grows twice
	w.receive()
	w.giveBack()
	w.send(30)
	w.receive()
	w.giveBack()
	w.receive()
	w.send(30, 3000)
	w.receiveCopies()
	fatal(w.led.settled())
}

// violations asks Check, as a process sees it that was not there. With all set
// it also counts what the bus would put right later.
func violations(w *world, all bool) {
	if _, err := os.Stat(filepath.Join(Dir(w.root, testKey), "table")); err != nil {
		return // not made yet, or destroyed
	}
	t, err := Open(w.root, testKey, Config{}, false)
	fatal(err)
	defer t.Close()
	w.rules(t)
	for _, v := range t.Check() {
		if all || !v.Note {
			panic(fmt.Sprintf("check: %v", v))
		}
	}
}

// unvisited are the steps at which no process of a scenario can die, and why.
var unvisited = map[string]string{
	"ring.watch.": "a watcher writes nothing: its steps are for the ring's own simulator",
	"ring.look":   "likewise",
}

// complete checks that at every step named in the sources some process has died.
func (s *sites) complete(t *testing.T) {
	for _, site := range sourceSites(t) {
		exempt := false
		for prefix := range unvisited {
			exempt = exempt || strings.HasPrefix(site, prefix)
		}
		if s.died[site] == 0 && !exempt {
			t.Errorf("no process died at step %q", site)
		}
	}
	t.Logf("%d sites", len(s.died))
}

var siteCall = regexp.MustCompile(`(?:invariant\.Step|invariantStep|\bstep)\("([^"]+)"\)`)

// sourceSites lists the steps of the three packages that share memory.
func sourceSites(t *testing.T) (list []string) {
	seen := map[string]bool{}
	for _, dir := range []string{".", "../shm", "../ring"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		check(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text := must(os.ReadFile(name))(t)
			for _, m := range siteCall.FindAllSubmatch(text, -1) {
				if site := string(m[1]); !seen[site] {
					seen[site] = true
					list = append(list, site)
				}
			}
		}
	}
	return list
}
