// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

const electionsHere = "/skybus/default/elections/"

func TestCandidateKeys(t *testing.T) {
	key := candidateKey(electionsHere, "bank", 0xabc)
	if want := electionsHere + "bank/0000000000000abc"; key != want {
		t.Fatalf("%q, want %q", key, want)
	}
	if name, l, ok := candidateOf(electionsHere, key); name != "bank" || l != 0xabc || !ok {
		t.Errorf("%q, %x, %v", name, l, ok)
	}
	for _, bad := range []string{
		"", electionsHere, electionsHere + "bank", electionsHere + "bank/", electionsHere + "/0000000000000abc", electionsHere + "bank/abc",
		electionsHere + "bank/0000000000000ABC", electionsHere + "bank/000000000000+abc", electionsHere + "bank/0000000000000abc/", "/skybus/other/elections/bank/0000000000000abc",
	} {
		if name, l, ok := candidateOf(electionsHere, bad); ok {
			t.Errorf("%q is %q, %x", bad, name, l)
		}
	}
}

func TestCandidateValues(t *testing.T) {
	text := strings.Repeat("\"\x01ü", MaxCandidate/4)
	kv := KV{Key: "k", Value: candidateValue("one", text), Created: 7}
	if c, err := parseCandidate(&kv); err != nil || c.id != "one" || c.value != text || c.created != 7 {
		t.Errorf("%+v, %v", c, err)
	}
	if len(kv.Value) > MaxValue {
		t.Errorf("it has %d bytes", len(kv.Value))
	}
	kv.Value = []byte(`{"v":2,"id":"x","value":"y","more":1}`)
	if c, err := parseCandidate(&kv); err != nil || c.id != "x" {
		t.Errorf("of a later version: %+v, %v", c, err)
	}
	for _, bad := range []string{``, `x`, `{}`, `{"v":0,"id":"x"}`, `{"v":"1"}`, `[]`, `{"v":1,"id":3}`} {
		kv.Value = []byte(bad)
		if c, err := parseCandidate(&kv); err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%s: %+v, %v", bad, c, err)
		}
	}
}

func TestLifeValues(t *testing.T) {
	for text, want := range map[string]uint64{
		`{"v":1,"life":"00000000000000ff","base":12}`: 12, `{"v":3,"life":"ff"}`: 0, `{"v":1,"life":"00000000000000ff","base":9223372036854775807}`: maxBase,
	} {
		if base, err := parseLife(&KV{Key: "k", Value: []byte(text)}, 0xff); err != nil || base != want {
			t.Errorf("%s: %d, %v", text, base, err)
		}
	}
	for _, bad := range []string{
		``, `7`, `{"life":"ff"}`, `{"v":1}`, `{"v":1,"life":"fe","base":1}`, `{"v":1,"life":"ff","base":-1}`, `{"v":1,"life":"ff","base":9223372036854775808}`,
	} {
		if base, err := parseLife(&KV{Key: "k", Value: []byte(bad)}, 0xff); err == nil {
			t.Errorf("%s: base %d", bad, base)
		}
	}
}

// A boardStep is an update, and what then is told: "value/token".
type boardStep struct {
	u    Update
	want string
}

func put(l LeaseID, value string, created uint64) Event {
	return Event{KV: KV{Key: candidateKey(electionsHere, "n", l), Value: candidateValue(value, value), Created: created, Modified: created, Lease: l}}
}

func gone(l LeaseID, at uint64) Event {
	return Event{KV: KV{Key: candidateKey(electionsHere, "n", l), Modified: at}, Deleted: true}
}

func TestBoard(t *testing.T) {
	b := newBoard(electionsHere)
	b.setBase(1, 100, nil)
	for i, s := range []boardStep{
		{Update{Snapshot: true, Revision: 4, Life: 1}, "/0"},
		{Update{Events: []Event{put(7, "a", 5)}, Revision: 5, Life: 1}, "a/105"},
		{Update{Events: []Event{put(3, "b", 6), put(2, "c", 6)}, Revision: 6, Life: 1}, "a/105"},
		{Update{Events: []Event{gone(7, 7), put(7, "a", 8)}, Revision: 8, Life: 1}, "c/106"},
		{Update{Events: []Event{{KV: KV{Key: candidateKey(electionsHere, "n", 2), Value: []byte("hand"), Created: 6, Modified: 9}}}, Revision: 9, Life: 1}, "b/106"},
		{Update{Events: []Event{gone(3, 10), gone(3, 11), gone(99, 12)}, Revision: 12, Life: 1}, "a/108"},
		{Update{Snapshot: true, Events: []Event{put(9, "d", 13)}, Revision: 15, Life: 1}, "d/113"},
		{Update{Snapshot: true, Events: []Event{put(1, "e", 2)}, Revision: 2, Life: 2}, "/0"}, // its base is not known yet
	} {
		b.update(s.u)
		l, ready, _, err := b.look("n")
		if ready != (s.u.Life == 1) || err != nil {
			t.Errorf("step %d: ready %v, %v", i, ready, err)
		}
		if got := fmt.Sprintf("%s/%d", l.Value, l.Token); got != s.want {
			t.Errorf("step %d: %s leads, want %s", i, got, s.want)
		}
	}
	unreadable := errors.New("unreadable")
	b.setBase(2, 0, unreadable)
	if _, ready, _, err := b.look("n"); ready || !errors.Is(err, unreadable) {
		t.Errorf("without a base: ready %v, %v", ready, err)
	}
	if amiss := b.update(Update{Events: []Event{{KV: KV{Key: electionsHere + "x", Created: 1}}}, Revision: 16, Life: 2}); len(amiss) != 1 {
		t.Errorf("a key that is none: %v", amiss)
	}
}

