// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A model is what a vault should be: lists and maps.
type model struct {
	sessions map[uint64]*modelSession
	entries  []modelEntry // all that were ever put
	end      int          // of the last one, in bytes since the beginning
	done     map[uint64]uint64
	newest   uint64
}

type modelEntry struct {
	o     Origin
	data  []byte
	begin int
}

type modelSession struct {
	key      [KeySize]byte
	epoch    uint32
	state    State
	since    int64
	accepted uint64
	texts    Texts
	packets  []int // which entries
}

const (
	modelRing   = 1 << 14
	modelReplay = 3000
)

func (m *model) put(o Origin, data []byte) {
	size := (32 + len(data) + 31) / 32 * 32
	if m.end%modelRing+size > modelRing {
		m.end += modelRing - m.end%modelRing
	}
	m.entries = append(m.entries, modelEntry{o, data, m.end})
	m.end += size
}

// there reports whether an entry was not written over.
func (m *model) there(i int) bool { return m.entries[i].begin+modelRing >= m.end }

func (m *model) since(s *modelSession, received int) (list [][]byte, wrong error) {
	if received > len(s.packets) {
		return nil, ErrAhead
	}
	total := 0
	for n := received; n < len(s.packets); n++ {
		e := m.entries[s.packets[n]]
		if !m.there(s.packets[n]) {
			wrong = ErrTooOld
		}
		total += len(e.data)
		list = append(list, e.data)
	}
	if len(list) > MaxReplay || len(list) > 1 && total > modelReplay {
		wrong = ErrTooOld
	}
	if wrong != nil {
		return nil, wrong
	}
	return list, nil
}

// TestAgainstModel does random things to a vault, which is closed and opened now and then, and compares all that can be
// asked with the model.
func TestAgainstModel(t *testing.T) {
	rounds := 30_000
	if testing.Short() {
		rounds = 5000
	}
	rng := testutil.Rand(t)
	dir := newFolder(t)
	cfg := Config{Sessions: 64, Ring: modelRing, Replay: modelReplay, Sources: 8}
	v := open(t, dir, cfg)
	m := &model{sessions: map[uint64]*modelSession{}, done: map[uint64]uint64{}, end: unitSize}
	for i := range rounds {
		switch n := rng.IntN(1000); {
		case n < 20:
			m.begin(t, v, rng, i)
		case n < 30:
			m.free(t, v, rng)
		case n < 120:
			m.change(t, v, rng, i)
		case n < 125:
			v.Close()
			v = open(t, dir, cfg)
			sound(t, v)
		case n < 130:
			m.compare(t, v, rng)
		case n < 700:
			m.broadcast(t, v, rng, i)
		default:
			source := 1 + rng.Uint64N(8)
			check(t, v.SetDone(source, m.done[source]+1))
			m.done[source]++
		}
		if t.Failed() {
			t.Fatalf("in step %d", i)
		}
	}
	m.compare(t, v, rng)
	sound(t, v)
}

func (m *model) begin(t *testing.T, v *Vault, rng *rand.Rand, i int) {
	t.Helper()
	b := Session{Key: key(byte(rng.UintN(256))), Epoch: rng.Uint32(), Texts: texts(i)}
	s, err := v.Begin(b)
	if len(m.sessions) == 64 {
		want(t, err, ErrFull)
		return
	}
	check(t, err)
	if s.ID() <= m.newest {
		t.Errorf("session %x comes after %x", s.ID(), m.newest)
	}
	m.newest = s.ID()
	m.sessions[s.ID()] = &modelSession{key: b.Key, epoch: b.Epoch, state: Live, texts: b.Texts}
}

// some returns one of the sessions.
func (m *model) some(t *testing.T, v *Vault, rng *rand.Rand) (Slot, *modelSession) {
	t.Helper()
	list := sessions(v)
	if len(list) == 0 {
		return Slot{}, nil
	}
	s := list[rng.IntN(len(list))]
	is := m.sessions[s.ID()]
	if is == nil {
		t.Fatalf("there is a session %x", s.ID())
	}
	return s, is
}

func (m *model) free(t *testing.T, v *Vault, rng *rand.Rand) {
	t.Helper()
	if s, is := m.some(t, v, rng); is != nil {
		check(t, s.Free())
		delete(m.sessions, s.ID())
	}
}

