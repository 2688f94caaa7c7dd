// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
)

// five makes five hosts, each with an address and a member of group g.
func five(w *world) (all string) {
	var list []string
	for i := range 5 {
		h := w.join(fmt.Sprint("h", i))
		h.bind(fmt.Sprint("0.0.0.", i+1))
		if err := h.m.SetGroups(map[string]int{"g": i + 1}); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("0.0.0.%d=h%d+", i+1, i))
	}
	all = strings.Join(list, " ")
	w.same(soon, all)
	w.until(soon, "the group is known", func() bool { return len(w.hosts["h0"].m.Group("g")) == 5 })
	return all
}

func (h *host) expire() {
	h.p.mu.Lock()
	leases := h.p.leases
	h.p.mu.Unlock()
	for _, l := range leases {
		l.st.Revoke(l.id)
	}
}

// TestManyLeasesExpireAtOnce: three of five hosts seem to die. Nobody believes it for the time of grace.
func TestManyLeasesExpireAtOnce(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		all := five(w)
		for _, name := range []string{"h0", "h1", "h2"} {
			w.hosts[name].kill() // h0 and h1 are really dead; nobody can tell
		}
		w.quiet(12 * time.Second)
		h := w.hosts["h4"]
		if keys := w.e.get(t); len(keys) != 6 {
			t.Errorf("the engine has %d keys, want those of two hosts", len(keys))
		}
		equal(t, "routes", h.text(), all)
		equal(t, "a route's state", h.stateOf("0.0.0.1", "h0").State, report.RouteDoubted)
		equal(t, "a host's state", h.hostOf("h0").State, report.HostDoubted)
		equal(t, "the group", len(h.m.Group("g")), 5)
		h.bind("0.0.0.5", "0.0.0.1")
		w.quiet(soon)
		equal(t, "what is doubted is still its host's", h.stateOf("0.0.0.1", "h4").Conflict, "h0")
		w.hosts["h2"].c.Incarnation++
		w.hosts["h2"].start()
		w.until(soon, "h2 is back", func() bool { return h.hostOf("h2").State == report.HostKnown })
		w.same(14*time.Second, "0.0.0.1=h4+ 0.0.0.3=h2+ 0.0.0.4=h3+ 0.0.0.5=h4+")
		equal(t, "the group after that", h.m.Group("g"), "[{h3 4} {h4 5}]")
		equal(t, "the host after that", h.hostOf("h0").State, "")
	})
}

// TestLeasesExpireOneByOne: what was believed of the first deaths is taken back when it turns out that there
// are too many.
func TestLeasesExpireOneByOne(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		all := five(w)
		for i := range 3 {
			h := w.hosts[fmt.Sprint("h", i)]
			h.p.sever(true)
			h.expire()
			w.quiet(2 * time.Second)
			if i == 0 {
				equal(t, "a single death is believed", strings.Contains(w.hosts["h4"].text(), "=h0"), false)
			}
		}
		equal(t, "routes", w.hosts["h4"].text(), all)
		for i := range 3 {
			w.hosts[fmt.Sprint("h", i)].p.sever(false)
		}
		w.quiet(20 * time.Second)
		w.same(soon, all)
		equal(t, "a route's state", w.hosts["h4"].stateOf("0.0.0.1", "h0").State, report.RouteActive)
	})
}

// TestManyLeave: hosts that say so are believed, however many.
func TestManyLeave(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		five(w)
		for i := range 4 {
			w.hosts[fmt.Sprint("h", i)].end()
		}
		w.same(soon, "0.0.0.5=h4+")
		equal(t, "the group", w.hosts["h4"].m.Group("g"), "[{h4 5}]")
	})
}

