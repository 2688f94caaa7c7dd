// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/route"
)

// soon is how long the cluster has to learn of something: in a bubble only timers count.
const soon = time.Second

func TestWhatIsBoundIsKnownEverywhere(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		w.join("north")
		west.bind("0.0.3.1", "0.0.3.2")
		east.bind("0.0.4.1")
		w.same(soon, "0.0.3.1=west+ 0.0.3.2=west+ 0.0.4.1=east+")
		west.bind("0.0.3.2")
		w.same(soon, "0.0.3.2=west+ 0.0.4.1=east+")
		equal(t, "hosts", east.routes.Hosts, []route.Host{{Name: "north", Address: "north.example:7100"}, {Name: "west", Address: "west.example:7100"}})
		late := w.join("south")
		w.same(soon, "0.0.3.2=west+ 0.0.4.1=east+")
		w.until(soon, "all know the newcomer", func() bool { return west.hostOf("south").State == report.HostKnown })
		equal(t, "peers", late.m.Peers(2), "[{south [south.example:7100]} {east [east.example:7100]}]")
		if h := west.hostOf("east"); h.Incarnation != 1 || h.Routes != 1 || h.Template != "8.8.8.8" || h.Fingerprint != west.c.Fingerprint {
			t.Errorf("west says of east: %+v", h)
		}
		east.end()
		w.same(soon, "0.0.3.2=west+")
		equal(t, "a host that has left", west.hostOf("east").State, "")
	})
}

func TestConfiguredPrefixes(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		own := rule(t, "0.0.3.*", "west")
		own.Release, own.Priority, own.Desc = route.Stored, 5, "arena"
		west := w.join("west", func(c *Config) {
			c.Hosts = []route.Host{{Name: "east", Address: "10.0.0.2:1"}}
			c.Rules = []route.Rule{rule(t, "0.0.9.9", "east"), own}
		})
		equal(t, "at once", west.text(), "0.0.9.9=east 0.0.3.*=west")
		east := w.join("east")
		east.bind("0.0.9.9", "0.0.3.7")
		w.until(soon, "east has the prefix", func() bool { return east.text() == "0.0.3.*=west+ 0.0.3.7=east+ 0.0.9.9=east+" })
		if r := east.routes.Rules[0]; r.Release != route.Stored || r.Priority != 5 || r.Desc != "arena" {
			t.Errorf("east got %+v", r)
		}
		w.until(soon, "west has the address", func() bool { return west.text() == "0.0.9.9=east 0.0.3.*=west 0.0.3.7=east+" })
		equal(t, "configured here", west.routes.Hosts, []route.Host{{Name: "east", Address: "10.0.0.2:1"}})
		var states []string
		for _, r := range west.status().Routes {
			states = append(states, fmt.Sprint(r.Prefix, " ", r.Host, " ", r.Source, " ", r.State))
		}
		equal(t, "states", strings.Join(states, ", "), "0.0.3.* west configured active, 0.0.3.7 east published active, "+
			"0.0.9.9 east configured active, 0.0.9.9 east published shadowed")
		if err := west.m.Reload(Settings{Rules: []route.Rule{rule(t, "0.0.5.*", "west")}}); err != nil {
			t.Fatal(err)
		}
		w.until(soon, "east has the other prefix", func() bool { return east.text() == "0.0.3.7=east+ 0.0.5.*=west+ 0.0.9.9=east+" })
		w.until(soon, "west has it, too", func() bool { return west.text() == "0.0.5.*=west 0.0.3.7=east+ 0.0.9.9=east+" })
		if err := west.m.Reload(Settings{Rules: []route.Rule{rule(t, "0.0.6.*", "nobody")}, Policy: Policy{{}}}); err == nil ||
			!strings.Contains(err.Error(), `host "nobody" is not among`) || !strings.Contains(err.Error(), "policy entry 1") {
			t.Errorf("a reload with mistakes: %v", err)
		}
	})
}

func TestABindThatTheConfigurationHasToo(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west", func(c *Config) { c.Rules = []route.Rule{rule(t, "0.0.3.1", "west")} })
		east := w.join("east")
		west.bind("0.0.3.1")
		w.until(soon, "known", func() bool { return east.text() == "0.0.3.1=west+" })
		west.bind()
		w.quiet(soon)
		equal(t, "after the bind has ended", east.text(), "0.0.3.1=west+")
		west.bind("0.0.3.1")
		if err := west.m.Reload(Settings{}); err != nil {
			t.Fatal(err)
		}
		w.quiet(soon)
		equal(t, "bound, not configured", east.text(), "0.0.3.1=west+")
		west.bind()
		w.same(soon, "")
	})
}

func TestTheSameAddressOnTwoHosts(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		west.bind("0.0.3.1")
		east := w.join("east")
		w.same(soon, "0.0.3.1=west+")
		east.bind("0.0.3.1", "0.0.3.2")
		w.same(soon, "0.0.3.1=west+ 0.0.3.2=east+")
		r := east.stateOf("0.0.3.1", "east")
		equal(t, "the second one's route", r.State+" with "+r.Conflict, "conflict with west")
		text := "address 0.0.3.1 is bound on host west (west.example:7100)"
		equal(t, "log", east.logged(text), 1)
		equal(t, "problems", east.status().Problems, "[another host was first: "+text+"]")
		w.quiet(3*time.Minute + 2*time.Second)
		equal(t, "log after three minutes", east.logged(text), 4)
		west.bind()
		w.same(soon, "0.0.3.1=east+ 0.0.3.2=east+")
		equal(t, "told that it is over", east.logged("a conflict is over"), 1)
		equal(t, "state", east.stateOf("0.0.3.1", "east").State, report.RouteActive)
	})
}

