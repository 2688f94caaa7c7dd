// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/shm"
)

// Whatever is written is there when the vault is opened again.
func TestSessionsOutliveTheVault(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small)
	a, b, c := begin(t, v, 1), begin(t, v, 2), begin(t, v, 3)
	check(t, a.SetEpoch(7))
	check(t, a.SetAccepted(12))
	check(t, b.SetAway(1_700_000_000_123))
	check(t, c.End(5))
	check(t, b.SetGroups([]string{"other"}))
	check(t, b.SetBinding([]byte("elsewhere")))
	check(t, b.SetIdentity([]byte("somebody")))
	check(t, b.SetRemote("[2001:db8::1]:1"))
	first := put(t, v, Origin{Source: 9, Number: 4}, []byte("hello"))
	for _, s := range []Slot{a, b} {
		if n := s.Add(first); n != 1 {
			t.Errorf("the first packet has number %d", n)
		}
	}
	check(t, v.SetDone(9, 4))
	v.Close()

	v = open(t, dir, small)
	sound(t, v)
	if got := len(sessions(v)); got != 3 {
		t.Fatalf("%d sessions, want 3", got)
	}
	a, b, c = byID(t, v, a.ID()), byID(t, v, b.ID()), byID(t, v, c.ID())
	if a.Key() != key(1) || a.Epoch() != 7 || a.Accepted() != 12 || a.Sent() != 1 || a.State() != Live || !reflect.DeepEqual(a.Texts(), texts(1)) {
		t.Errorf("the first session is %x %d %d %d %v %+v", a.Key(), a.Epoch(), a.Accepted(), a.Sent(), a.State(), a.Texts())
	}
	changed := Texts{Binding: []byte("elsewhere"), Identity: []byte("somebody"), Groups: []string{"other"}, Remote: "[2001:db8::1]:1"}
	if b.State() != Away || b.AwaySince() != 1_700_000_000_123 || b.Reason() != 0 || !reflect.DeepEqual(b.Texts(), changed) {
		t.Errorf("the second session is %v since %d, %+v", b.State(), b.AwaySince(), b.Texts())
	}
	if c.State() != Ended || c.Reason() != 5 || c.AwaySince() != 0 || c.Sent() != 0 {
		t.Errorf("the third session is %v for %d, with %d packets", c.State(), c.Reason(), c.Sent())
	}
	wantSince(t, a, 0, []byte("hello"))
	if o, ok := b.Newest(); !ok || o != (Origin{9, 4, 0}) || v.Done(9) != 4 {
		t.Errorf("the newest packet is of %+v, %v; done is %d", o, ok, v.Done(9))
	}
	if _, ok := c.Newest(); ok {
		t.Error("a session without packets has a newest one")
	}
	if s := v.Stats(); s.Live != 1 || s.Away != 1 || s.Ended != 1 || s.Sources != 1 || s.Written != 64 {
		t.Errorf("it counts %+v", s)
	}
}

// A Slot of a session that was freed does nothing to the one that has its place.
func TestFreedSlotTouchesNobody(t *testing.T) {
	v := open(t, newFolder(t), small)
	old := begin(t, v, 1)
	check(t, old.Free())
	now := begin(t, v, 2)
	if now.s != old.s || now.ID() <= old.ID() {
		t.Fatalf("the place is not used again: %+v, %+v", old, now)
	}
	ref := put(t, v, Origin{}, []byte("x"))
	_, errSince := old.Since(0, nil)
	for _, err := range []error{old.SetAccepted(5), old.SetEpoch(5), old.SetAway(5), old.SetLive(), old.End(5), old.Free(),
		old.SetBinding(nil), errSince} {
		want(t, err, ErrFreed)
	}
	if old.Add(ref) != 0 || old.Epoch() != 0 || old.Accepted() != 0 || old.Sent() != 0 || old.State() != Free ||
		old.Key() != [KeySize]byte{} || old.Texts().Binding != nil || old.Has(Origin{Source: 1}) {
		t.Error("a session that was freed says something")
	}
	if now.Accepted() != 0 || now.Epoch() != 1 || now.Sent() != 0 || now.State() != Live {
		t.Error("the session in its place was changed")
	}
	if now.Add(0) != 0 {
		t.Error("a packet that was not put was added")
	}
	var none Slot
	if none.Add(ref) != 0 || none.State() != Free || none.Epoch() != 0 {
		t.Error("no session says something")
	}
	want(t, none.SetAccepted(1), os.ErrClosed)
	want(t, none.SetLive(), os.ErrClosed)
}

