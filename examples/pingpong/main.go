// SPDX-License-Identifier: Apache-2.0

// Pingpong is two services that throw a ball to each other: once with messages, and
// once with calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/skybus-io/skybus/actor"
)

// rounds is how often the ball goes there and back.
const rounds = 10_000

// The values that the services send each other. Inside a process a value is passed as
// it is, so a pointer is as good as a struct: who sends it gives it away.
type (
	serve struct{ to actor.PID } // to a player: begin, and answer when the game is over
	ball  struct{ hits int }
)

// A player is a service. No two handlers of it run at once, so its fields need no lock.
type player struct {
	seen int           // balls
	game actor.Request // who wants to know the result
}

// Handle is called for each message, one at a time.
func (p *player) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case serve:
		// The answer is not known yet. Later keeps the duty to answer, and the handler
		// returns: it must, or no ball would be handled.
		game, err := c.Later()
		if err != nil {
			return err
		}
		p.game = game
		return c.Send(v.to, &ball{})
	case *ball:
		p.seen++
		v.hits++
		if v.hits == 2*rounds {
			p.game.Reply(v.hits) // the one that has served has the last ball
			return nil
		}
		return c.Send(m.From, v)
	case string:
		return c.Reply(v + "-pong")
	}
	return fmt.Errorf("a player got a %T", m.Value)
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	defer rt.Close()

	// New is called for each start, so each service has a player of its own.
	spec := actor.Spec{New: func() actor.Handler { return &player{} }}
	ann, err := rt.Start(ctx, spec)
	if err != nil {
		return err
	}
	bob, err := rt.Start(ctx, spec)
	if err != nil {
		return err
	}

	// One-way messages. main is no handler, so it calls through the runtime.
	hits, err := rt.Call(ctx, ann, serve{to: bob})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "messages: %v hits\n", hits)

	// Calls: a third service asks bob again and again, and waits for each answer.
	asker, err := rt.Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		answers := 0
		for range rounds {
			answer, err := actor.Ask[string](c, bob, "ping")
			if err != nil {
				return err
			}
			if answer == "ping-pong" {
				answers++
			}
		}
		return c.Reply(answers)
	})})
	if err != nil {
		return err
	}
	answers, err := rt.Call(ctx, asker, "go")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "calls: %v answers\n", answers)

	// A service that is gone is an error, at once.
	if err := rt.Stop(ctx, bob); err != nil {
		return err
	}
	_, err = rt.Call(ctx, bob, "ping")
	fmt.Fprintf(w, "no such service: %v\n", errors.Is(err, actor.ErrNoService))
	return nil
}
