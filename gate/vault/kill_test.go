// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

const (
	killSources  = 3
	killMessages = 400
	killSessions = 40
	killEach     = 60 // messages that one process handles at most, so that no session gets more than it keeps
)

var killConfig = Config{Sessions: 64, Ring: 1 << 16}

type gateArgs struct {
	Dir  string
	Seed uint64
	Life uint64
	IDs  []uint64
}

func init() { roles["gate"] = gate }

// killBus is the bus that all processes of the test know: the messages from a seed, the rest in a file.
func killBus(dir string, seed uint64) (*bus, error) {
	b := newBus(rand.New(rand.NewPCG(seed, 0)), killSources, killMessages, killSessions)
	words, err := killtest.OpenWords(filepath.Join(dir, "bus"), 2*(killSources+1))
	if err != nil {
		return nil, err
	}
	for i := range b.released {
		b.released[i], b.taken[i] = int(words.Get(2*i)), int(words.Get(2*i+1))
	}
	b.save = func() {
		for i := range b.released {
			words.Set(2*i, uint64(b.released[i]))
			words.Set(2*i+1, uint64(b.taken[i]))
		}
	}
	return b, nil
}

// gate handles messages until it is killed, or has had enough.
func gate(args []byte) error {
	a, err := killtest.Args[gateArgs](args)
	if err != nil {
		return err
	}
	b, err := killBus(a.Dir, a.Seed)
	if err != nil {
		return err
	}
	early := a.Life%4 == 0 // some are killed while they open it
	if early {
		fmt.Println("ready")
	}
	v, err := Open(a.Dir, home, killConfig, shm.Keep)
	if err != nil {
		return err
	}
	defer v.Close()
	if !early {
		fmt.Println("ready")
	}
	rng := rand.New(rand.NewPCG(a.Seed, a.Life))
	l := newLife(b, v, a.IDs, rng.IntN(3))
	l.slow = func() { // so that most of the time is spent between Put and the last Add
		begin := time.Now()
		for time.Since(begin) < 2*time.Microsecond {
			runtime.Gosched()
		}
	}
	handled := 0
	for tries := 0; handled < killEach && tries < 4*killEach; tries++ {
		more, err := l.handle(1 + rng.IntN(killSources))
		if err != nil {
			return err
		}
		if more {
			handled++
		}
	}
	fmt.Println(handled)
	select {} // what is not released yet comes again
}

// A process with the vault is killed again and again. Each session gets each packet once, and nothing is ever damaged.
func TestKills(t *testing.T) {
	testutil.NoLeaks(t)
	seed, dir := testutil.Seed(t), newFolder(t)
	rng := testutil.Rand(t)
	v := open(t, dir, killConfig)
	a := gateArgs{Dir: dir, Seed: seed}
	for n := range killSessions {
		a.IDs = append(a.IDs, begin(t, v, n).ID())
	}
	v.Close()
	clients := make([]client, killSessions)
	kills, cut := 0, 0
	for left := true; left; kills++ {
		a.Life++
		p := killtest.Start(t, "gate", a)
		if line := p.Line(); line != "ready" {
			t.Fatalf("the process says %q", line)
		}
		if testing.Short() || rng.IntN(3) == 0 {
			left = p.Line() != "0" // it may go as far as it goes
		} else {
			time.Sleep(time.Duration(rng.IntN(8000)) * time.Microsecond)
		}
		p.Kill()
		v = open(t, dir, killConfig) // the kernel has given the lock back
		sound(t, v)
		cut += len(v.cut)
		fetchAll(t, v, clients, a.IDs)
		v.Close()
		if t.Failed() {
			t.Fatalf("after kill %d", kills+1)
		}
	}
	b, err := killBus(dir, seed)
	check(t, err)
	v = open(t, dir, killConfig)
	l := newLife(b, v, a.IDs, 0)
	for source := range killSources {
		for more := true; more; {
			more, err = l.handle(source + 1)
			check(t, err)
		}
	}
	fetchAll(t, v, clients, a.IDs)
	b.judge(t, clients)
	t.Logf("%d kills, %d sessions had an item that was cut off", kills, cut)
}
