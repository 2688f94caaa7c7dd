// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"slices"
	"testing"
)

func TestSince(t *testing.T) {
	v := open(t, newFolder(t), Config{Sessions: 64, Ring: 1 << 20, Replay: 4000})
	s := begin(t, v, 1)
	wantSince(t, s, 0)
	_, err := s.Since(1, nil)
	want(t, err, ErrAhead)
	var all [][]byte
	for i := range 300 {
		data := packet(i, 10)
		all = append(all, data)
		if n := s.Add(put(t, v, Origin{}, data)); n != uint64(i+1) {
			t.Fatalf("packet %d has number %d", i+1, n)
		}
	}
	for _, received := range []int{300, 299, 150, 44} {
		wantSince(t, s, uint64(received), all[received:]...)
	}
	for _, received := range []uint64{43, 0} {
		buf := [][]byte{[]byte("mine")}
		got, err := s.Since(received, buf)
		want(t, err, ErrTooOld)
		if len(got) != 1 {
			t.Errorf("with an error there are %d packets", len(got))
		}
	}
	_, err = s.Since(301, nil)
	want(t, err, ErrAhead)
	if got, err := s.Since(299, [][]byte{[]byte("mine")}); err != nil || len(got) != 2 || string(got[0]) != "mine" {
		t.Errorf("appended: %q, %v", got, err)
	}
}

// A session gets so many bytes again and no more, but for its newest packet.
func TestSinceEndsAtTheBytes(t *testing.T) {
	v := open(t, newFolder(t), Config{Sessions: 64, Ring: 1 << 20, Replay: 4000})
	s := begin(t, v, 1)
	large := packet(1, 5000)
	s.Add(put(t, v, Origin{}, large))
	wantSince(t, s, 0, large)
	a, b := packet(2, 2000), packet(3, 2000)
	s.Add(put(t, v, Origin{}, a))
	_, err := s.Since(0, nil)
	want(t, err, ErrTooOld)
	s.Add(put(t, v, Origin{}, b))
	wantSince(t, s, 1, a, b)
	s.Add(put(t, v, Origin{}, nil))
	wantSince(t, s, 1, a, b, nil)
	s.Add(put(t, v, Origin{}, []byte("x")))
	_, err = s.Since(1, nil)
	want(t, err, ErrTooOld)
	wantSince(t, s, 2, b, nil, []byte("x"))
}

// What the ring has written over is gone, also for a session that had nothing since.
func TestSinceEndsAtTheRing(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small)
	s, other := begin(t, v, 1), begin(t, v, 2)
	first := packet(0, 500)
	s.Add(put(t, v, Origin{Source: 1, Number: 1}, first))
	for i := 1; i < 8; i++ { // the first lap: 8 entries of 544 bytes do not fit
		if i < 7 {
			wantSince(t, s, 0, first)
		}
		other.Add(put(t, v, Origin{}, packet(i, 500)))
	}
	_, err := s.Since(0, nil)
	want(t, err, ErrTooOld)
	if o, ok := s.Newest(); ok {
		t.Errorf("a packet that is gone is of %+v", o)
	}
	v.Close()
	v = open(t, dir, small)
	sound(t, v)
	_, err = byID(t, v, s.ID()).Since(0, nil)
	want(t, err, ErrTooOld)
	wantSince(t, byID(t, v, other.ID()), 4, packet(5, 500), packet(6, 500), packet(7, 500))
}

// One packet lies once in the ring, for however many sessions.
func TestSharedPacket(t *testing.T) {
	v := open(t, newFolder(t), Config{Sessions: 1000, Ring: 1 << 20})
	data := packet(1, 16<<10)
	for i := range 1000 {
		begin(t, v, i)
	}
	ref := put(t, v, Origin{Source: 2, Number: 3, Item: 4}, data)
	for _, s := range sessions(v) {
		s.Add(ref)
	}
	if w := v.Stats().Written; w != 16<<10+entryHead {
		t.Errorf("%d bytes were written", w)
	}
	for _, s := range sessions(v) {
		wantSince(t, s, 0, data)
		if !s.Has(Origin{2, 3, 4}) || s.Has(Origin{2, 3, 3}) || s.Has(Origin{2, 2, 4}) || s.Has(Origin{1, 3, 4}) {
			t.Error("the newest packet is another one")
		}
	}
	data[0]++
	if list, _ := sessions(v)[0].Since(0, nil); bytes.Equal(list[0], data) {
		t.Error("the vault has the caller's bytes")
	}
}

