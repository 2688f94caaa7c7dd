// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package vault

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/shm"
)

// died is what a step panics with.
type died struct{ site string }

// upTo runs f and dies at its step at, counted from 1: nothing that f would do afterwards is done, as if the process was
// killed. It returns where that was; "": f has fewer steps.
func upTo(at int, f func()) (site string) {
	n := 0
	invariant.SetHook(func(site string) {
		if n++; n == at {
			panic(died{site})
		}
	})
	defer func() {
		invariant.SetHook(nil)
		if r := recover(); r != nil {
			d, ok := r.(died)
			if !ok {
				panic(r)
			}
			site = d.site
		}
	}()
	f()
	return ""
}

// bury does what the kernel does for a process that was killed.
func bury(v *Vault) {
	if v != nil {
		v.Close()
	}
}

// openUnlocked is Open without the lock: this process keeps that of a life that it has end while that opened the vault, and the
// kernel would not.
func openUnlocked(dir string, cfg Config) (*Vault, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return openFile(dir, home, cfg, shm.Keep)
}

// sites are all steps, and whether somebody died there.
type sites map[string]bool

func (s sites) judge(t *testing.T, want []string) {
	t.Helper()
	for _, site := range want {
		if !s[site] {
			t.Errorf("nobody died at %s", site)
		}
	}
	for site := range s {
		if !slices.Contains(want, site) {
			t.Errorf("%s is no known step", site)
		}
	}
}

// A crashCase is a change that its process is killed in, at each step.
type crashCase struct {
	cfg    Config
	before func(t *testing.T, v *Vault)
	change func(t *testing.T, v *Vault) // nil: Open is it
}

// full adds sessions until the next one needs memory.
func full(t *testing.T, v *Vault) {
	for i := range 64 {
		begin(t, v, i)
	}
}

func three(t *testing.T, v *Vault) {
	for i := range 3 {
		begin(t, v, i)
	}
	ref := put(t, v, Origin{Source: 1, Number: 1}, []byte("first"))
	for _, s := range sessions(v) {
		s.Add(ref)
	}
	check(t, v.SetDone(1, 1))
}

// many leaves sessions that have had more packets than they get again.
func many(t *testing.T, v *Vault) {
	three(t, v)
	for i := range 300 {
		second(t, v).Add(put(t, v, Origin{}, packet(i, 9)))
	}
}

func sources(t *testing.T, v *Vault) {
	for n := range uint64(4) {
		check(t, v.SetPart(n+1, n+9, 2))
		check(t, v.SetDone(n+1, n+8))
	}
}

// nobody leaves a file without sessions.
func nobody(t *testing.T, v *Vault) {
	sources(t, v)
	check(t, begin(t, v, 1).Free())
}

// cutOff leaves an item that some sessions have, and cuts of another source.
func cutOff(t *testing.T, v *Vault) {
	three(t, v)
	ref := put(t, v, Origin{Source: 7, Number: 3, Item: 1}, []byte("cut"))
	for _, s := range sessions(v)[:2] {
		s.Add(ref)
	}
}

func second(t *testing.T, v *Vault) Slot {
	t.Helper()
	list := sessions(v)
	if len(list) < 2 {
		t.Fatalf("%d sessions", len(list))
	}
	return list[1]
}

var roomy = Config{Sessions: 64, Ring: 1 << 16, Sources: 4}

var wider = Config{Sessions: 128, Ring: minRing, Sources: 4}

var crashCases = map[string]crashCase{
	"make":    {cfg: small},
	"replace": {cfg: wider, before: nobody},
	"mark":    {cfg: small, before: cutOff},
	"begin":   {small, three, func(t *testing.T, v *Vault) { begin(t, v, 9) }},
	"more":    {wider, full, func(t *testing.T, v *Vault) { begin(t, v, 9) }},
	"begin in a used place": {small, func(t *testing.T, v *Vault) { three(t, v); check(t, second(t, v).Free()) },
		func(t *testing.T, v *Vault) { begin(t, v, 9) }},
	"epoch":    {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetEpoch(77)) }},
	"accepted": {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetAccepted(77)) }},
	"away":     {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetAway(77)) }},
	"end":      {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).End(77)) }},
	"free":     {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).Free()) }},
	"binding":  {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetBinding(packet(1, MaxBinding))) }},
	"identity": {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetIdentity(packet(1, MaxIdentity))) }},
	"groups":   {small, three, func(t *testing.T, v *Vault) { check(t, second(t, v).SetGroups([]string{"a", "b", "c"})) }},
	"put":      {small, three, func(t *testing.T, v *Vault) { put(t, v, Origin{Source: 1, Number: 2}, packet(1, 900)) }},
	"add": {small, three, func(t *testing.T, v *Vault) {
		second(t, v).Add(put(t, v, Origin{}, packet(1, 900)))
	}},
	"add to many": {roomy, many, func(t *testing.T, v *Vault) {
		second(t, v).Add(put(t, v, Origin{}, packet(1, 9)))
	}},
	"number": {small, sources, func(t *testing.T, v *Vault) { check(t, v.SetDone(2, 99)) }},
	"part":   {small, sources, func(t *testing.T, v *Vault) { check(t, v.SetPart(2, 99, 5)) }},
	"evict":  {small, sources, func(t *testing.T, v *Vault) { check(t, v.SetDone(9, 99)) }},
}

