// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/skybus-io/skybus/bench/internal/services"
)

const (
	mailboxSize = 1024
	noTimeout   = -1 // of a future: no timer
)

// protoActor is Proto.Actor with its defaults: no middleware, no metrics, a dispatcher that starts a goroutine
// for a mailbox that gets something, 300 messages a turn. Its log is thrown away.
type protoActor struct {
	mailbox   actor.MailboxProducer
	byMessage bool // ask by Request, the reply being a message, instead of by a future that is waited for
}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// protoActors are running actors. A PID keeps what it points to, so each is looked up once.
type protoActors struct {
	system *actor.ActorSystem
	handle services.Handler
	pids   []*actor.PID
}

var _ services.Services = (*protoActors)(nil)

// protoService is one of them.
type protoService struct {
	all  *protoActors
	self int
}

// Receive handles messages, and passes over what the system tells of the actor's own life.
func (s *protoService) Receive(c actor.Context) {
	if m, ok := c.Message().(*services.Message); ok {
		s.all.handle(s.all, s.self, m)
	}
}

// Start spawns n actors. The producer runs within the spawn of its actor, so it knows the number.
func (p protoActor) Start(n int, handle services.Handler) (services.Services, error) {
	all := &protoActors{system: quietSystem(), handle: handle, pids: make([]*actor.PID, 0, n)}
	props := actor.PropsFromProducer(func() actor.Actor {
		return &protoService{all, len(all.pids)}
	}, actor.WithMailbox(p.mailbox))
	for range n {
		pid, err := all.system.Root.SpawnNamed(props, all.system.ProcessRegistry.NextId())
		if err != nil {
			return nil, err
		}
		all.pids = append(all.pids, pid)
	}
	return all, nil
}

func (a *protoActors) Send(to int, m *services.Message) { a.system.Root.Send(a.pids[to], m) }

// Broadcast sends to one after the other, as a broadcast router does, without its envelope.
func (a *protoActors) Broadcast(m *services.Message) {
	for _, pid := range a.pids {
		a.system.Root.Send(pid, m)
	}
}

func (a *protoActors) Stop() error {
	for _, pid := range a.pids {
		a.system.Root.Stop(pid)
	}
	a.system.Shutdown()
	return nil
}

// begin has an actor start to ask.
type begin struct{}

// Ask asks from one actor to another.
func (p protoActor) Ask(a *services.Asks) error {
	system, done := quietSystem(), make(chan struct{})
	defer system.Shutdown()
	answer := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*services.Message); ok {
			services.Answer(m)
			c.Respond(m)
		}
	}, actor.WithMailbox(p.mailbox)))
	asker := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case begin:
			if p.byMessage {
				c.Request(answer, a.Next(nil))
				return
			}
			a.Loop(func(m *services.Message) (*services.Message, error) { return askFuture(c, answer, m) })
			close(done)
		case *services.Message:
			if next := a.Next(m); next != nil {
				c.Request(answer, next)
			} else {
				close(done)
			}
		}
	}, actor.WithMailbox(p.mailbox)))
	system.Root.Send(asker, begin{})
	<-done
	system.Root.Stop(asker)
	system.Root.Stop(answer)
	return nil
}

func askFuture(c actor.Context, target *actor.PID, m *services.Message) (*services.Message, error) {
	v, err := c.RequestFuture(target, m, noTimeout).Result()
	if err != nil {
		return nil, err
	}
	reply, _ := v.(*services.Message) // another type is nil, which is no reply
	return reply, nil
}