func TestLimits(t *testing.T) {
	v := open(t, newFolder(t), small)
	for i := range 64 {
		begin(t, v, i)
	}
	_, err := v.Begin(Session{})
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "64 sessions") {
		t.Errorf("one session too many: %v", err)
	}
	s := sessions(v)[3]
	if got := v.Stats().Live; got != 64 {
		t.Errorf("%d sessions", got)
	}
	long := strings.Repeat("x", 600)
	for what, err := range map[string]error{
		"binding has 257 bytes":  s.SetBinding([]byte(long[:257])),
		"identity has 513 bytes": s.SetIdentity([]byte(long[:513])),
		"a group has 256 bytes":  s.SetGroups([]string{long[:256]}),
		"groups has 514 bytes":   s.SetGroups([]string{long[:255], long[:255], "x"}),
	} {
		if !errors.Is(err, ErrTooBig) || !strings.Contains(err.Error(), what) {
			t.Errorf("got the error %v, want one with %q", err, what)
		}
	}
	if !reflect.DeepEqual(s.Texts(), texts(3)) {
		t.Error("what was refused has changed something")
	}
	most := Texts{Binding: []byte(long[:256]), Identity: []byte(long[:512]), Groups: []string{long[:255], long[:255]}, Remote: long[:64]}
	check(t, s.Free())
	s, err = v.Begin(Session{Texts: Texts{most.Binding, most.Identity, most.Groups, long}})
	check(t, err)
	if !reflect.DeepEqual(s.Texts(), most) {
		t.Errorf("the longest texts are %+v", s.Texts())
	}
	if _, err := v.Put(Origin{}, make([]byte, minRing/4-32)); err != nil {
		t.Errorf("the largest packet: %v", err)
	}
	_, err = v.Put(Origin{}, make([]byte, minRing/4-31))
	want(t, err, ErrTooBig)
	_, err = v.Put(Origin{Source: 1, Number: maxValue + 1}, nil)
	want(t, err, ErrTooBig)
	want(t, v.SetDone(1, maxValue+1), ErrTooBig)
	want(t, v.SetPart(1, 1, maxParts+1), ErrTooBig)
	want(t, v.SetPart(1, 1, -1), ErrTooBig)
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{Sessions: -1}, {Sessions: maxSlots + 1}, {Ring: 1}, {Ring: maxRing + 1}, {Replay: -1}, {Sources: maxSources + 1}} {
		if _, err := Open(newFolder(t), home, cfg, shm.Keep); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	v := open(t, newFolder(t), Config{Sessions: 100, Ring: 5000, Replay: 77, Sources: 9})
	if got := v.Limits(); got != (Config{Sessions: 128, Ring: 8192, Replay: 77, Sources: 9}) {
		t.Errorf("the limits are %+v", got)
	}
	v = open(t, newFolder(t), Config{})
	if got := v.Limits(); got != (Config{DefaultSessions, DefaultRing, DefaultReplay, DefaultSources}) {
		t.Errorf("the limits are %+v", got)
	}
}

// A file keeps its limits while it has sessions. Without them it gets others, and keeps what else it knows.
func TestOtherLimits(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small)
	s := begin(t, v, 1)
	for n := range uint64(3) {
		check(t, v.SetDone(n+1, n+5))
	}
	check(t, v.SetPart(2, 7, 3))
	v.Close()
	larger := Config{Sessions: 128, Ring: 2 * minRing, Sources: 2, Replay: DefaultReplay}
	v = open(t, dir, larger)
	if got := v.Limits(); got.Sessions != 64 || got.Ring != minRing || got.Sources != 4 {
		t.Errorf("a vault with a session has the limits %+v", got)
	}
	check(t, byID(t, v, s.ID()).Free())
	v.Close()
	v = open(t, dir, larger)
	if got := v.Limits(); got != larger {
		t.Errorf("a vault without sessions has the limits %+v", got)
	}
	if v.Done(1) != 5 || v.Done(2) != 6 || v.Part(2, 7) != 3 || v.Done(3) != 0 || v.Stats().Evicted != 1 {
		t.Errorf("done: %d, %d, %d, %d; %d evicted", v.Done(1), v.Done(2), v.Part(2, 7), v.Done(3), v.Stats().Evicted)
	}
	if again := begin(t, v, 2); again.ID() <= s.ID() {
		t.Errorf("session %x comes after %x", again.ID(), s.ID())
	}
}

func TestOneOwner(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small)
	_, err := Open(dir, home, small, shm.Keep)
	want(t, err, ErrInUse)
	want(t, Remove(dir, home), ErrInUse)
	other, err := Open(dir, home+1, small, shm.Keep)
	check(t, err)
	other.Close()
	check(t, Remove(dir, home+1))
	want(t, Remove(dir, home+1), fs.ErrNotExist)
	if !Exists(dir, home) || Exists(dir, home+1) {
		t.Errorf("there are vaults: %v, %v; want the first one", Exists(dir, home), Exists(dir, home+1))
	}
	v.Close()
	v.Close()
	open(t, dir, small).Close()
	_, err = Open(filepath.Join(dir, "none"), home, small, shm.Keep)
	want(t, err, fs.ErrNotExist)
	check(t, os.Rename(filepath.Join(dir, FileName(home)), filepath.Join(dir, FileName(home+2))))
	_, err = Open(dir, home+2, small, shm.Keep)
	want(t, err, ErrDamaged)
}