// TestKilledAtEveryStep: whatever a change was cut off at, who opens the vault finds it undone or done, without any
// damage, and can make it.
func TestKilledAtEveryStep(t *testing.T) {
	visited := sites{}
	for name, c := range crashCases {
		for at := 1; killedAt(t, name, c, at, visited); at++ {
			if t.Failed() {
				return
			}
		}
	}
	visited.judge(t, []string{
		"shm.allocated", "shm.create", "shm.rename", "shm.renamed",
		"vault.accepted", "vault.counts", "vault.cut.clear", "vault.cut.item", "vault.cut.number", "vault.cut.source", "vault.epoch", "vault.evict.number",
		"vault.evict.part", "vault.free", "vault.head", "vault.id", "vault.key", "vault.last", "vault.live", "vault.number", "vault.packet",
		"vault.packet.half", "vault.part", "vault.ready", "vault.ref", "vault.sent", "vault.source", "vault.state", "vault.sum",
		"vault.texts", "vault.texts.sum", "vault.version", "vault.wipe", "vault.written",
	})
}

// killedAt returns false if the change has fewer steps.
func killedAt(t *testing.T, name string, c crashCase, at int, visited sites) bool {
	t.Helper()
	dir := newFolder(t)
	if c.before != nil {
		cfg := c.cfg
		if c.change == nil {
			cfg = small
		}
		v := open(t, dir, cfg)
		c.before(t, v)
		v.Close()
	}
	before := peek(t, dir)
	var v *Vault
	site := upTo(at, func() {
		var err error
		if v, err = openUnlocked(dir, c.cfg); err == nil && c.change != nil {
			c.change(t, v)
		}
		check(t, err)
	})
	bury(v)
	if site != "" {
		visited[site] = true
	}
	v = open(t, dir, c.cfg)
	sound(t, v)
	if name == "add to many" { // before the change is made again
		_, err := second(t, v).Since(second(t, v).Sent()-refs, nil)
		if err != nil && (site != "vault.sent" || !errors.Is(err, ErrTooOld)) {
			t.Errorf("killed at %s: %v", site, err)
		}
	}
	after := peek(t, dir)
	if c.change != nil {
		whole := wholeChange(t, c)
		if !alike(after, whole) && (site == "" || !alike(after, before)) {
			t.Errorf("%s, killed at %q: %+v; it was %+v, and should be %+v", name, site, after, before, whole)
		}
		judgeSources(t, name, after, before, whole)
	}
	if c.change != nil && name != "free" && name != "begin in a used place" {
		c.change(t, v)
		sound(t, v)
	}
	if name == "add to many" {
		wantWindow(t, second(t, v))
	}
	if name == "mark" {
		for i, s := range sessions(v) {
			if has := s.Has(Origin{Source: 7, Number: 3, Item: 1}); has != (i < 2) {
				t.Errorf("killed at %s: session %d has the item: %v", site, i, has)
			}
		}
	}
	return site != ""
}

// wantWindow wants the newest packets, and none of those before.
func wantWindow(t *testing.T, s Slot) {
	t.Helper()
	if list, err := s.Since(s.Sent()-refs, nil); err != nil || len(list) != refs {
		t.Errorf("the newest %d packets: %d, %v", refs, len(list), err)
	}
	_, err := s.Since(s.Sent()-refs-1, nil)
	want(t, err, ErrTooOld)
}

// wholeChange is what there is after a change without a death.
func wholeChange(t *testing.T, c crashCase) *Snapshot {
	t.Helper()
	dir := newFolder(t)
	v := open(t, dir, c.cfg)
	c.before(t, v)
	c.change(t, v)
	v.Close()
	return peek(t, dir)
}

// alike compares the sessions of snapshots but for their ids, which go with the clock, and how much they keep: a packet that
// is to take the place of the oldest may have cost that already, which Since tells.
func alike(a, b *Snapshot) bool {
	plain := func(s *Snapshot) (list []Info) {
		for _, i := range s.Sessions {
			i.ID, i.Kept, i.KeptBytes = 0, 0, 0
			list = append(list, i)
		}
		return list
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

// judgeSources wants each source to have done what it had before or after; only eviction may cost something.
func judgeSources(t *testing.T, name string, is, before, after *Snapshot) {
	t.Helper()
	for _, s := range is.Sources {
		known := slices.Contains(before.Sources, s) || slices.Contains(after.Sources, s)
		if !known && (s.Number != 0 || name != "evict") {
			t.Errorf("%s: source %d has done %d; before %v, after %v", name, s.Source, s.Number, before.Sources, after.Sources)
		}
	}
	if len(is.Sources) < len(before.Sources) {
		t.Errorf("%s: a source is lost: %v, before %v", name, is.Sources, before.Sources)
	}
}

func peek(t *testing.T, dir string) *Snapshot {
	t.Helper()
	if !Exists(dir, home) {
		return nil
	}
	s, err := Inspect(dir, home)
	check(t, err)
	s.Owned = false
	return s
}
