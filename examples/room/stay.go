// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/console"
)

// stay keeps a room open until ctx is over, for whoever wants to look into a program:
// its console is where skybus services and skybus call find it.
func stay(ctx context.Context, w io.Writer, log *slog.Logger) error {
	rt := actor.New(actor.Config{Events: actor.Log(log)})
	defer rt.Close()
	room, err := rt.Start(ctx, actor.Spec{Name: "room", New: newRoom})
	if err != nil {
		return err
	}
	for _, name := range []string{"ann", "bob", "cat"} {
		member := func() actor.Handler { return newMember(name, room) }
		if _, err := rt.Start(ctx, actor.Spec{Name: name, New: member, OnPanic: actor.Fail}); err != nil {
			return err
		}
	}
	k, err := console.New(rt, console.Config{Name: "room", Value: parse})
	if err != nil {
		return err
	}
	ln, err := k.Listen(ctx, "")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `ann, bob and cat are in the room, until you interrupt it. In another terminal:
  skybus services
  skybus call ann say hello
  skybus call bob heard 3
  skybus call cat crash
  skybus console %v
`, ln.Addr())
	return k.Serve(ctx, ln)
}

// parse makes what a member is called with from the text of the command call. Without it
// the members would get maps and strings, which they do not know.
func parse(text string) (any, error) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "say":
		return tell{rest}, nil
	case "leave":
		return leave{}, nil
	case "crash":
		return stroke{}, nil
	case "heard":
		if n, err := strconv.Atoi(rest); err == nil {
			return heard{n}, nil
		}
	}
	return nil, errors.New("want say TEXT, heard NUMBER, leave or crash")
}
