// SPDX-License-Identifier: Apache-2.0

// Restart has a process become another program while it is called: a counter goes on counting where
// it was, under the same PID, and no call fails. A second process runs it; this one calls.
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
	caller  = addr.MustParse("0.0.0.1")
	counter = addr.MustParse("0.0.0.2")
)

const key = 1000

const (
	restarts = 3
	callers  = 4
	calls    = 500 // of each caller, for each program
)

// A report is the counter's answer.
type report struct {
	Count   int64
	Program int // how many programs the process has been
	Process int
}

func main() {
	root := flag.String("serve", "", "be the process that counts, on the bus in `FOLDER`; the first one says so")
	flag.Parse()
	var err error
	if *root != "" {
		err = serve(*root, os.Stdin, os.Stdout)
	} else {
		err = run(os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run makes a bus, starts the process that counts, and calls it while that restarts.
func run(w io.Writer) (err error) {
	root, err := os.MkdirTemp("", "skybus-restart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	stop, err := startOther(root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	d, n, err := join(root, caller)
	if err != nil {
		return err
	}
	defer d.Close()
	defer n.Close()
	pid, err := n.Lookup(context.Background(), counter, "counter")
	if err != nil {
		return err
	}
	return load(w, n, pid)
}

// load has several callers call the counter, through one PID, while its process becomes one program after the other.
func load(w io.Writer, n *node.Node, pid actor.PID) error {
	total.Store(0)
	first, err := ask(n, pid)
	if err != nil {
		return err
	}
	var last report
	for program := 1; program <= restarts+1; program++ {
		if program > 1 {
			if err := n.Runtime().Send(context.Background(), node.At(counter), node.Named{Name: "restart"}); err != nil {
				return err
			}
		}
		if last, err = callUntil(n, pid, program); err != nil {
			return err
		}
		fmt.Fprintf(w, "program %d counts; its process is the same one: %v\n", last.Program, last.Process == first.Process)
	}
	made := 1 + total.Load()
	fmt.Fprintf(w, "calls that failed: 0; the count is the number of calls: %v\n", last.Count == made)
	return nil
}

// join binds an address.
func join(root string, at addr.Addr, services ...actor.Spec) (*skybus.Domain, *node.Node, error) {
	if err := codec.Register[report](codec.Default, "examples/restart.report"); err != nil && !errors.Is(err, codec.ErrRegistered) {
		return nil, nil, err
	}
	d, err := skybus.Open(key, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		return nil, nil, err
	}
	n, err := node.Start(d, at, node.Config{Services: services})
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, n, nil
}
