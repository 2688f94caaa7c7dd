// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// What a vault says of itself, as one can ask it.
type account struct {
	sessions map[uint64]said
	done     []uint64
	parts    []int
}

type said struct {
	info    Info
	key     [KeySize]byte
	packets [][]byte
	newest  Origin
	cut     bool
}

var cutItem = Origin{Source: 3, Number: 5, Item: 1}

func ask(t testing.TB, v *Vault) account {
	t.Helper()
	a := account{sessions: map[uint64]said{}}
	for _, s := range sessions(v) {
		w := said{key: s.Key(), cut: s.Has(cutItem), info: Info{
			ID: s.ID(), State: s.State(), AwaySince: s.AwaySince(), Reason: s.Reason(), Epoch: s.Epoch(), Sent: s.Sent(),
			Accepted: s.Accepted(), Texts: s.Texts(),
		}}
		w.newest, _ = s.Newest()
		list, err := s.Since(0, nil)
		check(t, err)
		for _, p := range list {
			w.packets = append(w.packets, bytes.Clone(p))
		}
		a.sessions[s.ID()] = w
	}
	for source := range uint64(6) {
		a.done = append(a.done, v.Done(source))
		a.parts = append(a.parts, v.Part(source, 5))
	}
	return a
}

func (a said) equal(b said) bool {
	x, y := a.info, b.info
	return x.ID == y.ID && x.State == y.State && x.AwaySince == y.AwaySince && x.Reason == y.Reason && x.Epoch == y.Epoch &&
		x.Sent == y.Sent && x.Accepted == y.Accepted && sameTexts(a.info.Texts, b.info.Texts) && a.key == b.key && a.newest == b.newest &&
		a.cut == b.cut && slices.EqualFunc(a.packets, b.packets, bytes.Equal)
}

// furnished returns a vault with a little of everything: sessions in each state, packets shared and not, texts of several
// versions, sources, an item that was cut off.
func furnished(t testing.TB) *Vault {
	t.Helper()
	v := onHeap(t, small)
	for n := range 4 {
		begin(t, v, n)
	}
	list := sessions(v)
	for n := range 3 {
		ref := put(t, v, Origin{Source: 2, Number: uint64(n + 1)}, packet(n, 30))
		for _, s := range list[:3] {
			s.Add(ref)
		}
		check(t, v.SetDone(2, uint64(n+1)))
	}
	check(t, list[1].SetAway(1234567))
	check(t, list[2].End(9))
	check(t, list[0].SetGroups([]string{"moved"}))
	check(t, list[0].SetEpoch(70000))
	check(t, list[0].SetAccepted(1<<40))
	check(t, list[3].Free())
	check(t, v.SetPart(3, 5, 1))
	ref := put(t, v, cutItem, packet(9, 40))
	list[0].Add(ref)
	list[1].Add(ref)
	v, err := rejoin(v.image, small) // marks the cut
	check(t, err)
	sound(t, v)
	return v
}