// After Close nothing touches the memory, and everything says so.
func TestClosed(t *testing.T) {
	v := open(t, newFolder(t), small)
	s := begin(t, v, 1)
	ref := put(t, v, Origin{}, []byte("x"))
	v.Close()
	_, errBegin := v.Begin(Session{})
	_, errPut := v.Put(Origin{}, nil)
	_, errSince := s.Since(0, nil)
	for _, err := range []error{errBegin, errPut, errSince, v.SetDone(1, 1), v.SetPart(1, 1, 1), s.SetAccepted(1), s.SetEpoch(1), s.SetLive(), s.End(1),
		s.Free(), s.SetGroups(nil)} {
		want(t, err, os.ErrClosed)
	}
	if s.Add(ref) != 0 || s.Epoch() != 0 || s.State() != Free || s.Sent() != 0 || s.Texts().Binding != nil || s.Key() != [KeySize]byte{} ||
		len(sessions(v)) != 0 || v.Stats() != (Stats{}) || s.Has(Origin{Source: 1}) {
		t.Error("a vault that is closed says something")
	}
}

func TestInspect(t *testing.T) {
	dir := newFolder(t)
	_, err := Inspect(dir, home)
	want(t, err, fs.ErrNotExist)
	v := open(t, dir, small)
	a, b := begin(t, v, 1), begin(t, v, 2)
	ref := put(t, v, Origin{}, []byte("xyz"))
	a.Add(ref)
	b.Add(ref)
	b.Add(put(t, v, Origin{}, []byte("four")))
	check(t, a.SetAccepted(4))
	check(t, b.SetAway(99))
	check(t, v.SetDone(3, 8))
	is, err := Inspect(dir, home)
	check(t, err)
	wanted := []Info{
		{ID: a.ID(), State: Live, Epoch: 1, Sent: 1, Accepted: 4, Kept: 1, KeptBytes: 3, Texts: texts(1)},
		{ID: b.ID(), State: Away, AwaySince: 99, Epoch: 1, Sent: 2, Kept: 2, KeptBytes: 7, Texts: texts(2)},
	}
	if !reflect.DeepEqual(is.Sessions, wanted) || !is.Owned || is.Written != 128 || !slices.Equal(is.Sources, []Source{{3, 8}}) || len(is.Damage) > 0 ||
		is.Limits != (Config{Sessions: 64, Ring: minRing, Sources: 4}) {
		t.Errorf("somebody else sees %+v", is)
	}
	if age := time.Since(is.Made); age < 0 || age > time.Hour {
		t.Errorf("the vault is %v old", age)
	}
	for n := range byte(100) { // those of a are written over, and of b's packets more than one slot refers to
		b.Add(put(t, v, Origin{}, bytes.Repeat([]byte{n}, 100)))
	}
	if is, err = Inspect(dir, home); err != nil || len(is.Sessions) != 2 {
		t.Fatalf("somebody else sees %+v, %v", is, err)
	}
	if x, y := is.Sessions[0], is.Sessions[1]; x.Kept != 0 || x.KeptBytes != 0 || y.Sent != 102 || y.Kept < 10 || y.Kept > minRing/160+1 || y.KeptBytes != 100*y.Kept {
		t.Errorf("the sessions keep %d packets, %d bytes, and %d, %d", x.Kept, x.KeptBytes, y.Kept, y.KeptBytes)
	}
	check(t, b.End(3))
	v.Close()
	if is, err = Inspect(dir, home); err != nil || is.Owned || is.Sessions[1].Reason != 3 {
		t.Errorf("without an owner somebody sees %+v, %v", is, err)
	}
}

// Homes are those whose vaults have their names, and nothing that looks alike.
func TestHomes(t *testing.T) {
	dir := newFolder(t)
	if list, err := Homes(dir); err != nil || len(list) != 0 {
		t.Errorf("without vaults there are %v, %v", list, err)
	}
	for _, at := range []addr.Addr{home + 1, home, 0xffff0000} {
		v, err := Open(dir, at, small, shm.Keep)
		check(t, err)
		defer v.Close()
	}
	for _, name := range []string{"gate-00000107.vault.x", "gate-107.vault", "gate-0000010A.vault", ".tmp-gate-00000108.vault", "gate-000000109.vault", "gate-.vault"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	list, err := Homes(dir)
	if there := []addr.Addr{home, home + 1, 0xffff0000}; err != nil || !slices.Equal(list, there) {
		t.Errorf("the homes are %v, %v, want %v", list, err, there)
	}
	_, err = Homes(filepath.Join(dir, "nowhere"))
	want(t, err, fs.ErrNotExist)
}

func TestStateText(t *testing.T) {
	for s, want := range map[State]string{Free: "free", Live: "live", Away: "away", Ended: "ended", 9: "state 9"} {
		if s.String() != want {
			t.Errorf("%d is %q, want %q", s, s, want)
		}
	}
}
