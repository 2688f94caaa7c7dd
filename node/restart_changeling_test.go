// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/node/codec"
)

const generationVariable = "SKYBUS_TEST_GENERATION"

// A changelingPlan is what a process does that becomes another program again and again.
type changelingPlan struct {
	Root     string // of the domain
	Ledger   string
	Most     uint64
	Restarts int
	Rest     int    // ms between two restarts, at most
	Killed   bool   // the process is killed now and then
	Odd      string // what goes wrong
	Log      string // file for how it has ended; "": none
}

// changeling has services that are carried, and restarts itself.
func changeling(args []byte) error {
	plan, err := killtest.Args[changelingPlan](args)
	if err != nil {
		return err
	}
	err = change(plan)
	if err != nil && plan.Log != "" {
		return errors.Join(err, os.WriteFile(plan.Log, []byte(err.Error()), 0o600))
	}
	return err
}

func change(plan changelingPlan) error {
	generation, _ := strconv.Atoi(os.Getenv(generationVariable))
	ledger, err := killtest.OpenReceived(plan.Ledger, 2, plan.Most)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: plan.Root, AllowUnknown: true})
	if err != nil {
		return err
	}
	if err := oddAtStart(d, &plan, generation); err != nil {
		return err
	}
	fault := make(chan error, 1)
	types := codec.NewRegistry(codec.Limits{})
	if err := codec.Register[*order](types, "test.order"); err != nil {
		return err
	}
	n, err := Start(d, there, Config{Codec: types, Services: changelingServices(ledger, fault, plan.Killed), Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	if generation == 0 {
		fmt.Println("ready")
		time.Sleep(500 * time.Millisecond) // lanes grow
	}
	if generation < plan.Restarts {
		time.Sleep(time.Duration(rand.IntN(plan.Rest)+1) * time.Millisecond)
		select {
		case err := <-fault:
			return err
		default:
		}
		os.Setenv(generationVariable, strconv.Itoa(generation+1))
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		err := n.Restart(ctx, RestartOptions{Grace: 90 * time.Second})
		cancel()
		return fmt.Errorf("restart %d: %w", generation+1, err)
	}
	fmt.Println("done")
	return <-fault
}

// A counter counts what it is sent, and answers with how many that were.
type counter struct {
	N       int64
	refuses bool                      // its Snapshot fails
	ms      int                       // it answers so much later
	later   map[actor.RequestID]int64 // answers that it owes
}

func (t *counter) Handle(c *actor.Context, m *actor.Message) error {
	t.N++
	if t.ms == 0 {
		return c.Reply(t.N)
	}
	r, err := c.Later()
	if err != nil {
		return err
	}
	t.owe(c, r, m.Value.(int64))
	return nil
}

func (t *counter) owe(c *actor.Context, r actor.Request, v int64) {
	t.later[r.ID()] = v
	c.After(time.Duration(rand.IntN(t.ms))*time.Millisecond, func(*actor.Context) {
		delete(t.later, r.ID())
		r.Reply(v)
	})
}

type counterState struct {
	N     int64
	Later []owed
}

type owed struct {
	ID actor.RequestID
	V  int64
}

func (t *counter) Snapshot(*actor.Context) ([]byte, error) {
	if t.refuses {
		return nil, errSnapshot
	}
	s := counterState{N: t.N}
	for id, v := range t.later {
		s.Later = append(s.Later, owed{id, v})
	}
	return json.Marshal(s)
}

func (t *counter) Restore(c *actor.Context, snapshot []byte) error {
	var s counterState
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return err
	}
	t.N = s.N
	for _, o := range s.Later {
		r, err := c.Resume(o.ID)
		if err != nil {
			return err
		}
		t.owe(c, r, o.V)
	}
	return nil
}

// changelingServices are what the other side talks to.
func changelingServices(ledger *killtest.Received, fault chan error, killed bool) []actor.Spec {
	fail := func(err error) {
		select {
		case fault <- err:
		default:
		}
	}
	sink := func(lane int) func() actor.Handler {
		return actor.Func(func(_ *actor.Context, m *actor.Message) error {
			if err := ledger.Mark(lane, uint64(m.Value.(int64)), m.Again, false); err != nil {
				fail(err)
			}
			if m.Again && !killed {
				fail(fmt.Errorf("message %d is flagged, and nobody was killed", m.Value))
			}
			return nil
		})
	}
	return []actor.Spec{
		{Name: "sink", New: sink(0), Stateless: true},
		{Name: "sink2", New: sink(1), Stateless: true, Mailbox: actor.Mailbox{Capacity: 50}},
		{Name: "echo", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			if err := c.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond); err != nil {
				return err
			}
			return c.Reply(m.Value)
		}), Stateless: true},
		{Name: "back", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			v, err := c.Call(At(here), Named{"home", m.Value})
			if err != nil {
				return err
			}
			return c.Reply(v)
		}), Stateless: true},
		{Name: "counter", New: func() actor.Handler { return &counter{} }},
		{Name: "later", New: func() actor.Handler { return &counter{ms: 20, later: map[actor.RequestID]int64{}} }},
		{Name: "member", New: func() actor.Handler { return &counter{} }},
		{Name: "observer", New: actor.Func(observe), Stateless: true},
	}
}

// observe watches the PID that it is sent, joins its end to a PID below "link", and passes on what it hears to here.
func observe(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case *order:
		if v.Player == "link" {
			return errors.Join(c.Link(v.Next), c.Reply(nil))
		}
		if _, err := c.Monitor(v.Next); err != nil {
			return err
		}
		return c.Reply(nil)
	case actor.Down:
		return c.Send(At(here), Named{"heard", &order{Player: "down", Next: v.Service}})
	}
	return nil
}
