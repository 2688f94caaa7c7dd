// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// demo starts everything, has bots talk while a room process and the store are killed with -9, and says whether all
// promises held. Then it ends, or goes on until it is interrupted.
func demo(ctx context.Context, args []string) error {
	c := chat{out: os.Stderr, log: newLog("demo")}
	l := load{}
	f := newFlags("demo")
	c.flags(f)
	l.flags(f)
	keep := f.Bool("keep", false, "let the chat go on afterwards, until it is interrupted")
	if err := errors.Join(f.Parse(args), noArgs(f)); err != nil {
		return err
	}
	if c.data == "" && !*keep {
		folder, err := os.MkdirTemp("", "skybus-chat-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		c.data = filepath.Join(folder, "chat.db")
	}
	if err := c.start(); err != nil {
		return err
	}
	defer c.stop()
	c.tell(os.Stdout)
	l.gates = c.addresses()
	v, err := l.run(ctx, func() error { return c.disturb(ctx, os.Stdout, l.talk) })
	if err != nil {
		return err
	}
	v.print(os.Stdout)
	if err := v.promises(); err != nil || !*keep {
		return err
	}
	fmt.Printf("the chat goes on at %s until you interrupt it\n", strings.Join(c.urls, " "))
	<-ctx.Done()
	return nil
}

// addresses returns where the gates listen.
func (c *chat) addresses() (list []string) {
	for _, url := range c.urls {
		list = append(list, strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	}
	return list
}

// disturb kills a room process and the store within the given time, one after the other.
func (c *chat) disturb(ctx context.Context, w io.Writer, within time.Duration) error {
	for _, name := range []string{"room 1", "store"} {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(within / 3):
		}
		if err := c.killAndWait(ctx, w, name); err != nil {
			return err
		}
	}
	return nil
}

// killAndWait kills a process, and returns when it is there again.
func (c *chat) killAndWait(ctx context.Context, w io.Writer, name string) error {
	began := time.Now()
	pid, err := c.crew.Kill(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s, pid %d, killed with -9\n", name, pid)
	now, lives, err := c.crew.Ready(ctx, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is there again after %v as pid %d, its life number %d\n", name, time.Since(began).Round(time.Millisecond), now, lives)
	return nil
}
