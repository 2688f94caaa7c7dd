// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// DefaultName is what a console is called that is not given a name.
const DefaultName = "skybus"

// A Config is how a console is to be. The zero Config is a good one.
type Config struct {
	// Name is in the greeting and the prompt, on one line; empty: DefaultName.
	Name string
	// Commands are registered before the console is used.
	Commands []Command
	// Netstat lists what the process has attached: lanes, links, clients. Many
	// goroutines call it. nil: nothing.
	Netstat func() []Attachment
	// Value makes the value that call and send pass on from the rest of their line. nil: JSON is
	// decoded, with whole numbers as int; all else is a string.
	Value func(text string) (any, error)
	// Outside allows listeners at addresses that other hosts reach.
	Outside bool
	// Timeout bounds call, send, ping, stop, launch and the context of the program's commands, until
	// the connection sets another with its command timeout; 0: 5 s.
	Timeout time.Duration
	// Idle ends a connection from which no whole line came for so long; 0: 10 min, less
	// than 0: never.
	Idle time.Duration
	// Patience ends a connection that did not take an answer for so long; 0: 10 s.
	Patience time.Duration
	// MaxConns is how many connections there may be, of all listeners; 0: 32. One
	// more gets an ERROR and is closed.
	MaxConns int
	// MaxLine is the longest line, in bytes; 0: 64 KiB. A longer one is an ERROR.
	MaxLine int
	// MaxOutput is the longest output of a command, in bytes; 0: 1 MiB. While it is sent a
	// connection holds a few times as much.
	MaxOutput int
}

// defaults fills in what is not set.
func (c *Config) defaults() {
	c.Name = cmp.Or(c.Name, DefaultName)
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.Idle = cmp.Or(c.Idle, 10*time.Minute)
	c.Patience = cmp.Or(c.Patience, 10*time.Second)
	c.MaxConns = cmp.Or(c.MaxConns, 32)
	c.MaxLine = cmp.Or(c.MaxLine, 64<<10)
	c.MaxOutput = cmp.Or(c.MaxOutput, 1<<20)
}

func (c *Config) validate() error {
	for _, f := range []struct {
		name string
		ok   bool
		is   any
		want string
	}{
		{"Name", clean(c.Name, false) == c.Name && len(c.Name) <= 64, c.Name, "up to 64 bytes that can be printed"},
		{"Timeout", c.Timeout > 0, c.Timeout, "more than 0"},
		{"Patience", c.Patience > 0, c.Patience, "more than 0"},
		{"MaxConns", c.MaxConns > 0, c.MaxConns, "more than 0"},
		{"MaxLine", c.MaxLine >= 16, c.MaxLine, "at least 16"},
		{"MaxOutput", c.MaxOutput >= 256, c.MaxOutput, "at least 256"},
	} {
		if !f.ok {
			return fmt.Errorf("console: Config.%s is %#v: want %s", f.name, f.is, f.want)
		}
	}
	return nil
}

// A Command is one that the program adds.
type Command struct {
	Name string // a word of letters, digits, "-", "_" and "."
	Help string // one line: what it takes, and does
	// Run writes its output to w, which it must not use after it has returned; an error becomes the
	// ERROR. ctx is over when the connection's timeout is, or Serve's context. args are the words
	// behind the name; quotes keep words together: "a b", or 'a b'. Several
	// goroutines call it at once. A panic is an error.
	Run func(ctx context.Context, w io.Writer, args []string) error
}

// An Attachment is something that a process is connected with.
type Attachment struct {
	Kind     string // "lane", "link", "client"
	Local    string
	Remote   string
	State    string
	Since    time.Time // zero: unknown
	Received uint64    // bytes
	Sent     uint64
	Note     string
}

// A Console serves any number of listeners. Any goroutine may call its methods.
type Console struct {
	rt  *actor.Runtime
	cfg Config

	mu     sync.Mutex // guards what follows
	added  map[string]Command
	conns  map[*conn]struct{}
	served uint64 // connections, so far
}

// New returns a console for the services of rt, which must not be closed while it
// serves. Errors: a setting or a command that cannot be.
func New(rt *actor.Runtime, cfg Config) (*Console, error) {
	cfg.defaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	k := &Console{rt: rt, cfg: cfg, added: map[string]Command{}, conns: map[*conn]struct{}{}}
	for _, c := range cfg.Commands {
		if err := k.Register(c.Name, c.Help, c.Run); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Register adds a command, also while the console serves; see Command. Errors: a
// name that is taken, or none.
func (k *Console) Register(name, help string, run func(ctx context.Context, w io.Writer, args []string) error) error {
	switch {
	case !isName(name):
		return fmt.Errorf("console: command %.40q: want 1 to 32 of letters, digits, dots, dashes and underscores", name)
	case run == nil:
		return fmt.Errorf("console: command %q: want a function", name)
	case clean(help, false) != help:
		return fmt.Errorf("console: command %q: help %.40q: want one line that can be printed", name, help)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, taken := k.added[name]; taken || builtin(name) != nil {
		return fmt.Errorf("console: command %q: there is one of that name", name)
	}
	k.added[name] = Command{Name: name, Help: help, Run: run}
	return nil
}

func isName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// program returns the command of the program that has the name.
func (k *Console) program(name string) (Command, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.added[name]
	return c, ok
}

// programs returns those commands in the order of their names.
func (k *Console) programs() []Command {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.SortedFunc(maps.Values(k.added), func(a, b Command) int { return strings.Compare(a.Name, b.Name) })
}
