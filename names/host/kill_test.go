// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

type churnArgs struct {
	Dir  string
	Addr int
	Seed uint64
}

func init() { roles["churn"] = churn }

// churn asks for names and gives them up until it is killed.
func churn(args []byte) error {
	a, err := killtest.Args[churnArgs](args)
	if err != nil {
		return err
	}
	b, err := joinBus(a.Dir)
	if err != nil {
		return err
	}
	if err := b.bind(addr.Addr(a.Addr)); err != nil {
		return err
	}
	r, err := b.open()
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(a.Seed, uint64(a.Addr)))
	for i := 0; ; i++ {
		if i == 10 {
			fmt.Println("ready")
		}
		// The names of later steps are longer, and more: the table grows while processes die.
		name := fmt.Sprintf("%0*d", 1+rng.IntN(40), rng.IntN(20+i%2000))
		o := owner(a.Addr, 1+rng.IntN(3))
		time.Sleep(time.Duration(rng.IntN(200)) * time.Microsecond) // the others want the lock, too
		switch rng.IntN(3) {
		case 0:
			err = r.Release(context.Background(), name, o)
		default:
			_, err = r.Request(context.Background(), name, o, names.Flags(rng.UintN(8)))
		}
		if err != nil && !errors.Is(err, names.ErrNotOwner) && !errors.Is(err, names.ErrTaken) {
			return err
		}
	}
}

// Processes that change the names are killed again and again. No table is damaged, no dead one has a name in
// the end, and who watches knows what there is.
func TestKillsUnderChanges(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 8
	}
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	b := newBus(t)
	r := b.registry(t)
	l := watching(t, r, "")
	var procs []*killtest.Process
	begin := func(i int) *killtest.Process {
		return killtest.Start(t, "churn", churnArgs{b.dir, i + 1, rng.Uint64()})
	}
	for i := range 3 {
		procs = append(procs, begin(i))
	}
	for range kills {
		i := rng.IntN(len(procs))
		if line := procs[i].Line(); line != "ready" {
			t.Fatalf("a process says %q", line)
		}
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		procs[i].Kill()
		list, err := r.Check()
		check(t, err)
		for _, v := range list {
			if !v.Note {
				t.Errorf("damage: %s", v.What)
			}
		}
		procs[i] = begin(i)
	}
	for _, p := range procs[1:] {
		p.Kill()
	}
	eventually(t, "nothing of the dead", func() bool {
		list, err := r.List(t.Context(), "")
		check(t, err)
		return !slices.ContainsFunc(list, func(c names.Change) bool { return c.New.Addr != 1 })
	})
	if procs[0].Gone() {
		t.Errorf("the last process: %v", procs[0].Wait())
	}
	procs[0].Kill()
	eventually(t, "no name", func() bool {
		all := map[string]names.Owner{}
		for _, c := range l.get() {
			if all[c.Name] = c.New; c.New.IsZero() {
				delete(all, c.Name)
			}
		}
		return len(all) == 0
	})
	// The last one may have died in a change: who watches puts that right at one of the next looks.
	eventually(t, "a table that is whole", func() bool { list, err := r.Check(); return err == nil && len(list) == 0 })
	t.Logf("%d kills, %d changes were seen", kills, len(l.get()))
}

// A change of another process is seen soon, and its death within the time of a look.
func TestOtherProcess(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	check(t, b.bind(9))
	r := b.registry(t)
	request(t, r, "7", owner(9, 9), 0, names.Owns)
	l := watching(t, r, "")
	p := killtest.Start(t, "churn", churnArgs{b.dir, 1, 1})
	p.Line()
	eventually(t, "a name of the other process", func() bool {
		return slices.ContainsFunc(l.get(), func(c names.Change) bool { return c.New.Addr == 1 })
	})
	p.Kill()
	eventually(t, "its names to be gone", func() bool {
		list, err := r.List(t.Context(), "")
		check(t, err)
		return len(list) == 1 && list[0] == names.Change{Name: "7", New: owner(9, 9)}
	})
}
