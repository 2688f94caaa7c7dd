// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A faultKind is what goes wrong.
type faultKind int

const (
	badWire     faultKind = iota // loss, delay, reorder, duplicate, a low rate
	partitioned                  // a host has no network
	oneWay                       // what a host sends is dropped
	cut                          // two hosts have no network between them
	daemonDead                   // a daemon is killed, and started later
	daemonStopped
	vesselDead // a sender or receiver is killed, and started later
	vesselStopped
	faultKinds
)

var faultNames = [faultKinds]string{
	"bad wire", "partition", "one way", "cut", "daemon dead", "daemon stopped", "process dead", "process stopped",
}

// weights say how often a kind is drawn.
var weights = [faultKinds]int{4, 2, 1, 1, 2, 1, 5, 3}

const (
	faultPace = 250 * time.Millisecond // between the beginnings of two faults, on average

	// linkShare is the part of the time that a host may be without network.
	linkShare = 0.3
)

// A fault is something wrong for a while.
type fault struct {
	kind     faultKind
	host     int // or the vessel
	other    int // of a cut
	from, to time.Duration
	words    []string // of a bad wire
	killed   bool     // who was stopped is killed at the end
}

func (f fault) String() string {
	s := fmt.Sprintf("%8.3fs to %8.3fs %s %d", f.from.Seconds(), f.to.Seconds(), faultNames[f.kind], f.host)
	switch {
	case f.kind == cut:
		s += fmt.Sprintf(" from %d", f.other)
	case f.kind == badWire:
		s += ": " + strings.Join(f.words, " ")
	case f.killed:
		s += ", then killed"
	}
	return s
}

// needs names what the fault has to itself while it lasts.
func (f *fault) needs() []string {
	switch f.kind {
	case badWire:
		return []string{fmt.Sprint("wire ", f.host)}
	case partitioned, oneWay:
		return []string{fmt.Sprint("link ", f.host)}
	case cut:
		return []string{fmt.Sprint("link ", f.host), fmt.Sprint("link ", f.other)}
	case daemonDead, daemonStopped:
		return []string{fmt.Sprint("daemon ", f.host)}
	}
	return []string{fmt.Sprint("vessel ", f.host)}
}

// A scheduler draws faults.
type scheduler struct {
	rng            *rand.Rand
	total          time.Duration
	hosts, vessels int
	busy           map[string]time.Duration // until when
	apart          time.Duration            // hosts without network, all together
}

// schedule draws what goes wrong in a total time, with so many hosts and vessels.
// All is over by then. The same random numbers give the same schedule.
func schedule(rng *rand.Rand, total time.Duration, hosts, vessels int) (list []fault) {
	s := scheduler{rng: rng, total: total, hosts: hosts, vessels: vessels, busy: map[string]time.Duration{}}
	for at := time.Duration(0); ; {
		at += time.Duration(rng.ExpFloat64() * float64(faultPace))
		if at >= total {
			return list
		}
		if f, ok := s.draw(at); ok {
			list = append(list, f)
		}
	}
}

// draw draws a fault that begins at a time, unless its target has another one.
func (s *scheduler) draw(at time.Duration) (f fault, ok bool) {
	f = fault{kind: s.kind(), from: at, host: s.rng.IntN(s.hosts)}
	f.to = at + s.lasting(f.kind)
	f.killed = s.rng.IntN(2) == 0 && (f.kind == daemonStopped || f.kind == vesselStopped)
	switch f.kind {
	case badWire:
		f.words = s.netem()
	case cut:
		f.other = (f.host + 1 + s.rng.IntN(s.hosts-1)) % s.hosts
	case vesselDead, vesselStopped:
		f.host = s.rng.IntN(s.vessels)
	}
	f.to = min(f.to, s.total)
	if f.kind == partitioned || f.kind == oneWay || f.kind == cut {
		apart := s.apart + f.to - f.from
		if float64(apart) > linkShare*float64(s.hosts)*float64(f.to) {
			return f, false
		}
		defer func() {
			if ok {
				s.apart = apart
			}
		}()
	}
	for _, need := range f.needs() {
		if s.busy[need] > at {
			return f, false
		}
	}
	for _, need := range f.needs() {
		s.busy[need] = f.to
	}
	return f, true
}

