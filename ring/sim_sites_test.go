// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// sides says which process comes to a site, by the beginning of its name.
var sides = map[string]string{
	"ring.tx.":    "producer",
	"ring.walk":   "producer",
	"ring.rx.":    "consumer",
	"ring.watch.": "watcher",
	"ring.look":   "watcher",
}

var stepCall = regexp.MustCompile(`invariant\.Step\("([^"]+)"\)`)

// stepSites reads from the source where the ring's code can be stopped, so that
// a new site is demanded by itself.
func stepSites(t *testing.T) (sites []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "recover.go" {
			continue // what takes up a ring after a power loss is killed by the tests of channel, which do it
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range stepCall.FindAllStringSubmatch(string(text), -1) {
			sites = append(sites, call[1])
		}
	}
	slices.Sort(sites)
	if once := slices.Compact(slices.Clone(sites)); len(once) != len(sites) {
		t.Errorf("a site stands in the source twice: %v", sites)
	}
	if len(sites) == 0 {
		t.Fatal("the source has no sites")
	}
	return sites
}

func sideOf(site string) string {
	for prefix, side := range sides {
		if strings.HasPrefix(site, prefix) {
			return side
		}
	}
	return ""
}

// Each side dies at each of its sites: the first time it comes there, and later.
func TestCrashAtEverySite(t *testing.T) {
	seed := testutil.Seed(t)
	for _, site := range stepSites(t) {
		t.Run(site, func(t *testing.T) {
			side := sideOf(site)
			if side == "" {
				t.Fatal("no process of the simulator comes here: add the site's kind to sides")
			}
			for _, nth := range []int{1, 2, 3, 5} {
				killAt(t, seed, side, site, nth)
			}
		})
	}
}

// killAt runs schedules until the side has died at its nth visit of the site.
func killAt(t *testing.T, seed uint64, side, site string, nth int) {
	t.Helper()
	for i := range uint64(40) {
		w := newWorld(seed + i)
		w.plan = &plan{actor: side, site: site, nth: nth}
		p := w.plan
		w.mood.crash = 400
		w.run(800)
		if w.err == nil {
			_ = w.finish()
		}
		if w.err != nil {
			t.Fatalf("the %s, killed at visit %d of %s, seed %d: %v\nthe last steps:\n%s", side, nth, site, seed+i, w.err, w.history())
		}
		if p.done {
			return
		}
	}
	t.Errorf("in 40 schedules the %s never came to %s for the %dth time", side, site, nth)
}

// fileSites are the steps of the model of the files around the ring.
var fileSites = map[string]bool{
	"sim.rename": true, "sim.renamed": true, "sim.moved": true, "sim.closed": true, "sim.stray": true, "sim.reopen": true,
	"sim.follow": true, "sim.unlink": true, "sim.unlinked": true, "sim.lowest": true, "sim.retire": true, "sim.idle": true,
	"sim.generation": true, "sim.recover": true,
}

// checkKilled demands that the schedules have killed somebody everywhere.
func checkKilled(t *testing.T, killed map[string]int) {
	t.Helper()
	for _, site := range append(stepSites(t), slices.Collect(maps.Keys(fileSites))...) {
		if killed[site] == 0 {
			t.Errorf("no process was ever killed at %s", site)
		}
	}
}
