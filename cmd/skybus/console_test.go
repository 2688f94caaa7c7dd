// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// consoleProgram is the program game of the scripts: it has services named echo, mute and fails,
// objects named bank and board, and a console at each address that it is called with, until SIGTERM. The empty address
// is where consoles are looked for.
func consoleProgram() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serveConsole(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "game:", err)
		os.Exit(1)
	}
}

func serveConsole(ctx context.Context, addresses []string) error {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	k, err := newGame(rt)
	if err != nil {
		return err
	}
	served := make(chan error, len(addresses))
	for _, address := range addresses {
		ln, err := k.Listen(ctx, address)
		if err != nil {
			return err
		}
		go func() { served <- k.Serve(ctx, ln) }()
	}
	for range addresses {
		err = errors.Join(err, <-served)
	}
	return err
}

func newGame(rt *actor.Runtime) (*console.Console, error) {
	echo := actor.Func(func(c *actor.Context, m *actor.Message) error {
		if !m.IsCall() {
			return nil
		}
		return c.Reply(m.Value)
	})
	mute := actor.Func(func(c *actor.Context, _ *actor.Message) error {
		_, err := c.Later()
		return err
	})
	fails := actor.Func(func(*actor.Context, *actor.Message) error { return errors.New("out of paper") })
	for name, f := range map[string]func() actor.Handler{"echo": echo, "mute": mute, "fails": fails} {
		if _, err := rt.Spawn(actor.Spec{Name: name, New: f}); err != nil {
			return nil, err
		}
	}
	for name, f := range map[string]func() actor.Handler{
		"bank": rpc.Serve(func() *bank { return &bank{} }), "board": rpc.Serve(func() *board { return &board{} }),
	} {
		if _, err := rt.Spawn(actor.Spec{Name: name, New: f}); err != nil {
			return nil, err
		}
	}
	return console.New(rt, console.Config{Name: "game", Commands: []console.Command{
		{Name: "wait", Help: "wait for the timeout", Run: func(ctx context.Context, _ io.Writer, _ []string) error {
			<-ctx.Done()
			return ctx.Err()
		}},
	}})
}

// bank is an object.
type bank struct {
	balance int64
	texts   []string
}

// entry is a line of a bank's books.
type entry struct {
	Amount int64
	Text   string
}

func (b *bank) Deposit(amount int64) (int64, error) {
	if b.balance+amount < 0 {
		return b.balance, fmt.Errorf("deposit %d: there is only %d", amount, b.balance)
	}
	b.balance += amount
	return b.balance, nil
}

func (b *bank) Balance() (int64, string, error) { return b.balance, "gold", nil }

func (b *bank) Enter(_ context.Context, entries []entry, sure bool) (map[string]int64, error) {
	sums := map[string]int64{"entries": int64(len(entries))}
	for _, e := range entries {
		sums[e.Text] += e.Amount
	}
	if !sure {
		return nil, errors.New("be sure")
	}
	return sums, nil
}

func (b *bank) Note(text string) { b.texts = append(b.texts, text) } // one-way

func (b *bank) Notes() ([]string, error) { return b.texts, nil }

func (b *bank) Echo(v any) (any, error) { return v, nil }

func (b *bank) Self(ctx context.Context) (rpc.Object, error) {
	return rpc.Object{PID: rpc.FromContext(ctx).Self()}, nil
}

func (b *bank) Count(n int, every time.Duration) (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		for i := range n {
			if i == 5 {
				yield("", errors.New("five are enough"))
				return
			}
			if !yield(fmt.Sprint("item ", i, " each ", every), nil) {
				return
			}
		}
	}, nil
}

// board is an object that takes messages, too.
type board struct{}

func (*board) Size() (int, error) { return 8, nil }

func (*board) Handle(c *actor.Context, m *actor.Message) error {
	return c.Reply(fmt.Sprint("message ", m.Value))
}

// TestConsoleDistrusts: what a console says does not drive the terminal.
func TestConsoleDistrusts(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "hi\nOK\n\x1b[2Ja\tb\nERROR \x1b[31mno\n")
		_, _ = io.Copy(io.Discard, c)
	}()
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"skybus", "console", path, "-c", "list"}, strings.NewReader(""), &out, &errOut)
	if code != 1 || out.String() != "\\x1b[2Ja\tb\n" || errOut.String() != "skybus: \\x1b[31mno\n" {
		t.Errorf("exit code %d, %q, %q", code, out.String(), errOut.String())
	}
}

// TestConsoleIsInterrupted: while a command runs, while a line is awaited, and while
// a console does not greet.
func TestConsoleIsInterrupted(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveConsole(ctx, []string{path}) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for { // until it listens
		if c, err := console.Dial(t.Context(), path); err == nil {
			_ = c.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "mute"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, args := range [][]string{{path, "-c", "timeout 1h", "-c", "wait"}, {path}, {mute.Addr().String()}} {
		in, typing := io.Pipe()
		ctx, interrupt := context.WithCancel(t.Context())
		timer := time.AfterFunc(50*time.Millisecond, interrupt)
		var out, errOut bytes.Buffer
		code := run(ctx, append([]string{"skybus", "console"}, args...), in, &out, &errOut)
		if code != exitInterrupted || errOut.Len() > 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errOut.String())
		}
		timer.Stop()
		interrupt()
		_ = typing.Close()
	}
}

// What the command quotes the console reads as one argument.
func TestQuoted(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"5", "-0x5", "true", "word", "2.5s"}, " 5 -0x5 true word 2.5s"},
		{[]string{"two words", "", "tab\t", "two\nlines"}, ` "two words" "" "tab\t" "two\nlines"`},
		{[]string{`"quoted text"`, "{\"a\":\n [1, \"b c\"]}", "[]"}, ` "quoted text" {"a":[1,"b c"]} []`},
		{[]string{"[draft", `"`, "{x}", `a"b`}, ` "[draft" "\"" "{x}" a"b`},
		{[]string{"\u00a0", "\x1b[2J"}, " \"\u00a0\" \"\\u001b[2J\""},
	} {
		if got := quoted(test.args); got != test.want {
			t.Errorf("%q: %s, want %s", test.args, got, test.want)
		}
	}
}
