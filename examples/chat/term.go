// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/talk"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
)

const termHelp = `/join ROOM   go to a room, and be in it
/leave       leave the room
/nick NAME   change your name
/who         who is in the room
/rooms       what rooms there are
/quit        end`

// A terminal is a client that reads and writes lines.
type terminal struct {
	t    *talk.Talker
	mu   sync.Mutex
	out  io.Writer
	room string
}

func term(ctx context.Context, args []string) error {
	f := newFlags("term")
	gate := f.String("gate", "127.0.0.1:7080", "`ADDRESS` of a gate")
	name := f.String("name", os.Getenv("USER"), "your `NAME`")
	if err := f.Parse(args); err != nil {
		return err
	}
	room := "lobby"
	if f.NArg() > 0 {
		room = f.Arg(0)
	}
	if err := errors.Join(wire.CheckName(*name), wire.CheckRoom(room)); err != nil {
		return err
	}
	t := &terminal{t: talk.New(*name), out: os.Stdout, room: room}
	return t.run(ctx, *gate, os.Stdin)
}

// run chats until its input ends, or ctx, or the session for good.
func (t *terminal) run(ctx context.Context, gate string, in io.Reader) error {
	t.t.Events = t.show
	link, err := talk.Connect(ctx, gate, t.t)
	if err != nil {
		return err
	}
	defer link.Close()
	t.t.Join(t.room)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-link.Done():
			return link.Err()
		case line, ok := <-lines:
			if !ok || line == "/quit" {
				return t.finish(ctx)
			}
			t.line(strings.TrimSpace(line))
		}
	}
}

// finish waits a moment for what was said last.
func (t *terminal) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := t.t.Until(ctx, func(s *talk.State) bool { return s.Unsaved() == 0 }); err != nil {
		s := t.t.State()
		return fmt.Errorf("%d messages are not known to be saved", s.Unsaved())
	}
	return nil
}

// line does what a line says.
func (t *terminal) line(line string) {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "":
	case "/join":
		if err := wire.CheckRoom(rest); err != nil {
			t.print("! %v", err)
			return
		}
		t.mu.Lock()
		t.room = rest
		t.mu.Unlock()
		t.t.Join(rest)
	case "/leave":
		t.t.Leave(t.at())
	case "/nick":
		if err := wire.CheckName(rest); err != nil {
			t.print("! %v", err)
			return
		}
		t.t.Nick(rest)
	case "/who":
		t.t.Ask(&wire.Request{T: wire.Members, Room: t.at(), Limit: wire.MaxPage})
	case "/rooms":
		t.t.Ask(&wire.Request{T: wire.Rooms})
	default:
		if strings.HasPrefix(word, "/") {
			t.print("%s", termHelp)
			return
		}
		t.t.Say(t.at(), line)
	}
}

func (t *terminal) at() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.room
}

func (t *terminal) print(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// show writes what has happened.
func (t *terminal) show(e *wire.Event) {
	switch e.T {
	case wire.Msg:
		if !e.Again {
			t.message(e.Room, e.Message)
		}
	case wire.Joined:
		t.print("-- %s: %d members, %d messages", e.Room, e.Count, e.Last)
		for i := range e.Messages {
			t.message(e.Room, &e.Messages[i])
		}
	case wire.Left:
		t.print("-- you have left %s", e.Room)
	case wire.Members:
		for _, m := range e.Members {
			t.print("   %s", m.Name)
		}
		t.print("-- %d members", e.Count)
	case wire.Rooms:
		for _, r := range e.Rooms {
			t.print("   %-32s %5d members %8d messages", r.Room, r.Count, r.Last)
		}
	case wire.Presence:
		for _, m := range e.In {
			t.print("-- %s is in %s", m.Name, e.Room)
		}
	case wire.Error:
		t.print("! %s", e.Why)
	}
}

func (t *terminal) message(room string, m *wire.Message) {
	t.print("%s %s <%s> %s", time.UnixMilli(m.At).Format("15:04"), room, m.Name, printable(m.Text))
}

// printable keeps what others have said from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// splitList cuts a list at its commas.
func splitList(s string) (list []string) {
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