// kind draws a kind by the weights.
func (s *scheduler) kind() faultKind {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := s.rng.IntN(sum)
	for k, w := range weights {
		if n -= w; n < 0 {
			return faultKind(k)
		}
	}
	return badWire
}

// lasting draws how long a fault of a kind lasts.
func (s *scheduler) lasting(k faultKind) time.Duration {
	switch k {
	case badWire:
		return s.between(500*time.Millisecond, 10*time.Second)
	case partitioned, oneWay, cut:
		return s.between(100*time.Millisecond, 30*time.Second)
	case daemonStopped:
		return s.between(10*time.Millisecond, 5*time.Second)
	}
	return s.between(time.Millisecond, 2*time.Second)
}

// between draws a time; each tenfold is as likely as the next.
func (s *scheduler) between(low, high time.Duration) time.Duration {
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), s.rng.Float64()))
}

// netem draws how bad a wire is: one thing or several.
func (s *scheduler) netem() (words []string) {
	for len(words) == 0 {
		if s.rng.IntN(2) == 0 {
			words = append(words, "loss", "5%")
		}
		if s.rng.IntN(2) == 0 {
			words = append(words, "delay", "10ms", "5ms")
			if s.rng.IntN(2) == 0 {
				words = append(words, "reorder", "25%")
			}
		}
		if s.rng.IntN(3) == 0 {
			words = append(words, "duplicate", "1%")
		}
		if s.rng.IntN(3) == 0 {
			words = append(words, "rate", fmt.Sprintf("%dmbit", 1+s.rng.IntN(20)))
		}
	}
	return words
}

// An event is the beginning or the end of a fault.
type event struct {
	fault
	at    time.Duration
	begin bool
}

// events puts the beginnings and ends of faults in order.
func events(faults []fault) (list []event) {
	for _, f := range faults {
		list = append(list, event{f, f.from, true}, event{f, f.to, false})
	}
	slices.SortStableFunc(list, func(a, b event) int {
		if a.at == b.at && a.begin != b.begin { // one ends before the next begins
			if a.begin {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.at, b.at)
	})
	return list
}

// TestSchedule: everything happens, nothing at the same place at the same time,
// all ends in time, and the seed decides.
func TestSchedule(t *testing.T) {
	seed := testutil.Seed(t)
	draw := func(total time.Duration) []fault { return schedule(rand.New(rand.NewPCG(seed, 0)), total, 3, 9) }
	if a, b := draw(time.Minute), draw(time.Minute); !reflect.DeepEqual(a, b) {
		t.Error("one seed gives two schedules")
	}
	count := map[faultKind]int{}
	until := map[string]fault{}
	apart := time.Duration(0)
	const total = time.Hour
	for _, f := range draw(total) {
		count[f.kind]++
		if f.from < 0 || f.to <= f.from || f.to > total || f.kind == cut && f.other == f.host || f.kind == badWire && len(f.words) == 0 {
			t.Errorf("%v", f)
		}
		for _, need := range f.needs() {
			if before, ok := until[need]; ok && before.to > f.from {
				t.Errorf("%s: %v, and %v", need, before, f)
			}
			until[need] = f
		}
		if f.kind == partitioned {
			apart += f.to - f.from
		}
	}
	for k := range faultKinds {
		if count[k] < 50 {
			t.Errorf("%s: %d times in %v", faultNames[k], count[k], total)
		}
	}
	if apart > total*3/2 {
		t.Errorf("hosts are without network for %v of %v", apart, total)
	}
}

func TestEventsAreInOrder(t *testing.T) {
	list := events(schedule(testutil.Rand(t), time.Minute, 3, 9))
	under := map[string]bool{}
	for i, e := range list {
		if i > 0 && e.at < list[i-1].at {
			t.Errorf("%v comes after %v", e.fault, list[i-1].fault)
		}
		for _, need := range e.needs() {
			if under[need] == e.begin {
				t.Errorf("%s: begins or ends twice at %v", need, e.at)
			}
			under[need] = e.begin
		}
	}
	for need, on := range under {
		if on {
			t.Errorf("%s has no end", need)
		}
	}
}