func (m *model) change(t *testing.T, v *Vault, rng *rand.Rand, i int) {
	t.Helper()
	s, is := m.some(t, v, rng)
	if is == nil {
		return
	}
	switch rng.IntN(9) {
	case 0:
		is.epoch = rng.Uint32()
		check(t, s.SetEpoch(is.epoch))
	case 1:
		is.accepted += rng.Uint64N(100)
		check(t, s.SetAccepted(is.accepted))
	case 2:
		is.state, is.since = Away, rng.Int64N(1<<41)
		check(t, s.SetAway(is.since))
	case 3:
		is.state, is.since = Live, 0
		check(t, s.SetLive())
	case 4:
		is.state, is.since = Ended, 0
		check(t, s.End(rng.Uint32()))
	case 5:
		is.texts.Binding = fmt.Append(nil, "bound ", i)
		check(t, s.SetBinding(is.texts.Binding))
	case 6:
		is.texts.Identity = packet(i, rng.IntN(MaxIdentity+1))
		check(t, s.SetIdentity(is.texts.Identity))
	case 7:
		is.texts.Remote = fmt.Sprint(i)
		check(t, s.SetRemote(is.texts.Remote))
	default:
		is.texts.Groups = nil
		for range rng.IntN(9) {
			is.texts.Groups = append(is.texts.Groups, string(packet(i, rng.IntN(50))))
		}
		check(t, s.SetGroups(is.texts.Groups))
	}
}

// broadcast puts a packet for some sessions.
func (m *model) broadcast(t *testing.T, v *Vault, rng *rand.Rand, i int) {
	t.Helper()
	o := Origin{Source: rng.Uint64N(5), Number: uint64(i), Item: rng.Uint32N(9)}
	data := packet(i, rng.IntN(1<<rng.IntN(12)))
	ref := put(t, v, o, data)
	m.put(o, data)
	v.Slots(func(s Slot) bool {
		if rng.IntN(3) == 0 {
			is := m.sessions[s.ID()]
			is.packets = append(is.packets, len(m.entries)-1)
			if n := s.Add(ref); n != uint64(len(is.packets)) {
				t.Errorf("session %x has %d packets, want %d", s.ID(), n, len(is.packets))
			}
		}
		return true
	})
}

func (m *model) compare(t *testing.T, v *Vault, rng *rand.Rand) {
	t.Helper()
	list := sessions(v)
	if len(list) != len(m.sessions) {
		t.Errorf("%d sessions, want %d", len(list), len(m.sessions))
	}
	for _, s := range list {
		is := m.sessions[s.ID()]
		if is == nil {
			t.Fatalf("there is a session %x", s.ID())
		}
		if s.Key() != is.key || s.Epoch() != is.epoch || s.State() != is.state || s.AwaySince() != is.since || s.Accepted() != is.accepted ||
			s.Sent() != uint64(len(is.packets)) || !sameTexts(s.Texts(), is.texts) {
			t.Errorf("session %x is %v since %d, epoch %d, accepted %d, sent %d, %+v; want %+v",
				s.ID(), s.State(), s.AwaySince(), s.Epoch(), s.Accepted(), s.Sent(), s.Texts(), is)
		}
		m.compareNewest(t, s, is)
		for range 4 {
			m.compareSince(t, s, is, max(0, len(is.packets)+1-rng.IntN(300)>>rng.IntN(8)))
		}
	}
	for source := range uint64(9) {
		if v.Done(source) != m.done[source] {
			t.Errorf("done of %d is %d, want %d", source, v.Done(source), m.done[source])
		}
	}
}

func (m *model) compareNewest(t *testing.T, s Slot, is *modelSession) {
	t.Helper()
	o, ok := s.Newest()
	n := len(is.packets)
	if n == 0 || !m.there(is.packets[n-1]) {
		if ok {
			t.Errorf("session %x has a newest packet, of %+v", s.ID(), o)
		}
		return
	}
	if w := m.entries[is.packets[n-1]].o; !ok || o != w || s.Has(o) != (w.Source != 0) {
		t.Errorf("session %x has the newest packet of %+v, %v; want %+v", s.ID(), o, ok, w)
	}
}

func (m *model) compareSince(t *testing.T, s Slot, is *modelSession, received int) {
	t.Helper()
	got, err := s.Since(uint64(received), nil)
	list, wrong := m.since(is, received)
	if !errors.Is(err, wrong) || len(got) != len(list) {
		t.Errorf("session %x since %d of %d: %d packets, %v; want %d, %v", s.ID(), received, len(is.packets), len(got), err, len(list), wrong)
		return
	}
	for i := range got {
		if !bytes.Equal(got[i], list[i]) {
			t.Errorf("session %x: packet %d is %.40q, want %.40q", s.ID(), received+i+1, got[i], list[i])
		}
	}
}

// sameTexts compares texts; no bytes are no bytes, nil or not.
func sameTexts(a, b Texts) bool {
	return bytes.Equal(a.Binding, b.Binding) && bytes.Equal(a.Identity, b.Identity) && a.Remote == b.Remote &&
		(len(a.Groups) == 0 && len(b.Groups) == 0 || reflect.DeepEqual(a.Groups, b.Groups))
}
