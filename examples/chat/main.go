// SPDX-License-Identifier: Apache-2.0

// Chat is a chat as a user would run it: browsers and terminals at a gate, rooms in several processes, a store that writes to
// SQLite. Any of its processes may be killed at any time. README.md tells how it is built.
//
//	chat                  all processes, as children of this one (up)
//	chat gate|store       one of them
//	chat room -number N
//	chat term NAME ROOM   a client in the terminal
//	chat bots -n 200      many clients, that check what they get
//	chat demo             all of it, with bots and a kill, and a verdict
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sort"
	"strings"
	"syscall"
)

// A command is what a word on the command line does.
type command struct {
	help string
	run  func(ctx context.Context, args []string) error
}

var commands = map[string]command{
	"up":    {"start all processes, and those again that die", up},
	"gate":  {"be a gate", runGate},
	"room":  {"be a room process", runRoom},
	"store": {"be the store", runStore},
	"term":  {"chat in the terminal", term},
	"bots":  {"be many clients that check what they get", bots},
	"demo":  {"start all, load it, kill a room process, and judge", demo},
}

func main() {
	// A child ignores the interrupt that a terminal sends to all: its parent tells it when to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		fmt.Printf("chat COMMAND -h has a command's flags. The commands, up if none is named, are\n%s\n", usage())
		return nil
	}
	name := "up"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	c, ok := commands[name]
	if !ok {
		return fmt.Errorf("there is no command %q; the commands are\n%s", name, usage())
	}
	return c.run(ctx, args)
}

func usage() string {
	var lines []string
	for name, c := range commands {
		lines = append(lines, fmt.Sprintf("  %-6s %s", name, c.help))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// newFlags returns the flags of a command, which report their errors rather than exit.
func newFlags(name string) *flag.FlagSet {
	return flag.NewFlagSet("chat "+name, flag.ContinueOnError)
}

// noArgs reports arguments that a command does not take.
func noArgs(f *flag.FlagSet) error {
	if f.NArg() > 0 {
		return fmt.Errorf("%s takes no argument %q", f.Name(), f.Arg(0))
	}
	return nil
}

// newLog logs to standard error, as the process that it is.
func newLog(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("process", name)
}
