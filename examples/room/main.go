// SPDX-License-Identifier: Apache-2.0

// Room is a chat room: members join, what one says goes to all of them, one leaves, one
// crashes, and the room lives on. With -stay it is kept open instead, with a console.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"

	"github.com/skybus-io/skybus/actor"
)

// What the room is called with, and what it sends to all members: one value, which
// nobody may change.
type (
	join  struct{ name string }
	say   struct{ text string }
	leave struct{}
	line  struct{ text string }
)

// What a member is called with.
type (
	tell   struct{ text string } // say something in the room
	heard  struct{ n int }       // the lines, as soon as there are n
	stroke struct{}              // of bad luck
)

// newRoom makes a handler of a room. A Mux has a function for each type of value.
func newRoom() actor.Handler {
	names := map[actor.PID]string{}
	var all *actor.Group
	m := new(actor.Mux)
	m.OnStart(func(c *actor.Context) (err error) {
		all, err = c.Runtime().NewGroup()
		return err
	})
	m.OnStop(func(*actor.Context, error) { all.Close() })

	actor.Serve(m, func(c *actor.Context, j join) (int, error) {
		member := c.Message().From
		if err := all.Join(member); err != nil {
			return 0, err
		}
		// The room gets an actor.Down when the member ends, however that happens.
		if _, err := c.Monitor(member); err != nil {
			return 0, err
		}
		names[member] = j.name
		return len(names), c.Send(all.PID(), line{j.name + " joins"})
	})
	actor.Serve(m, func(c *actor.Context, s say) (int, error) {
		return len(names), c.Send(all.PID(), line{names[c.Message().From] + ": " + s.text})
	})

	// goodbye is for those that leave, and for those that crash.
	goodbye := func(c *actor.Context, member actor.PID, how string) error {
		name := names[member]
		if name == "" {
			return nil
		}
		all.Leave(member)
		delete(names, member)
		return c.Send(all.PID(), line{name + how})
	}
	actor.Serve(m, func(c *actor.Context, _ leave) (int, error) {
		err := goodbye(c, c.Message().From, " leaves")
		return len(names), err
	})
	actor.On(m, func(c *actor.Context, d actor.Down) error {
		return goodbye(c, d.Service, fmt.Sprintf(" is gone (%v)", d.Reason))
	})
	return m
}

// newMember makes a handler of a member, which remembers what it hears.
func newMember(name string, room actor.PID) actor.Handler {
	var lines []string
	m := new(actor.Mux)
	m.OnStart(func(c *actor.Context) error {
		_, err := c.Call(room, join{name}) // messages for the member wait until it has started
		return err
	})
	actor.On(m, func(c *actor.Context, l line) error {
		lines = append(lines, l.text)
		c.Wakeup("line")
		return nil
	})
	actor.Serve(m, func(c *actor.Context, h heard) ([]string, error) {
		for len(lines) < h.n {
			// Meanwhile the member goes on to hear lines: it waits, and does not block.
			if err := c.Wait("line"); err != nil {
				return nil, err
			}
		}
		return lines, nil
	})
	actor.Serve(m, func(c *actor.Context, t tell) (any, error) { return c.Call(room, say(t)) })
	actor.Serve(m, func(c *actor.Context, l leave) (any, error) { return c.Call(room, l) })
	actor.Serve(m, func(*actor.Context, stroke) (any, error) { panic("bad luck") })
	return m
}

func main() {
	open := flag.Bool("stay", false, "keep the room open, with a console, until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *open {
		err = stay(ctx, os.Stdout, slog.Default())
	} else {
		err = run(os.Stdout)
	}
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	defer rt.Close()
	room, err := rt.Start(ctx, actor.Spec{New: newRoom})
	if err != nil {
		return err
	}
	members := map[string]actor.PID{}
	for _, name := range []string{"ann", "bob", "cat"} {
		members[name], err = rt.Start(ctx, actor.Spec{
			New:     func() actor.Handler { return newMember(name, room) },
			OnPanic: actor.Fail, // a member that panics ends; without this it would go on
		})
		if err != nil {
			return err
		}
	}

	for _, act := range []struct {
		who  string
		what any
	}{{"ann", tell{"hello"}}, {"bob", tell{"hi ann"}}, {"bob", leave{}}, {"cat", stroke{}}} {
		left, err := rt.Call(ctx, members[act.who], act.what)
		var p *actor.PanicError
		if errors.As(err, &p) {
			fmt.Fprintf(w, "%s: %T: %v\n", act.who, act.what, p)
			continue
		}
		fmt.Fprintf(w, "%s: %T: members: %v, error: %v\n", act.who, act.what, left, err)
	}
	// The caller hears of the panic first, and the room a little later.
	if _, err := rt.Call(ctx, members["ann"], heard{7}); err != nil {
		return err
	}
	if _, err := rt.Call(ctx, members["ann"], tell{"anybody here?"}); err != nil {
		return err
	}
	return report(ctx, w, rt, members)
}

// report prints what two of the members have heard.
func report(ctx context.Context, w io.Writer, rt *actor.Runtime, members map[string]actor.PID) error {
	for _, last := range []struct {
		who   string
		lines int
	}{{"ann", 8}, {"bob", 4}} {
		lines, err := actor.AskRuntime[[]string](ctx, rt, members[last.who], heard{last.lines})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s has heard:\n", last.who)
		for _, l := range lines {
			fmt.Fprintf(w, "  %s\n", l)
		}
	}
	return nil
}
