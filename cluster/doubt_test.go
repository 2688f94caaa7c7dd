// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// A crier tells a cache what an engine would. Each client has one claim, on the name that is its number.
type crier struct {
	c    *cache
	rev  uint64
	now  time.Time
	list []Event // of the update that is being put together
}

func newCrier() *crier {
	c := &crier{c: newCache("/n/", 13*time.Second), now: time.Now()}
	c.c.update(Update{Snapshot: true, Revision: 1, Life: 7})
	return c
}

func claimOf(id int) string {
	return fmt.Sprintf("/n/n%d/%s", id, formatOwner(names.Owner{Addr: addr.Addr(id), Handle: 1}))
}

func (c *crier) add(deleted bool, key, value string, id int) {
	c.list = append(c.list, Event{KV: KV{Key: key, Value: []byte(value), Lease: LeaseID(id), Created: c.rev, Modified: c.rev}, Deleted: deleted})
}

// do says in one revision what words say: "+1@west" a client comes, "+1" one without a host, "~1" it leaves, "-1" its
// keys go.
func (c *crier) do(words string) {
	c.rev++
	for _, word := range strings.Fields(words) {
		at, host, _ := strings.Cut(word[1:], "@")
		var id int
		if _, err := fmt.Sscan(at, &id); err != nil {
			panic(err)
		}
		presence := presenceKey("/n/", LeaseID(id))
		switch word[0] {
		case '+':
			c.add(false, presence, string(presenceValue(presenceHere, host)), id)
			c.add(false, claimOf(id), `{"v":1,"pos":0}`, id)
		case '~':
			left, _ := PresenceLeft([]byte("here " + host))
			c.add(false, presence, string(left), id)
		case '-':
			c.add(true, claimOf(id), "", 0)
			c.add(true, presence, "", 0)
		}
	}
}

// tell tells what was said since the last one as one update.
func (c *crier) tell() {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	c.c.apply(c.list, c.now)
	c.c.believe(c.now)
	c.list = nil
}

// named returns the numbers of the clients whose claims count, those in doubt with a question mark.
func (c *crier) named() string {
	var list []string
	for id := range 20 {
		q, _ := c.c.lookup(fmt.Sprint("n", id))
		switch {
		case len(q) == 0:
		case q[0].modified == 0:
			list = append(list, fmt.Sprint(id, "?"))
		default:
			list = append(list, fmt.Sprint(id))
		}
	}
	return strings.Join(list, " ")
}

// TestWhichDeathsAreBelieved has updates, each some revisions that are divided by bars, and after them
// what counts.
func TestWhichDeathsAreBelieved(t *testing.T) {
	for _, test := range []struct {
		title   string
		updates []string
		want    string
	}{
		{"a process says that it leaves", []string{"+1@west +2@west +3@east", "~1@west", "-1"}, "2 3"},
		{"one of two hosts", []string{"+1@west +2@west +3@east", "-1 -2"}, "3"},
		{"one of three hosts", []string{"+1@west +2@east +3@north", "-1"}, "2 3"},
		{"two of three at once", []string{"+1@west +2@east +3@north", "-1 | -2"}, "1? 2? 3"},
		{"two of three one after the other", []string{"+1@west +2@east +3@north", "-1", "-2"}, "1? 2? 3"},
		{"two of four", []string{"+1@west +2@east +3@north +4@south", "-1 | -2"}, "3 4"},
		{"three of five", []string{"+1@a +2@b +3@c +4@d +5@e", "-1", "-2", "-3"}, "1? 2? 3? 4 5"},
		{"all of two", []string{"+1@west +2@east", "-1 | -2"}, "1? 2?"},
		{"back before the other dies", []string{"+1@west +2@east", "-1 | +3@west", "-2"}, "1? 2? 3"},
		{"both are back in the same update", []string{"+1@west +2@east", "-1 | -2 | +3@east +4@west"}, "1? 2? 3 4"},
		{"and have put the same again", []string{"+1@west +2@east", "-1 | -2 | +1@west"}, "1 2?"},
		{"many processes of one host", []string{"+1@west +2@west +3@west +4@west +5@east", "-1 -2 -3 -4"}, "5"},
		{"a host has another lease before the old one ends", []string{"+1@west +2@east", "+3@west", "-1", "-2"}, "3"},
		{"a part of a host", []string{"+1@west +2@west +3@east +4@north", "-1", "-3"}, "2 4"},
		{"many leave", []string{"+1@a +2@b +3@c", "~1@a ~2@b", "-1 | -2"}, "3"},
		{"without hosts, two of three", []string{"+1 +2 +3", "-1 | -2"}, "3"},
		{"without hosts, three of five", []string{"+1 +2 +3 +4 +5", "-1 | -2 | -3"}, "1? 2? 3? 4 5"},
		{"without hosts, three of six", []string{"+1 +2 +3 +4 +5 +6", "-1 | -2 | -3"}, "4 5 6"},
		{"a host and two without", []string{"+1@west +2 +3 +4", "-1", "-2", "-3"}, "1? 2? 3? 4"},
		{"somebody got it meanwhile", []string{"+1@west +2@east +3@north", "-1", "+1@north", "-2"}, "1 2? 3"},
		{"comes and goes in one update", []string{"+1@west +2@east", "+3@north | -3 | ~2@east | -2"}, "1"},
	} {
		c := newCrier()
		for _, u := range test.updates {
			for _, rev := range strings.Split(u, "|") {
				c.do(rev)
			}
			c.tell()
		}
		if got := c.named(); got != test.want {
			t.Errorf("%s: %q, want %q", test.title, got, test.want)
		}
		c.now = c.now.Add(14 * time.Second)
		c.tell()
		if got := c.named(); strings.Contains(got, "?") || len(c.c.ghosts) > 0 {
			t.Errorf("%s: after the time of grace %q, %d ghosts", test.title, got, len(c.c.ghosts))
		}
	}
}

