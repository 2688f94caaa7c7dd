// SPDX-License-Identifier: Apache-2.0

// Nodes is two processes with a service each: a scout asks the watchmen of both where they
// are. The text that asks is the same for its own process and the other one. With -one both
// nodes are in one process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// The nodes' addresses, and the domain's key below a folder of its own.
var (
	here  = addr.MustParse("0.0.0.1")
	there = addr.MustParse("0.0.0.2")
)

const key = 1000

// A question and a report travel between processes.
type (
	question struct{ From string }
	report   struct {
		Place string
		PID   int
	}
)

// register has both ends know what travels by the same names.
func register() error {
	return errors.Join(codec.Register[*question](codec.Default, "examples/nodes.question"), codec.Register[*report](codec.Default, "examples/nodes.report"))
}

func main() {
	one := flag.Bool("one", false, "have both nodes in one process")
	root := flag.String("serve", "", "be the second process, of the bus in `FOLDER`; the first one says so")
	flag.Parse()
	var err error
	if *root != "" {
		err = serve(*root, os.Stdin, os.Stdout)
	} else {
		err = run(os.Stdout, *one)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run makes a bus, starts both nodes, and has a scout ask.
func run(w io.Writer, one bool) (err error) {
	root, err := os.MkdirTemp("", "skybus-nodes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	stop, err := startOther(root, one)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	n, leave, err := join(root, here)
	if err != nil {
		return err
	}
	defer leave()
	scout, err := n.Runtime().Start(context.Background(), actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		for _, at := range []addr.Addr{here, there} {
			if err := ask(w, n, c, at); err != nil {
				return err
			}
		}
		_, err := n.LookupFrom(c, there, "nobody")
		fmt.Fprintln(w, "nobody is there:", errors.Is(err, actor.ErrNoService))
		return c.Reply(nil)
	})})
	if err != nil {
		return err
	}
	_, err = n.Runtime().Call(context.Background(), scout, nil)
	return err
}

// ask does not know whose process at is.
func ask(w io.Writer, n *node.Node, c *actor.Context, at addr.Addr) error {
	watchman, err := n.LookupFrom(c, at, "watchman")
	if err != nil {
		return err
	}
	r, err := actor.Ask[*report](c, watchman, &question{From: "scout"})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s; in the scout's process: %v\n", r.Place, r.PID == os.Getpid())
	return nil
}

// join binds an address, and has a watchman there.
func join(root string, at addr.Addr) (n *node.Node, leave func(), err error) {
	if err := register(); err != nil {
		return nil, nil, err
	}
	d, err := skybus.Open(key, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		return nil, nil, err
	}
	n, err = node.Start(d, at, node.Config{Services: []actor.Spec{{Name: "watchman", New: newWatchman(at)}}})
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return n, func() { n.Close(); d.Close() }, nil
}

func newWatchman(at addr.Addr) func() actor.Handler {
	return func() actor.Handler {
		m := new(actor.Mux)
		actor.Serve(m, func(_ *actor.Context, q *question) (*report, error) {
			return &report{Place: fmt.Sprintf("%s, you are at %v", q.From, at), PID: os.Getpid()}, nil
		})
		return m
	}
}