// FuzzBoard: whatever the engine has, a board keeps its order, and what it tells as a leader is
// one of those that could be read.
func FuzzBoard(f *testing.F) {
	f.Add("n/0000000000000001", candidateValue("a", "b"), uint64(3), "n/0000000000000002", []byte(`{"v":1}`), uint64(2))
	f.Add("n/", []byte(`{`), uint64(0), "", []byte(nil), uint64(1<<63))
	f.Fuzz(func(t *testing.T, k1 string, v1 []byte, c1 uint64, k2 string, v2 []byte, c2 uint64) {
		b := newBoard(electionsHere)
		b.setBase(1, 0, nil)
		events := []Event{{KV: KV{Key: electionsHere + k1, Value: v1, Created: c1}}, {KV: KV{Key: electionsHere + k2, Value: v2, Created: c2}}}
		amiss := b.update(Update{Events: events, Revision: max(c1, c2), Life: 1})
		known := 0
		for name, race := range b.races {
			if known += len(race); len(race) == 0 {
				t.Errorf("%q has no candidates", name)
			}
			if l, _, _, _ := b.look(name); l.Token != race[0].created || len(race) > 1 && race[1].created < race[0].created {
				t.Errorf("%q: %+v of %+v", name, l, race)
			}
		}
		if known+len(amiss) != 2 && k1 != k2 {
			t.Errorf("%d candidates and %v, of two keys", known, amiss)
		}
		var v lifeValue
		if base, err := parseLife(&KV{Value: v1}, c1); err == nil && (json.Unmarshal(v1, &v) != nil || base > maxBase) {
			t.Errorf("base %d of %q", base, v1)
		}
	})
}

// A paused leader that goes on is refused, and what it would have written is not there.
func TestGuardRefusesAPausedLeader(t *testing.T) {
	var g Guard
	var stored []string
	write := func(token uint64, what string) error {
		return g.Do(token, func() error {
			stored = append(stored, what)
			return nil
		})
	}
	for _, step := range []struct {
		token uint64
		what  string
		want  error
	}{
		{7, "first", nil}, {7, "first again", nil}, {9, "second", nil}, {7, "first, after a pause", ErrOldLeader}, {9, "second again", nil}, {8, "neither", ErrOldLeader},
	} {
		if err := write(step.token, step.what); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.what, err, step.want)
		}
	}
	if got := strings.Join(stored, ", "); got != "first, first again, second, second again" {
		t.Errorf("stored %s", got)
	}
	if err := g.Admit(0); err == nil || g.Highest() != 9 {
		t.Errorf("token 0: %v, highest %d", err, g.Highest())
	}
	failed := errors.New("disk full")
	if err := g.Do(12, func() error { return failed }); !errors.Is(err, failed) || !errors.Is(g.Admit(11), ErrOldLeader) {
		t.Errorf("a write that fails: %v, highest %d", err, g.Highest())
	}
	if err := NewGuard(12).Admit(11); !errors.Is(err, ErrOldLeader) || !strings.Contains(err.Error(), "token 11") {
		t.Errorf("after a restart: %v", err)
	}
}

// Whatever the order of calls, tokens are written in theirs.
func TestGuardKeepsTheOrder(t *testing.T) {
	var g Guard
	var written []uint64
	var done sync.WaitGroup
	for i := range uint64(8) {
		done.Go(func() {
			for n := range uint64(200) {
				token := n*8 + i + 1
				err := g.Do(token, func() error {
					written = append(written, token)
					return nil
				})
				if err != nil && !errors.Is(err, ErrOldLeader) {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	for i := 1; i < len(written); i++ {
		if written[i] <= written[i-1] {
			t.Fatalf("token %d was written after %d", written[i], written[i-1])
		}
	}
	if len(written) == 0 || g.Highest() != written[len(written)-1] || g.Highest() != 1600 {
		t.Errorf("%d writes, highest %d", len(written), g.Highest())
	}
}

func TestElectionsConfigurations(t *testing.T) {
	for _, c := range []ElectionsConfig{{Cluster: "a b"}, {Cluster: strings.Repeat("x", 64)}, {TTL: 1}, {TTL: MaxTTL + 1}} {
		if _, err := NewElections(nil, c); err == nil || !strings.Contains(err.Error(), "elections:") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