// Deaths that are far apart are believed one by one.
func TestDeathsThatAreFarApart(t *testing.T) {
	c := newCrier()
	c.do("+1@west +2@east +3@north")
	c.do("-1")
	c.tell()
	c.now = c.now.Add(14 * time.Second)
	c.do("-2")
	c.tell()
	if got := c.named(); got != "3" {
		t.Errorf("got %q", got)
	}
}

// Snapshots of the same life tell of deaths, too; those of another one of none.
func TestSnapshotsAndDeaths(t *testing.T) {
	for _, test := range []struct {
		title, were, are string
		life             uint64
		want             string
	}{
		{"one of three hosts", "+1@west +2@east +3@north", "+2@east +3@north", 7, "2 3"},
		{"two of three hosts", "+1@west +2@east +3@north", "+3@north", 7, "1? 2? 3"},
		{"another life", "+1@west +2@east +3@north", "+2@east", 8, "1? 2 3?"},
		{"left before", "+1@west +2@east +3@north ~1@west ~2@east", "+3@north", 7, "3"},
	} {
		c := newCrier()
		c.do(test.were)
		c.tell()
		c.do(test.are)
		c.c.update(Update{Snapshot: true, Events: c.list, Revision: c.rev, Life: test.life})
		if got := c.named(); got != test.want {
			t.Errorf("%s: %q, want %q", test.title, got, test.want)
		}
	}
}

func TestPresences(t *testing.T) {
	for value, want := range map[string]presence{
		"here": {host: ":a"}, "left": {host: ":a", left: true}, "here west": {host: "west"}, "left west": {host: "west", left: true},
		"here a b": {host: ":a"}, "here :b": {host: ":a"}, "": {host: ":a"}, "here " + strings.Repeat("x", 64): {host: ":a"},
	} {
		if got := parsePresence(10, []byte(value)); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
	for value, want := range map[string]string{"here": "left", "here west": "left west", "left west": "left west"} {
		if got, here := PresenceLeft([]byte(value)); string(got) != want || here != strings.HasPrefix(value, "here") {
			t.Errorf("%q: %q, %v", value, got, here)
		}
	}
}

// A copy is as old as what told it.
func TestStaleUpdates(t *testing.T) {
	c := newCrier()
	n := &Names{cache: c.c}
	c.c.update(Update{Revision: 2, Life: 7, Age: time.Hour})
	if d := n.Stale(); d < time.Hour {
		t.Errorf("stale for %v", d)
	}
	c.c.update(Update{Revision: 3, Life: 7})
	if d := n.Stale(); d != 0 {
		t.Errorf("stale for %v", d)
	}
}