// TestAnotherLife: an engine is wiped. Nothing vanishes but what does not come back.
func TestAnotherLife(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		all := five(w)
		before := map[string]int{}
		for name, h := range w.hosts {
			before[name] = len(h.history)
		}
		w.hosts["h1"].kill()
		w.e.wipe()
		w.quiet(5 * time.Second)
		for name, h := range w.hosts {
			if h.m == nil {
				continue
			}
			equal(t, name, h.text(), all)
			equal(t, name+"'s changes", h.history[before[name]:], "[]")
		}
		equal(t, "who is back", w.hosts["h0"].hostOf("h2").State, report.HostKnown)
		equal(t, "who is not", w.hosts["h0"].hostOf("h1").State, report.HostDoubted)
		w.same(12*time.Second, "0.0.0.1=h0+ 0.0.0.3=h2+ 0.0.0.4=h3+ 0.0.0.5=h4+")
	})
}

// TestDoubtsWaitForTheEngine: while nobody can say that he is there, nothing is believed to be gone.
func TestDoubtsWaitForTheEngine(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		all := five(w)
		for i := range 3 {
			w.hosts[fmt.Sprint("h", i)].p.sever(true)
			w.hosts[fmt.Sprint("h", i)].expire()
		}
		w.quiet(time.Second)
		for _, h := range w.hosts {
			h.p.sever(true)
		}
		w.quiet(time.Minute)
		equal(t, "routes after a minute", w.hosts["h4"].text(), all)
		w.hosts["h4"].p.sever(false)
		w.quiet(5 * time.Second)
		equal(t, "routes before the others are back", w.hosts["h4"].text(), all)
		for _, h := range w.hosts {
			h.p.sever(false)
		}
		w.quiet(20 * time.Second)
		w.same(soon, all)
	})
}

// TestALowerRevision: what the engine did in its last life is not waited for in the next one, where revisions
// may begin below.
func TestALowerRevision(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
		key := "routes/00000301-32"
		west.m.mu.Lock()
		west.m.flying[key] = 1 << 63
		west.m.landed = append(west.m.landed, landing{1 << 63, []string{key}})
		west.m.mu.Unlock()
		west.bind()
		w.quiet(soon)
		equal(t, "while the engine seems to be behind", east.text(), "0.0.3.1=west+")
		w.e.wipe()
		w.quiet(30 * time.Second)
		equal(t, "in another life", fmt.Sprint(east.text(), len(w.e.get(t))), "2")
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
		west.bind()
		w.same(soon, "")
		late := cluster.Batch{Do: []cluster.Op{cluster.Delete(Root("c") + key)}}
		west.m.mu.Lock()
		west.m.flying[key] = 0
		west.m.batches++
		life := west.m.mirror.life
		west.m.mu.Unlock()
		west.m.committed(&late, nil, life+1, 1<<63, nil)
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
	})
}

// TestGarbageInTheKeyOfADeadHost does not keep it alive.
func TestGarbageInTheKeyOfADeadHost(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
		west.kill()
		w.e.put(t, "hosts/west", []byte("x"))
		w.quiet(2 * time.Second)
		equal(t, "at first", east.hostOf("west").State+" "+east.text(), "doubted 0.0.3.1=west+")
		w.quiet(25 * time.Second)
		equal(t, "later", east.hostOf("west").State+east.text(), "")
	})
}

// TestTheEngineForgets: a watch that is cut for long begins with a snapshot again.
func TestTheEngineForgets(t *testing.T) {
	inWorld(t, store.Limits{LogEvents: 20}, func(w *world) {
		all := five(w)
		h := w.hosts["h4"]
		h.p.sever(true)
		w.quiet(2 * time.Second)
		h0 := w.hosts["h0"]
		for i := range 40 {
			h0.bind("0.0.0.1", fmt.Sprint("0.0.1.", i+1))
			w.quiet(100 * time.Millisecond)
		}
		h0.bind("0.0.0.1")
		w.hosts["h3"].end()
		w.quiet(200 * time.Millisecond)
		h.p.sever(false)
		w.quiet(2 * time.Second)
		equal(t, "h3 has left unheard, and may just not have been heard yet", h.text(), all)
		w.same(14*time.Second, strings.Replace(all, "0.0.0.4=h3+ ", "", 1))
	})
}

