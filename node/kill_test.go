// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"victim": victim, "changeling": changeling, "namesake": namesake, "renewed": renewed})
	os.Exit(m.Run())
}

type victimPlan struct {
	Root   string // of the domain
	Ledger string
	Lane   int
	Most   uint64
}

// victim is a node with a service that answers calls and one that counts messages, until it
// is killed.
func victim(args []byte) error {
	plan, err := killtest.Args[victimPlan](args)
	if err != nil {
		return err
	}
	ledger, err := killtest.OpenReceived(plan.Ledger, 1, plan.Most)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: plan.Root, AllowUnknown: true})
	if err != nil {
		return err
	}
	fault := make(chan error, 1)
	_, err = Start(d, there, Config{Log: slog.New(slog.DiscardHandler), Services: []actor.Spec{
		{Name: "echo", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			if err := c.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond)))); err != nil {
				return err
			}
			return c.Reply(m.Value)
		})},
		{Name: "sink", New: actor.Func(func(_ *actor.Context, m *actor.Message) error {
			if err := ledger.Mark(0, uint64(m.Value.(int64)), m.Again, false); err != nil {
				fault <- err
			}
			return nil
		})},
	}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return <-fault
}

// A process is killed again and again, inside its handlers, too. Every call ends with its own answer or
// an error that says what happened; every message that was sent arrives, in order, and only
// those come twice that say so.
func TestKillsUnderCalls(t *testing.T) {
	const callers, most = 8, 1 << 20
	kills := 12
	if testing.Short() {
		kills = 3
	}
	rng := testutil.Rand(t)
	d := domain(t)
	a := begin(t, d, here, Config{Patience: patience}) // the first process may take a while to come
	plan := victimPlan{Root: filepath.Dir(d.Table().Folder()), Ledger: filepath.Join(t.TempDir(), "ledger"), Most: most}
	ledger, err := killtest.OpenReceived(plan.Ledger, 1, most)
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()

	var stop atomic.Bool
	var answered, failed atomic.Int64
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			for k := int64(i); !stop.Load(); k += callers {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				v, err := a.Runtime().Call(ctx, At(there), Named{"echo", k})
				cancel()
				switch {
				case err == nil && v == k:
					answered.Add(1)
				case err == nil:
					t.Errorf("request %d got the answer %v", k, v)
				case errors.Is(err, ErrPeerDied):
					failed.Add(1)
				default:
					t.Errorf("request %d: %v", k, err)
					return
				}
			}
		})
	}
	var sent int64
	work.Go(func() {
		for !stop.Load() && sent < most {
			if err := a.Runtime().Send(context.Background(), At(there), Named{"sink", sent + 1}); err != nil {
				t.Error(err)
				return
			}
			sent++
		}
	})
	p := killtest.Start(t, "victim", plan)
	for range kills {
		p.Line()
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		p.Kill()
		p = killtest.Start(t, "victim", plan)
	}
	p.Line()
	time.Sleep(100 * time.Millisecond)
	stop.Store(true)
	work.Wait()
	eventually(t, "the last message", func() bool { return ledger.Last(0) == uint64(sent) })
	tally := ledger.Tally(0, uint64(sent))
	if tally.Missing+tally.Doubled+tally.Beyond > 0 {
		t.Errorf("of %d messages: %+v", sent, tally)
	}
	if p.Gone() {
		t.Errorf("the last process: %v", p.Wait())
	}
	t.Logf("%d kills: %d calls were answered, %d failed; %d messages, %d came again", kills, answered.Load(), failed.Load(), sent, tally.Again)
	p.Kill()
}