// The ring ends after 4 PiB with an error.
func TestPositionsEnd(t *testing.T) {
	v := onHeap(t, small)
	v.written = maxPosition - 4
	_, err := v.Put(Origin{}, make([]byte, 200))
	want(t, err, ErrTooBig)
	s := begin(t, v, 1)
	s.Add(put(t, v, Origin{}, []byte("last")))
	wantSince(t, s, 0, []byte("last"))
}

func TestDone(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small)
	if v.Done(1) != 0 || v.Part(1, 1) != 0 {
		t.Error("a source that nobody knows has done something")
	}
	check(t, v.SetDone(1, 10))
	check(t, v.SetPart(1, 11, 2))
	check(t, v.SetPart(2, 1<<30, 7))
	check(t, v.SetPart(3, 5, maxParts))
	check(t, v.SetDone(0, 5))
	check(t, v.SetPart(0, 5, 1))
	for range 2 {
		for what, is := range map[string]bool{
			"done 1": v.Done(1) == 10, "part 1": v.Part(1, 11) == 2, "part of another message": v.Part(1, 12) == 0,
			"done 2": v.Done(2) == 0, "part 2": v.Part(2, 1<<30) == 7, "most parts": v.Part(3, 5) == maxParts, "nobody": v.Done(0) == 0 && v.Part(0, 5) == 0,
		} {
			if !is {
				t.Errorf("%s is wrong", what)
			}
		}
		v.Close()
		v = open(t, dir, small)
	}
}

// A source without room takes the place of that which was asked for last of all, and that is counted.
func TestEviction(t *testing.T) {
	dir := newFolder(t)
	v := open(t, dir, small) // of 4 sources
	for n := range uint64(4) {
		check(t, v.SetDone(n+1, 100+n))
	}
	v.Done(1)
	check(t, v.SetDone(5, 500))
	if v.Done(2) != 0 || v.Done(1) != 100 || v.Done(5) != 500 || v.Stats().Evicted != 1 || v.Stats().Sources != 4 {
		t.Errorf("done: %d, %d, %d, %+v", v.Done(1), v.Done(2), v.Done(5), v.Stats())
	}
	v.Close()
	v = open(t, dir, small)
	if v.Done(2) != 0 || v.Done(1) != 100 || v.Done(5) != 500 || v.Stats().Evicted != 1 {
		t.Errorf("opened again, done: %d, %d, %d, %+v", v.Done(1), v.Done(2), v.Done(5), v.Stats())
	}
}

// A session has the items that several deaths have cut off, each of another source, until they are done. Of more
// sources than there is room for one is forgotten, and that is counted.
func TestCutsOfManySources(t *testing.T) {
	v := onHeap(t, Config{Sessions: 64, Ring: minRing})
	id := begin(t, v, 1).ID()
	item := func(source uint64) Origin { return Origin{Source: source, Number: 2 * source, Item: 1} }
	die := func(source uint64) {
		byID(t, v, id).Add(put(t, v, item(source), []byte("x")))
		next, err := rejoin(v.image, Config{Sessions: 64, Ring: minRing})
		check(t, err)
		sound(t, next)
		v = next
	}
	has := func() (list []uint64) {
		byID(t, v, id).Add(put(t, v, Origin{}, []byte("newer")))
		for source := range uint64(8) {
			if byID(t, v, id).Has(item(source)) {
				list = append(list, source)
			}
		}
		return list
	}
	for source := uint64(1); source <= cuts; source++ {
		die(source)
	}
	if got := has(); !slices.Equal(got, []uint64{1, 2, 3, 4}) || v.Stats().Forgotten != 0 {
		t.Errorf("after %d deaths it has the items of %v", cuts, got)
	}
	check(t, v.SetPart(2, 4, 1)) // item 0
	check(t, v.SetPart(3, 6, 2)) // item 1, too
	check(t, v.SetDone(4, 8))
	if got := has(); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("when two are done it has the items of %v", got)
	}
	for source := uint64(5); source <= 7; source++ {
		die(source)
	}
	if got := has(); len(got) != cuts || slices.Contains(got, 1) || v.Stats().Forgotten != 1 {
		t.Errorf("after more deaths it has the items of %v, %d are forgotten", got, v.Stats().Forgotten)
	}
	check(t, byID(t, v, id).Free())
	if len(v.cut) != 0 {
		t.Error("a session that was freed has items")
	}
}
