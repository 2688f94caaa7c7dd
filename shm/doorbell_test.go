// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

func init() { children["ringer"] = ringer }

// long is a wait that ends only because nobody rang, also on a machine that stood still for a minute.
const long = 90 * time.Second

func TestNotifyOfWhoIsAwake(t *testing.T) {
	var b Doorbell
	var last uint32
	if b.Notify(&last) || b.Count() != 0 || b.Sleeping() != 0 {
		t.Error("rang for nobody")
	}
	b.Sleep(1)
	b.Awake(1)
	if b.Notify(&last) {
		t.Error("rang for a reader that has woken")
	}
	b.Sleep(2)
	b.Reset()
	if b.Notify(&last) || b.Count() != 0 {
		t.Error("rang for a reader that has gone")
	}
}

func TestNotifyOncePerEpisode(t *testing.T) {
	var b Doorbell
	var one, two uint32
	b.Sleep(1)
	if !b.Notify(&one) || b.Notify(&one) {
		t.Error("one writer does not ring once")
	}
	if !b.Notify(&two) || b.Count() != 2 {
		t.Error("the other writer does not ring")
	}
	b.Sleep(2)
	if !b.Notify(&one) || b.Count() != 3 {
		t.Error("nobody rang in the next episode")
	}
	b.Awake(1) // late
	if b.Sleeping() != 2 {
		t.Error("the end of one episode took back the next")
	}
}

func TestWaitEnds(t *testing.T) {
	var b Doorbell
	clock := testutil.StartClock()
	b.Wait(b.Count()+1, long) // it rang already
	if took := clock.Stop(); took > long/2 {
		t.Errorf("a wait for what has happened took %v", took)
	}
	clock = testutil.StartClock()
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
		b.Wait(b.Count(), 20*time.Millisecond)
	}
	if took := clock.Stop(); took > long/2 {
		t.Errorf("a wait of 20 ms took %v", took)
	}
}

func TestRingWakesAll(t *testing.T) {
	var b Doorbell
	woken := make(chan bool, 3)
	d := b.Count()
	for range cap(woken) {
		go func() {
			for b.Count() == d {
				b.Wait(d, long)
			}
			woken <- true
		}()
	}
	time.Sleep(20 * time.Millisecond) // most of them wait by now
	clock := testutil.StartClock()
	b.Ring()
	for range cap(woken) {
		<-woken // after long at the latest
	}
	if took := clock.Stop(); took > long/2 {
		t.Errorf("somebody slept on for %v", took)
	}
}

// A box is a place for one number, with the doorbell of whoever reads it.
type box struct {
	bell    *Doorbell
	number  *atomic.Uint64
	episode uint32
	last    uint32
}

func (x *box) put(n uint64) {
	x.number.Store(n)
	x.bell.Notify(&x.last)
}

// await waits until the number is n, by the protocol. A wait that nobody ended is false.
func (x *box) await(n uint64) bool {
	for end := time.Now().Add(long); ; {
		d := x.bell.Count()
		x.episode++
		x.bell.Sleep(x.episode)
		if x.number.Load() == n {
			x.bell.Awake(x.episode)
			return true
		}
		x.bell.Wait(d, long)
		x.bell.Awake(x.episode)
		if time.Now().After(end) {
			return false
		}
	}
}

// echo sends back what comes, n times.
func echo(in, out *box, n uint64) bool {
	for i := range n {
		if !in.await(i + 1) {
			return false
		}
		out.put(i + 1)
	}
	return true
}

// boxes are two, in a segment's memory or any other.
func boxes(mem []byte) (there, back *box) {
	at := func(off int) *box {
		return &box{bell: View[Doorbell](mem, off), number: View[atomic.Uint64](mem, off+DoorbellSize)}
	}
	return at(1024), at(2048)
}

const echoes = 2000

func pingPong(t *testing.T, there, back *box) {
	t.Helper()
	for i := range uint64(echoes) {
		there.put(i + 1)
		if !back.await(i + 1) {
			t.Fatalf("number %d did not come back", i+1)
		}
	}
}

func TestDoorbellBetweenGoroutines(t *testing.T) {
	testutil.NoLeaks(t)
	mem := make([]byte, testSize) // so large a slice of Go's heap is aligned to a page
	there, back := boxes(mem)
	otherThere, otherBack := boxes(mem)
	done := make(chan bool)
	go func() { done <- echo(otherThere, otherBack, echoes) }()
	pingPong(t, there, back)
	if !<-done {
		t.Error("the other side waited in vain")
	}
}

func TestDoorbellBetweenProcesses(t *testing.T) {
	s := newSegment(t)
	cmd := hurried(child("ringer", s.Path()))
	check(t, cmd.Start())
	defer kill(cmd)
	there, back := boxes(s.Mem())
	pingPong(t, there, back)
	check(t, cmd.Wait())
}

func ringer(args []string) error {
	s, err := Open(args[0], testMagic, false)
	if err != nil {
		return err
	}
	defer s.Close()
	if there, back := boxes(s.Mem()); !echo(there, back, echoes) {
		return errors.New("waited in vain")
	}
	return nil
}
