// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/examples/chat/internal/crew"
)

// A chat is all processes together.
type chat struct {
	place  place
	data   string // the SQLite file
	listen string // where the first gate listens; the others have the ports behind it
	out    *os.File
	log    *slog.Logger

	crew *crew.Crew
	urls []string
	temp string // removed at the end
}

func (c *chat) flags(f *flag.FlagSet) {
	c.place.flags(f)
	f.StringVar(&c.data, "data", "", "SQLite `FILE`; default: skybus-chat/chat.db in the user's cache folder")
	f.StringVar(&c.listen, "listen", "127.0.0.1:7080", "`ADDRESS` of the first gate; a second one has the port behind it, and so on; port 0 takes any")
}

// start starts all processes: those first that the others ask.
func (c *chat) start() (err error) {
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if err := c.prepare(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.crew = crew.New(self, c.out, c.log)
	store := append([]string{"store", "-data", c.data}, c.place.args()...)
	if _, err := c.crew.Start("store", append(store[:len(store):len(store)], "-fresh"), store); err != nil {
		return err
	}
	for i := range c.place.rooms {
		args := append([]string{"room", "-number", strconv.Itoa(i)}, c.place.args()...)
		if _, err := c.crew.Start(fmt.Sprintf("room %d", i+1), args, nil); err != nil {
			return err
		}
	}
	for i := range c.place.gates {
		if err := c.startGate(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *chat) startGate(i int) error {
	at, err := shift(c.listen, i)
	if err != nil {
		return err
	}
	args := func(listen string) []string {
		return append([]string{"gate", "-number", strconv.Itoa(i), "-listen", listen}, c.place.args()...)
	}
	name := fmt.Sprintf("gate %d", i+1)
	said, err := c.crew.Start(name, args(at), nil)
	if err != nil {
		return err
	}
	c.crew.Again(name, args(said)) // a port that was any is this one from now on
	c.urls = append(c.urls, "http://"+said+"/")
	return nil
}

// shift returns the address whose port is i more; 0 stays 0.
func shift(listen string, i int) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", fmt.Errorf("-listen %s: port: %w", listen, err)
	}
	if n > 0 {
		n += uint64(i)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

// prepare makes the folders that were not given.
func (c *chat) prepare() error {
	if err := c.place.check(); err != nil {
		return err
	}
	if c.data == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("where to keep the messages: %w; -data says it", err)
		}
		c.data = filepath.Join(cache, "skybus-chat", "chat.db")
		if err := os.MkdirAll(filepath.Dir(c.data), 0o700); err != nil {
			return err
		}
	}
	if c.place.root != "" {
		return nil
	}
	// A bus of its own: what an earlier run has left in its lanes is not for this one.
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	temp, err := os.MkdirTemp(base, "skybus-chat-")
	c.temp, c.place.root = temp, temp
	return err
}

// stop ends all processes, and removes what start has made for this run.
func (c *chat) stop() {
	if c.crew != nil {
		c.crew.Close()
	}
	if c.temp != "" {
		_ = os.RemoveAll(c.temp)
	}
}

func up(ctx context.Context, args []string) error {
	c := chat{out: os.Stderr, log: newLog("up")}
	f := newFlags("up")
	c.flags(f)
	if err := errors.Join(f.Parse(args), noArgs(f)); err != nil {
		return err
	}
	if err := c.start(); err != nil {
		return err
	}
	defer c.stop()
	c.tell(os.Stdout)
	<-ctx.Done()
	return nil
}

// tell prints where everything is.
func (c *chat) tell(w io.Writer) {
	fmt.Fprintf(w, "page      %s\n", strings.Join(c.urls, "  "))
	fmt.Fprintf(w, "terminal  %s term -gate %s -name Ann lobby\n", os.Args[0], strings.TrimSuffix(strings.TrimPrefix(c.urls[0], "http://"), "/"))
	fmt.Fprintf(w, "console   skybus services   (sockets in %s)\n", console.Dir())
	fmt.Fprintf(w, "messages  %s\n", c.data)
	fmt.Fprintf(w, "Kill any of these with -9; interrupt this process to end all:\n")
	for _, name := range c.names() {
		pid, _, err := c.crew.Ready(context.Background(), name)
		if err == nil {
			fmt.Fprintf(w, "  %-8s pid %d\n", name, pid)
		}
	}
}

// names returns what the processes are called.
func (c *chat) names() []string {
	list := []string{"store"}
	for i := range c.place.rooms {
		list = append(list, fmt.Sprintf("room %d", i+1))
	}
	for i := range c.place.gates {
		list = append(list, fmt.Sprintf("gate %d", i+1))
	}
	return list
}
