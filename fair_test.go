// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"slices"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// flooded returns an inbox with a full lane from a and a few messages from c.
func flooded(t *testing.T, few int) (d *skybus.Domain, to *skybus.Endpoint, many int) {
	d = open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 256 << 10}})
	to = bind(t, d, b)
	many = fill(t, bind(t, d, a), b, 16)
	slow := bind(t, d, c)
	for range few {
		send(t, slow, b, "few")
	}
	return d, to, many
}

// order receives everything and returns how many messages of each source came
// before the last one of c.
func order(t *testing.T, to *skybus.Endpoint, take func(each func(m skybus.Message))) (before map[addr.Addr]int) {
	before = map[addr.Addr]int{}
	var list []addr.Addr
	take(func(m skybus.Message) { list = append(list, m.Src) })
	last := len(list) - 1
	for last >= 0 && list[last] != c {
		last--
	}
	for _, src := range list[:last+1] {
		before[src]++
	}
	return before
}

// TestFloodDoesNotStarve: the flooded lane has its turn, and no more.
func TestFloodDoesNotStarve(t *testing.T) {
	const few = 10
	takes := map[string]struct {
		most int // messages of the flood that may come before the last of the few
		take func(to *skybus.Endpoint, each func(skybus.Message))
	}{
		"Receive": {channel.BatchSize, func(to *skybus.Endpoint, each func(skybus.Message)) {
			_, err := to.Poll(1<<20, func(m skybus.Message) error { each(m); return nil })
			if err != nil {
				t.Error(err)
			}
		}},
		"Recv": {few + 1, func(to *skybus.Endpoint, each func(skybus.Message)) {
			for m, err := to.TryRecv(); err == nil; m, err = to.TryRecv() {
				each(m)
			}
		}},
	}
	for name, x := range takes {
		t.Run(name, func(t *testing.T) {
			_, to, many := flooded(t, few)
			before := order(t, to, func(each func(skybus.Message)) { x.take(to, each) })
			if before[c] != few || before[a] > x.most || many < 10*x.most {
				t.Errorf("%d messages of a flood of %d came before the last of %d others", before[a], many, before[c])
			}
		})
	}
}

// TestPriorityIsMoreTurns: a lane of priority p is drained 1+p batches a turn.
func TestPriorityIsMoreTurns(t *testing.T) {
	for _, priority := range []uint8{0, 1, 3} {
		d := open(t, skybus.Options{AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 256 << 10}})
		to := bind(t, d, b)
		fill(t, bind(t, d, a), b, 16)
		fill(t, bind(t, d, c), b, 16)
		if err := d.Table().SetPriority(channel.Pair{Src: c, Dst: b}, priority); err != nil {
			t.Fatal(err)
		}
		var list []addr.Addr
		_, err := to.Poll(20*channel.BatchSize, func(m skybus.Message) error { list = append(list, m.Src); return nil })
		if err != nil {
			t.Fatal(err)
		}
		runs := turns(list)
		if want := (1 + int(priority)) * channel.BatchSize; slices.Max(runs[c]) != want || slices.Max(runs[a]) != channel.BatchSize {
			t.Errorf("priority %d: turns of %v and %v messages, want %d", priority, runs[c], runs[a], want)
		}
	}
}

// turns returns how many messages of each source came in a row.
func turns(list []addr.Addr) map[addr.Addr][]int {
	runs := map[addr.Addr][]int{}
	for i, src := range list {
		if i == 0 || list[i-1] != src {
			runs[src] = append(runs[src], 0)
		}
		runs[src][len(runs[src])-1]++
	}
	return runs
}

// TestHandlerOfOneLaneStopsNoOther: messages of a lane whose handler fails again
// and again do not keep the others from coming.
func TestHandlerOfOneLaneStopsNoOther(t *testing.T) {
	d := dynamic(t)
	to := bind(t, d, b)
	send(t, bind(t, d, a), b, "bad")
	slow := bind(t, d, c)
	for range 5 {
		send(t, slow, b, "good")
	}
	good, bad := 0, 0
	for range 20 {
		_, _ = to.Poll(1, func(m skybus.Message) error {
			if m.Src == a {
				bad++
				return errBoom
			}
			good++
			return nil
		})
	}
	if good != 5 || bad < 5 {
		t.Errorf("%d good messages were handled, the bad one was offered %d times", good, bad)
	}
}