func TestAConflictInTheConfiguration(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west", func(c *Config) { c.Rules = []route.Rule{rule(t, "0.0.3.*", "west")} })
		w.quiet(soon)
		east := w.join("east", func(c *Config) { c.Rules = []route.Rule{rule(t, "0.0.3.*", "east")} })
		w.quiet(soon)
		equal(t, "west", west.text(), "0.0.3.*=west")
		equal(t, "east's own configuration is in force", east.text(), "0.0.3.*=east")
		r := east.stateOf("0.0.3.*", "east")
		equal(t, "state", r.State+" with "+r.Conflict, "conflict with west")
		equal(t, "log", east.logged("prefix 0.0.3.* is configured on host west"), 1)
	})
}

func TestTheEngineIsAway(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		west.bind("0.0.3.1")
		east.bind("0.0.4.1")
		both := "0.0.3.1=west+ 0.0.4.1=east+"
		w.same(soon, both)
		for _, h := range w.hosts {
			h.p.sever(true)
		}
		w.quiet(time.Minute)
		west.bind("0.0.3.1", "0.0.3.2")
		w.quiet(soon)
		if st := east.status(); !st.Stale || st.Age < 58*time.Second || st.FromDisk || st.Engine.Reached {
			t.Errorf("after a minute east says %+v", st)
		}
		equal(t, "east's routes", east.text(), both)
		equal(t, "what is new at home", west.stateOf("0.0.3.2", "west").State, report.RoutePending)
		for _, h := range w.hosts {
			h.p.sever(false)
		}
		w.same(3*time.Second, "0.0.3.1=west+ 0.0.3.2=west+ 0.0.4.1=east+")
		if st := east.status(); st.Stale || st.Age != 0 {
			t.Errorf("back again, east says %+v", st)
		}
		east.alwaysHad("0.0.3.1=west+")
		east.alwaysHad("0.0.4.1=east+")
	})
}

func TestAHostDiesWithoutAWord(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		w.join("west").bind("0.0.3.1")
		w.join("east").bind("0.0.4.1")
		w.join("north").bind("0.0.5.1")
		w.same(soon, "0.0.3.1=west+ 0.0.4.1=east+ 0.0.5.1=north+")
		w.hosts["west"].kill()
		w.quiet(6 * time.Second)
		equal(t, "within the TTL", w.hosts["east"].text(), "0.0.3.1=west+ 0.0.4.1=east+ 0.0.5.1=north+")
		w.same(7*time.Second, "0.0.4.1=east+ 0.0.5.1=north+")
		w.quiet(14 * time.Second)
		w.hosts["north"].kill()
		w.same(13*time.Second, "0.0.4.1=east+") // of two it is believed at once
	})
}

func TestApplyFails(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		east.mu.Lock()
		east.fail = errors.New("no space left")
		east.mu.Unlock()
		west.bind("0.0.3.1")
		w.quiet(10 * time.Second)
		equal(t, "told", east.logged("no space left"), 1)
		east.mu.Lock()
		east.fail = nil
		east.mu.Unlock()
		w.same(3*time.Second, "0.0.3.1=west+")
	})
}

func TestApplyIsCalledSeldom(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		east := w.join("east")
		w.e.put(t, "hosts/far", []byte(`{"v":1,"links":["h:1"],"incarnation":1,"template":"8.8.8.8","state":"here"}`))
		w.quiet(soon)
		before := len(east.history)
		for i := range 500 {
			w.e.put(t, routeKey(addr.Exact(addr.Addr(1+i))), []byte(`{"v":1,"host":"far","kind":"bound"}`))
			time.Sleep(2 * time.Millisecond)
		}
		w.until(soon, "all are known", func() bool { return strings.Count(east.text(), "=far+") == 500 })
		if n := len(east.history) - before; n < 20 || n > 52 {
			t.Errorf("applied %d times within 1 s, want every 20 ms", n)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	e := newEngine(t, store.Limits{})
	good := Config{Provider: e.dial("x"), Cluster: "c", Host: "west", Links: []string{"h:1"}, Incarnation: 1}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Provider = nil }, "no Provider"},
		{func(c *Config) { c.Cluster = "a/b" }, `cluster "a/b": want 1 to 63`},
		{func(c *Config) { c.Host = "" }, `host "": want 1 to 63`},
		{func(c *Config) { c.Links = nil }, "0 links, want 1 to 8"},
		{func(c *Config) { c.Links = []string{"nowhere"} }, `address "nowhere" has no port`},
		{func(c *Config) { c.Incarnation = 0 }, "incarnation 0"},
		{func(c *Config) { c.Fingerprint = "abc" }, `fingerprint "abc", want 64`},
		{func(c *Config) { c.TTL = time.Millisecond }, "TTL 1ms, want 100ms to 1h"},
		{func(c *Config) { c.Quota.Groups = -1 }, "no bound below 0"},
		{func(c *Config) { c.Rules = []route.Rule{{Prefix: addr.Exact(1), Host: "x"}} }, `host "x" is not among`},
		{func(c *Config) { c.Policy = Policy{{Hosts: []string{"["}}} }, `glob "["`},
		{func(c *Config) { c.State = "/dev/null" }, "it is no folder"},
		{func(c *Config) { c.State = "/dev/shm/nowhere-at-all" }, "no such file"},
		{func(c *Config) { c.Apply = func(Routes) error { return errors.New("no room") } }, "no room"},
	} {
		config := good
		c.change(&config)
		if m, err := Start(config); m != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, %v; want %q", m, err, c.want)
		}
	}
}
