// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/names"
)

// mayHave has a glob of names for each host; the rest may have none.
type mayHave struct {
	globs map[string]string
	most  int
}

func (m mayHave) Name(host, name string) error {
	if ok, err := path.Match(m.globs[host], name); err != nil || !ok {
		return fmt.Errorf("the policy does not let host %s have name %q", host, name)
	}
	return nil
}

func (m mayHave) MaxNames(string) int { return m.most }

func TestPolicyOfNames(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *testNet)
	}{
		{"what a host asks for itself", policyAtHome}, {"what other hosts have", policyOfOthers}, {"how many", policyOfNumbers},
		{"claims that are put again", policyAfterALoss}, {"over a restart", policyOverARestart},
		{"presences come behind claims in a snapshot", policyOfASnapshot},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				defer n.close()
				test.run(t, n)
			})
		})
	}
}

func forbidden(t *testing.T, n *cluster.Names, name, why string) {
	t.Helper()
	_, err := n.Request(t.Context(), name, owner(0), 0)
	if !errors.Is(err, cluster.ErrForbidden) || !strings.Contains(fmt.Sprint(err), why) {
		t.Errorf("%s: %v; want %q", name, err, why)
	}
}

func policyAtHome(t *testing.T, n *testNet) {
	west := n.host("west")
	a, _ := west.process()
	request(t, a, "bank", owner(0), 0, names.Owns)
	west.r.SetPolicy(mayHave{globs: map[string]string{"west": "arena.*"}})
	time.Sleep(10 * time.Second)
	wantOwners(t, a, "bank")
	forbidden(t, a, "bank", `the policy does not let host west have name "bank"`)
	request(t, a, "arena.1", owner(0), 0, names.Owns)
	west.r.SetPolicy(nil)
	time.Sleep(10 * time.Second)
	request(t, a, "bank", owner(1), 0, names.Owns)
	wantOwners(t, a, "arena.1", owner(0))
}

// A host that keeps to another policy, or to none, is not believed more than it may have.
func policyOfOthers(t *testing.T, n *testNet) {
	west, east, north := n.host("west"), n.host("east"), n.host("north")
	a, _ := west.process()
	b, _ := east.process()
	c, _ := north.process()
	west.r.SetPolicy(mayHave{globs: map[string]string{"west": "*", "north": "bank"}})
	request(t, b, "bank", owner(1), 0, names.Owns)
	request(t, c, "bank", owner(2), 0, names.Waits)
	request(t, c, "inn", owner(2), 0, names.Owns)
	time.Sleep(10 * time.Second)
	wantOwners(t, b, "bank", owner(1), owner(2))
	wantOwners(t, a, "bank", owner(2))
	wantOwners(t, a, "inn")
	if h := west.r.Health(); h.Unreadable != 2 {
		t.Errorf("%d keys are passed over, want 2", h.Unreadable)
	}
	request(t, a, "inn", owner(0), 0, names.Owns)
	west.r.SetPolicy(nil)
	time.Sleep(10 * time.Second)
	wantOwners(t, a, "bank", owner(1), owner(2))
	if h := west.r.Health(); h.Unreadable != 0 {
		t.Errorf("%d keys are passed over, want none", h.Unreadable)
	}
}

func policyOfNumbers(t *testing.T, n *testNet) {
	west := n.host("west")
	a, _ := west.process()
	b, _ := west.process()
	west.r.SetPolicy(mayHave{globs: map[string]string{"west": "*"}, most: 2})
	request(t, a, "x", owner(0), 0, names.Owns)
	request(t, b, "x", owner(1), 0, names.Waits)
	forbidden(t, a, "y", "host west may have 2 names, and has 2")
	request(t, a, "x", owner(0), names.AllowReplacement, names.Owns) // no other one
	if err := b.Release(t.Context(), "x", owner(1)); err != nil {
		t.Fatal(err)
	}
	request(t, a, "y", owner(0), 0, names.Owns)
	forbidden(t, b, "z", "host west may have 2 names, and has 2")
	_ = a.Close()
	time.Sleep(10 * time.Second)
	request(t, b, "z", owner(1), 0, names.Owns)
}

// What may not be had any more is given up, and does not keep the rest from being put again.
func policyAfterALoss(t *testing.T, n *testNet) {
	west := n.host("west")
	a, _ := west.process()
	for _, name := range []string{"arena.1", "bank", "arena.2"} {
		request(t, a, name, owner(0), 0, names.Owns)
	}
	n.away()
	west.r.SetPolicy(mayHave{globs: map[string]string{"west": "arena.*"}})
	n.another()
	time.Sleep(30 * time.Second)
	n.back()
	time.Sleep(30 * time.Second)
	wantOwners(t, a, "arena.1", owner(0))
	wantOwners(t, a, "arena.2", owner(0))
	wantOwners(t, a, "bank")
	west.r.SetPolicy(nil)
	time.Sleep(30 * time.Second)
	wantOwners(t, a, "bank")
}

// "0" is before the mark of presences, "zoo" behind it.
func policyOfASnapshot(t *testing.T, n *testNet) {
	west := n.host("west")
	a, _ := west.process()
	request(t, a, "0", owner(0), 0, names.Owns)
	request(t, a, "zoo", owner(0), 0, names.Owns)
	east := n.host("east")
	east.r.SetPolicy(mayHave{globs: map[string]string{"west": "?"}})
	b, _ := east.process()
	time.Sleep(10 * time.Second)
	wantOwners(t, b, "0", owner(0))
	wantOwners(t, b, "zoo")
}

// Nothing changes in the engine while the daemon is started again with another policy.
func policyOverARestart(t *testing.T, n *testNet) {
	west, east := n.host("west"), n.host("east")
	a, _ := west.process()
	b, _ := east.process()
	request(t, b, "bank", owner(1), 0, names.Owns)
	time.Sleep(10 * time.Second)
	for range 2 {
		wantOwners(t, a, "bank", owner(1))
		for _, p := range []NamePolicy{mayHave{}, nil} {
			west.stop()
			west.policy = p
			west.start()
			time.Sleep(15 * time.Second)
			if p != nil {
				wantOwners(t, a, "bank")
			}
		}
	}
	wantOwners(t, a, "bank", owner(1))
}