// TestADeathThatWasNone: a host that is back does not count as dead any more.
func TestADeathThatWasNone(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		w.join("west").bind("0.0.3.1")
		w.join("east").bind("0.0.4.1")
		w.join("north").bind("0.0.5.1")
		all := "0.0.3.1=west+ 0.0.4.1=east+ 0.0.5.1=north+"
		w.same(soon, all)
		w.hosts["west"].expire()
		w.quiet(5 * time.Second)
		w.same(soon, all)
		w.hosts["east"].p.sever(true)
		w.hosts["east"].expire()
		w.quiet(soon)
		equal(t, "of three one has died", w.hosts["west"].text(), "0.0.3.1=west+ 0.0.5.1=north+")
	})
}

// TestDeathsInASnapshot: a mirror is told by snapshots alone.
func TestDeathsInASnapshot(t *testing.T) {
	kv := func(key, value string) cluster.Event {
		return cluster.Event{KV: cluster.KV{Key: "/" + key, Value: []byte(value), Created: 1, Modified: 1}}
	}
	host := func(name, state string) cluster.Event {
		return kv("hosts/"+name, `{"v":1,"links":["h:1"],"incarnation":1,"template":"8.8.8.8","state":"`+state+`"}`)
	}
	again := func(ev cluster.Event) cluster.Event {
		ev.Created, ev.Modified = 2, 2
		return ev
	}
	a, b, c, left := host("a", stateHere), host("b", stateHere), host("c", stateHere), host("b", stateLeft)
	ra, rb := kv("routes/00000001-32", `{"v":1,"host":"a","kind":"bound"}`), kv("routes/00000002-32", `{"v":1,"host":"b","kind":"bound"}`)
	for _, test := range []struct {
		name        string
		first, then []cluster.Event
		life        uint64
		want        int // entries
		doubts      int
	}{
		{"one of three", []cluster.Event{a, b, c, ra, rb}, []cluster.Event{a, c, ra}, 1, 3, 0},
		{"one of two", []cluster.Event{a, b, ra, rb}, []cluster.Event{a, ra}, 1, 2, 0},
		{"two of three", []cluster.Event{a, b, c, ra, rb}, []cluster.Event{c}, 1, 5, 4},
		{"two of three, one had said so", []cluster.Event{a, left, c, ra, rb}, []cluster.Event{c}, 1, 1, 0},
		{"another life", []cluster.Event{a, b, c, ra, rb}, []cluster.Event{a, ra}, 2, 5, 3},
		{"another life, one had said so", []cluster.Event{a, left, c, ra, rb}, []cluster.Event{a}, 2, 3, 2},
		{"back without its route", []cluster.Event{a, b, ra, rb}, []cluster.Event{a, again(b), ra}, 1, 4, 1},
		{"a route alone", []cluster.Event{a, b, c, ra, rb}, []cluster.Event{a, b, c, ra}, 1, 4, 0},
	} {
		m := newMirror("/", time.Minute, func(key string, err error) { t.Errorf("%s: %v", key, err) })
		now := time.Unix(1000, 0)
		m.update(&cluster.Update{Snapshot: true, Events: test.first, Revision: 1, Life: 1}, now)
		m.update(&cluster.Update{Snapshot: true, Events: test.then, Revision: 2, Life: test.life}, now)
		equal(t, test.name, fmt.Sprint(len(m.entries), " entries ", len(m.doubts), " doubts"), fmt.Sprint(test.want, " entries ", test.doubts, " doubts"))
		m.update(&cluster.Update{Snapshot: true, Events: test.then, Revision: 3, Life: test.life}, now.Add(30*time.Second))
		equal(t, test.name+", again", len(m.doubts), test.doubts)
		m.believe(now.Add(61 * time.Second))
		equal(t, test.name+", after the grace", fmt.Sprint(len(m.entries), len(m.doubts)), fmt.Sprint(len(test.then), 0))
	}
}
