// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// timeVariable sets for how long things go wrong: 3m, 1h. go test wants a -timeout of
// some minutes more.
const timeVariable = "SKYBUS_TROUBLE_TIME"

// Time returns for how long a test lets things go wrong: what the environment's SKYBUS_TROUBLE_TIME says, or usual.
func Time(t testing.TB, usual time.Duration) time.Duration {
	t.Helper()
	s := os.Getenv(timeVariable)
	if s == "" {
		return usual
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q: want a time such as 3m", timeVariable, s)
	}
	return d
}

// A Signaler is a process that a test has started.
type Signaler interface{ Signal(sig syscall.Signal) }

// A trouble is something that goes wrong for a while.
type trouble struct {
	name  string
	begin func()
	end   func()
	most  time.Duration // it may last
}

// Trouble has things go wrong with the bus, one after the other as rng draws them, until the function that it
// returns is called: wires that lose and delay, a cut, a daemon that is killed and started again, daemons and
// processes that are stopped for a moment. None lasts longer than half a second; a link needs at most
// some seconds more to come up again. When stop has returned all is well again; it returns how often each has happened.
func (b *Bus) Trouble(rng *rand.Rand, processes ...Signaler) (stop func() map[string]int) {
	over, counts := make(chan struct{}), map[string]int{}
	var run sync.WaitGroup
	list := b.troubles(rng, processes)
	run.Go(func() {
		for {
			k := list[rng.IntN(len(list))]
			counts[k.name]++
			k.begin()
			rest(over, time.Duration(rng.Int64N(int64(k.most))))
			k.end()
			if rest(over, time.Duration(rng.Int64N(int64(400*time.Millisecond)))) {
				return
			}
		}
	})
	return func() map[string]int {
		close(over)
		run.Wait()
		return counts
	}
}

// rest waits for d, or until over is closed, which it reports.
func rest(over <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-t.C:
		return false
	}
}

// troubles are what may happen to the first two hosts, and to the processes.
func (b *Bus) troubles(rng *rand.Rand, processes []Signaler) []trouble {
	one, two := b.hosts[0].name, b.hosts[1].name
	list := []trouble{
		{"bad wire", func() { b.Netem(two, "loss", "2%", "delay", "2ms", "1ms") }, func() { b.Calm(two) }, 500 * time.Millisecond},
		{"cut", func() { b.Cut(one, two) }, func() { b.Heal(one) }, 400 * time.Millisecond},
	}
	for _, d := range b.Daemons {
		list = append(list,
			trouble{"daemon killed", d.Kill, d.Start, 200 * time.Millisecond},
			trouble{"daemon stopped", func() { d.Signal(syscall.SIGSTOP) }, func() { d.Signal(syscall.SIGCONT) }, 300 * time.Millisecond})
	}
	for _, p := range processes {
		list = append(list, trouble{"process stopped", func() { p.Signal(syscall.SIGSTOP) }, func() { p.Signal(syscall.SIGCONT) }, 300 * time.Millisecond})
	}
	return list
}