// TestEveryByteDamaged: whichever byte of a vault is another one, opening fails with a reason, or costs one session, which
// is reported, or changes nothing.
func TestEveryByteDamaged(t *testing.T) {
	v := furnished(t)
	whole := ask(t, v)
	rng := testutil.Rand(t)
	end := v.slotAt(4) // behind it all slots are free
	mem := bytes.Clone(v.mem[:end])
	refused, lost, nothing := 0, 0, 0
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for at := shm.HeaderSize + rng.IntN(stride); at < end; at += stride {
		copy(v.mem, mem) // recovery may have changed it
		v.mem[at] ^= byte(1 + rng.IntN(255))
		now, err := rejoin(v.image, small)
		if err != nil {
			if refused++; !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d: %v", at, err)
			}
			continue
		}
		is := ask(t, now)
		if !slices.Equal(is.done, whole.done) || !slices.Equal(is.parts, whole.parts) {
			t.Errorf("byte %d: done is %v, %v; want %v, %v", at, is.done, is.parts, whole.done, whole.parts)
		}
		for id, was := range whole.sessions {
			if s, ok := is.sessions[id]; ok && !s.equal(was) {
				t.Errorf("byte %d: session %x is %+v, want %+v", at, id, s, was)
			}
		}
		missing := len(whole.sessions) - len(is.sessions)
		if missing != 0 {
			lost++
		} else {
			nothing++
		}
		if missing < 0 || missing > len(now.Damage()) {
			t.Errorf("byte %d: %d sessions are lost, %d damages are reported: %+v", at, missing, len(now.Damage()), now.Damage())
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d bytes: refused %d, cost sessions %d, changed nothing %d", end-shm.HeaderSize, refused, lost, nothing)
	if refused < 80/stride || lost < 600/stride {
		t.Errorf("too little was found")
	}
}

// A packet that is damaged while the vault is open is never returned.
func TestPacketDamagedMeanwhile(t *testing.T) {
	v := onHeap(t, small)
	s := begin(t, v, 1)
	s.Add(put(t, v, Origin{Source: 1, Number: 1}, packet(1, 100)))
	from := v.ringAt() + unitSize
	for at := from; at < from+entryHead+100; at++ {
		v.mem[at] ^= 0x10
		if list, err := s.Since(0, nil); !errors.Is(err, ErrDamaged) || len(list) > 0 {
			t.Errorf("byte %d: %d packets, %v", at-from, len(list), err)
		}
		v.mem[at] ^= 0x10
	}
	wantSince(t, s, 0, packet(1, 100))
}

// What was dropped is reported with what can be told, and its place is used again.
func TestDamageIsReported(t *testing.T) {
	v := onHeap(t, small)
	a, b := begin(t, v, 1), begin(t, v, 2)
	v.mem[a.at(slotAtEpoch)]++
	v.mem[b.at(slotAtKey)]++
	v, err := rejoin(v.image, small)
	check(t, err)
	d := v.Damage()
	if len(d) != 2 || d[0].ID != a.ID() || string(d[0].Binding) != "binding 1" || d[1].ID != 0 || d[1].Binding != nil || len(sessions(v)) != 0 {
		t.Errorf("reported is %+v", d)
	}
	again := begin(t, v, 3)
	if again.s.index != 0 || again.ID() <= b.ID() {
		t.Errorf("session %x is in slot %d", again.ID(), again.s.index)
	}
	v, err = rejoin(v.image, small)
	check(t, err)
	sound(t, v)
}

// A file of another kind, or cut off, is refused, and stays as it is.
func TestWrongFile(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		kind   error
	}{
		"empty":         {func([]byte) []byte { return nil }, shm.ErrTruncated},
		"cut off":       {func(b []byte) []byte { return b[:len(b)-1] }, shm.ErrTruncated},
		"another kind":  {func(b []byte) []byte { b[0]++; return b }, shm.ErrMagic},
		"other layout":  {func(b []byte) []byte { b[8]++; return b }, shm.ErrLayout},
		"header":        {func(b []byte) []byte { b[40]++; return b }, shm.ErrChecksum},
		"written":       {func(b []byte) []byte { b[writtenAt]++; return b }, ErrDamaged},
		"ready":         {func(b []byte) []byte { b[readyAt]++; return b }, ErrDamaged},
		"done":          {func(b []byte) []byte { b[doneAt+8]++; return b }, ErrDamaged},
		"done, as free": {func(b []byte) []byte { b[doneAt] = 0; return b }, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newFolder(t)
			v := open(t, dir, small)
			check(t, v.SetDone(7, 8))
			v.Close()
			path := filepath.Join(dir, FileName(home))
			b, err := os.ReadFile(path)
			check(t, err)
			b = c.damage(b)
			check(t, os.WriteFile(path, b, 0o660))
			before := shm.Mapped()
			_, err = Open(dir, home, small, shm.Keep)
			want(t, err, c.kind)
			_, err = Inspect(dir, home)
			want(t, err, c.kind)
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, b) || shm.Mapped() != before {
				t.Errorf("the file has changed, or stays mapped: %v", err)
			}
			check(t, Remove(dir, home))
			open(t, dir, small)
		})
	}
}
