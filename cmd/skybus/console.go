// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/console"
)

// envConsole stands in for the address of a console.
const envConsole = "SKYBUS_CONSOLE"

// consolePatience is how long a console may take to greet.
const consolePatience = 5 * time.Second

const consoleHelp = `console talks with the debug console that a program offers for its services: it
lists them and what they wait for, calls and ends them, and does what the program
has added; its command help lists it all.

ADDRESS is the path of a Unix socket (it has a slash, or begins with unix:) or
HOST:PORT; without it, the one in ` + envConsole + `. Without that, too, the consoles of this
host are listed, as skybus services finds them.

Commands are read from the standard input, a line each; an empty line is none. With -c they
are arguments, and the first that fails ends it. What a command writes goes to the
standard output, an error to the standard error. The exit code is 1 if one
failed, unless a terminal was typed at.`

func newConsoleCommand(a *app) *cobra.Command {
	var commands []string
	cmd := &cobra.Command{
		Use:   "console [ADDRESS]",
		Short: "Talk with the debug console of a program, or list those of this host",
		Long:  consoleHelp,
		Example: `  skybus console
  skybus console /run/arena/console.sock
  skybus console 127.0.0.1:8000 -c list
  skybus console 127.0.0.1:8000 -c 'timeout 1m' -c 'stop arena'`,
		Args: takes(0, 1, "ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && os.Getenv(envConsole) == "" && len(commands) == 0 {
				return a.listConsoles(cmd.Context())
			}
			address, err := consoleAddress(args)
			if err != nil {
				return err
			}
			if a.json {
				return usagef("--json: a console answers in text")
			}
			c, err := dialConsole(cmd.Context(), address)
			if err != nil {
				return err
			}
			defer c.Close()
			t := &terminal{app: a, c: c, typed: isTerminal(a.in)}
			if len(commands) > 0 {
				return t.runAll(cmd.Context(), commands)
			}
			return t.talk(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVarP(&commands, "command", "c", nil, "run `COMMAND` and end; may be repeated")
	complete(cmd, "command", oneOf("help", "list", "stat", "task stack", "mem", "names", "netstat"))
	return cmd
}

// consoleEntry is a console in JSON.
type consoleEntry struct {
	Address  string `json:"address"`
	Process  int    `json:"process"`
	Program  string `json:"program"`
	Node     string `json:"node,omitzero"`
	Services int    `json:"services"`
	Error    string `json:"error,omitzero"` // why nothing else is known
}

// listConsoles lists the consoles of this host, for who does not know their addresses.
func (a *app) listConsoles(ctx context.Context) error {
	p, err := a.consoles(nil)
	if err != nil {
		return err
	}
	asked := p.ask(ctx, "")
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case len(asked) == 0 && !a.json:
		a.printf("%s\n", p.empty())
		return nil
	}
	t := newTable("ADDRESS", ">PROCESS", "PROGRAM", "NODE", ">SERVICES")
	objects := []consoleEntry{}
	for i := range asked {
		v := &asked[i]
		objects = append(objects, consoleEntry{v.address, v.PID, v.title(), v.Node, v.Total, errorText(v.err)})
		if v.err != nil {
			a.warnf("%s: %s", printable(v.address), printable(v.err.Error()))
			continue
		}
		t.row(v.address, strconv.Itoa(v.PID), v.title(), orDash(v.Node), strconv.Itoa(v.Total))
	}
	return list(a, objects, t)
}

// consoleAddress returns the address that the arguments or the environment name.
func consoleAddress(args []string) (string, error) {
	where, address := envConsole, os.Getenv(envConsole)
	if len(args) > 0 {
		where, address = "ADDRESS", args[0]
	} else if address == "" {
		return "", usagef("which console? name its socket or HOST:PORT, or set %s", envConsole)
	}
	if _, _, err := console.ParseAddress(address); err != nil {
		return "", usagef("%s: %w", where, err)
	}
	return address, nil
}

func dialConsole(ctx context.Context, address string) (*console.Client, error) {
	bounded, cancel := context.WithTimeout(ctx, consolePatience)
	defer cancel()
	c, err := console.Dial(bounded, address)
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return nil, hinted(err, "somebody listens there, but is it a console?")
	}
	return c, err
}

// A terminal passes lines to a console and shows its answers.
type terminal struct {
	*app
	c      *console.Client
	typed  bool // somebody sits at the input
	failed bool // a command has
}

// runAll runs commands until one fails.
func (t *terminal) runAll(ctx context.Context, commands []string) error {
	for _, line := range commands {
		if more, err := t.do(ctx, line); err != nil || !more || t.failed {
			return t.ended(err)
		}
	}
	return nil
}

// talk runs the lines of the input.
func (t *terminal) talk(ctx context.Context) error {
	if t.typed {
		t.show(t.c.Greeting())
	}
	lines := make(chan line)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go readCommands(ctx, t.in, lines)
	for {
		if t.typed {
			t.printf("> ")
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case l := <-lines:
			switch {
			case errors.Is(l.err, io.EOF):
				if t.typed {
					t.printf("\n")
				}
				return t.ended(nil)
			case l.err != nil:
				return l.err
			case strings.TrimSpace(string(l.text)) == "":
				continue
			}
			if more, err := t.do(ctx, string(l.text)); err != nil || !more {
				return t.ended(err)
			}
		}
	}
}

// ended is what the program returns: at a terminal, all errors were seen.
func (t *terminal) ended(err error) error {
	if err == nil && t.failed && !t.typed {
		return errShown
	}
	return err
}

// do runs a command and shows its answer. more: the console has not ended the
// connection because it was asked to. The error is one of the connection.
func (t *terminal) do(ctx context.Context, text string) (more bool, err error) {
	out, err := t.c.Do(ctx, text)
	t.show(out)
	var answer *console.AnswerError
	switch {
	case errors.As(err, &answer):
		t.failed = true
		t.warnf("%s", printable(answer.Text))
	case ctx.Err() != nil:
		return false, errInterrupted
	case err != nil:
		return false, err
	}
	word := strings.TrimSpace(text)
	return word != "exit" && word != "quit", nil
}

// show writes what a console says: it may be anybody's, and tabs are all that goes to a
// terminal as it is.
func (t *terminal) show(text string) {
	if text == "" {
		return
	}
	for text := range strings.SplitSeq(text, "\n") {
		parts := strings.Split(text, "\t")
		for i := range parts {
			parts[i] = printable(parts[i])
		}
		t.printf("%s\n", strings.Join(parts, "\t"))
	}
}

// readCommands hands out lines without their ends. As in lineMessages, an interrupt
// leaves it behind.
func readCommands(ctx context.Context, in io.Reader, lines chan<- line) {
	r := bufio.NewReader(in)
	for {
		text, err := r.ReadString('\n')
		if text != "" {
			err = nil
		}
		select {
		case <-ctx.Done():
			return
		case lines <- line{text: []byte(strings.TrimRight(text, "\r\n")), err: err}:
		}
		if err != nil {
			return
		}
	}
}
