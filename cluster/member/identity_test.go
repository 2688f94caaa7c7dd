// SPDX-License-Identifier: Apache-2.0

package member

import (
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
)

func TestAnotherCertificateIsRefused(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		west.bind("0.0.3.1")
		w.join("east")
		w.same(soon, "0.0.3.1=west+")
		delete(w.hosts, "west")
		false1 := w.join("west", func(c *Config) {
			c.Fingerprint, c.Incarnation, c.Links = strings.Repeat("cd", 32), 2, []string{"elsewhere:1"}
		})
		false1.bind("0.0.3.9")
		w.quiet(90 * time.Second)
		equal(t, "east", w.hosts["east"].text(), "0.0.3.1=west+")
		st := false1.hostOf("west")
		if st.State != report.HostRefused || !strings.Contains(st.Error, "another certificate: "+west.c.Fingerprint) {
			t.Errorf("the second one says of itself %+v", st)
		}
		equal(t, "log", false1.logged("this host publishes nothing"), 2)
		west.end()
		w.until(soon+time.Second, "the second one is in", func() bool { return w.hosts["east"].text() == "0.0.3.9=west+" })
		equal(t, "its address", w.hosts["east"].routes.Hosts, "[{west elsewhere:1}]")
	})
}

// TestAKeyThatIsOverwritten: somebody writes a host's key who does not keep to the rules.
func TestAKeyThatIsOverwritten(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west, east := w.join("west"), w.join("east")
		west.bind("0.0.3.1")
		w.same(soon, "0.0.3.1=west+")
		raw := string(w.e.get(t)["hosts/west"].Value)
		w.e.put(t, "hosts/west", []byte(strings.ReplaceAll(raw, "ab", "ef")))
		w.quiet(soon)
		if h := east.hostOf("west"); h.State != report.HostRefused || !strings.Contains(h.Error, strings.Repeat("ef", 32)+", and was "+west.c.Fingerprint) {
			t.Errorf("east says %+v", h)
		}
		equal(t, "what is known stays", east.text(), "0.0.3.1=west+")
		equal(t, "log", east.logged("a host is not believed"), 1)
		w.e.put(t, "hosts/west", []byte(raw))
		w.until(3*time.Second, "all is well", func() bool {
			return east.hostOf("west").State == report.HostKnown && west.hostOf("west").State == report.HostHere
		})
		w.e.put(t, "hosts/west", []byte("{{{{"))
		w.until(3*time.Second, "west has put its key again", func() bool { return string(w.e.get(t)["hosts/west"].Value) == raw })
		equal(t, "what is known stays", east.text(), "0.0.3.1=west+")
		if list := strings.Join(east.status().Problems, "\n"); !strings.Contains(list, "hosts/west, a value that is no JSON of its kind") {
			t.Errorf("problems: %s", list)
		}
	})
}

// TestALaterIncarnationTakesOver: the earlier one was stopped, not dead, and wakes up too late.
func TestALaterIncarnationTakesOver(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		old := w.join("west")
		old.bind("0.0.3.1", "0.0.3.2")
		east := w.join("east")
		w.same(soon, "0.0.3.1=west+ 0.0.3.2=west+")
		old.p.sever(true)
		delete(w.hosts, "west")
		w.quiet(soon)
		later := w.prepare("west", func(c *Config) { c.Incarnation = 2 })
		later.bind("0.0.3.2", "0.0.3.3")
		later.start()
		w.same(soon, "0.0.3.2=west+ 0.0.3.3=west+")
		east.alwaysHad("0.0.3.2=west+")
		old.bind("0.0.3.1", "0.0.3.2", "0.0.3.4")
		old.p.sever(false)
		w.quiet(30 * time.Second)
		equal(t, "east", east.text(), "0.0.3.2=west+ 0.0.3.3=west+")
		if st := old.hostOf("west"); st.State != report.HostRefused || !strings.Contains(st.Error, "incarnation 2 of host west") {
			t.Errorf("the old one says of itself %+v", st)
		}
		old.end()
		w.quiet(soon)
		equal(t, "after the old one's end", east.text(), "0.0.3.2=west+ 0.0.3.3=west+")
	})
}

// TestADaemonIsReplaced: the first one detaches, and nobody sees its routes go.
func TestADaemonIsReplaced(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		west.bind("0.0.3.1", "0.0.3.2")
		east := w.join("east")
		w.same(soon, "0.0.3.1=west+ 0.0.3.2=west+")
		west.m.Detach()
		west.p.die()
		w.quiet(2 * time.Second)
		west.c.Incarnation++
		west.bind("0.0.3.2")
		west.start()
		w.same(soon, "0.0.3.2=west+")
		w.quiet(30 * time.Second)
		if r := east.stateOf("0.0.3.2", "west"); r.Age < 32*time.Second {
			t.Errorf("the route is %v old, as if it were another one", r.Age)
		}
		east.alwaysHad("0.0.3.2=west+")
		equal(t, "the incarnation", east.hostOf("west").Incarnation, 2)
	})
}

// TestAHostIsRenamed: until the old name's lease has gone its address is a conflict, then it is the new one's.
func TestAHostIsRenamed(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		west.bind("0.0.3.1")
		w.join("east")
		w.join("north")
		w.same(soon, "0.0.3.1=west+")
		west.kill()
		w.join("west2").bind("0.0.3.1")
		w.quiet(2 * time.Second)
		equal(t, "at first", w.hosts["west2"].stateOf("0.0.3.1", "west2").Conflict, "west")
		w.same(12*time.Second, "0.0.3.1=west2+")
	})
}

// TestALeaseIsLost: everything is put again, with another one.
func TestALeaseIsLost(t *testing.T) {
	inWorld(t, store.Limits{}, func(w *world) {
		west := w.join("west")
		west.bind("0.0.3.1")
		w.join("east")
		w.same(soon, "0.0.3.1=west+")
		before := w.e.get(t)["hosts/west"].Lease
		w.quiet(time.Minute)
		west.expire()
		w.until(6*time.Second, "it is there again", func() bool {
			kv := w.e.get(t)["routes/00000301-32"]
			return kv.Lease != 0 && kv.Lease != before && w.hosts["east"].text() == "0.0.3.1=west+"
		})
		if h := w.hosts["east"].hostOf("west"); h.State != report.HostKnown || h.Age > time.Minute {
			t.Errorf("east says %+v", h)
		}
	})
}
