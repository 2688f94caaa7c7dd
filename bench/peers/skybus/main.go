// SPDX-License-Identifier: Apache-2.0

// Skybus measures Skybus's services in one process, package actor.
//
//	skybus skybus CASE --size N --duration 1s
package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/bench/internal/services"
)

func main() { services.Run(map[string]services.Runtime{"skybus": skybus{}}) }

// skybus is a Runtime with its defaults.
type skybus struct{}

// A sender is a handler's way to send: a Context, which is where it is without a word of memory more.
type sender actor.Context

// current are the services of this process, which measures one case once.
var current *fleet

// fleet are running services.
type fleet struct {
	rt    *actor.Runtime
	pids  []actor.PID
	group *actor.Group

	mu  sync.Mutex
	err error
}

func newRuntime() *actor.Runtime { return actor.New(actor.Config{Events: actor.Log(slog.Default())}) }

// Start starts n services.
func (skybus) Start(n int, handle services.Handler) (services.Services, error) {
	all := &fleet{rt: newRuntime(), pids: make([]actor.PID, n)}
	current = all
	for i := range n {
		p, err := all.rt.Spawn(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			handle((*sender)(c), i, m.Value.(*services.Message))
			return nil
		})})
		if err != nil {
			return nil, err
		}
		all.pids[i] = p
	}
	return all, nil
}

func (s *sender) Send(to int, m *services.Message) {
	current.note((*actor.Context)(s).Send(current.pids[to], m))
}

func (s *fleet) Send(to int, m *services.Message) {
	s.note(s.rt.Send(context.Background(), s.pids[to], m))
}

func (s *fleet) note(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// Broadcast sends to a group that all services are in.
func (s *fleet) Broadcast(m *services.Message) {
	if s.group == nil {
		g, err := s.rt.NewGroup()
		for _, p := range s.pids {
			if err == nil {
				err = g.Join(p)
			}
		}
		if err != nil {
			s.note(err)
			return
		}
		s.group = g
	}
	s.note(s.rt.Send(context.Background(), s.group.PID(), m))
}

func (s *fleet) Stop() error {
	s.rt.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Ask asks from one service to another.
func (skybus) Ask(a *services.Asks) error {
	rt := newRuntime()
	defer rt.Close()
	answer, err := rt.Spawn(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		v := m.Value.(*services.Message)
		services.Answer(v)
		return c.Reply(v)
	})})
	if err != nil {
		return err
	}
	asker, err := rt.Spawn(actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		a.Loop(func(m *services.Message) (*services.Message, error) {
			return actor.Ask[*services.Message](c, answer, m)
		})
		return c.Reply(nil)
	})})
	if err != nil {
		return err
	}
	if _, err := rt.Call(context.Background(), asker, nil); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return nil
}
