// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
)

// A counting is the service's state, and what a program hands on to the next.
type counting struct {
	Count   int64
	Program int
}

func newCounting() actor.Handler { return &counting{Program: 1} }

// Handle counts.
func (t *counting) Handle(c *actor.Context, _ *actor.Message) error {
	t.Count++
	return c.Reply(report{Count: t.Count, Program: t.Program, Process: os.Getpid()})
}

// Snapshot is actor.Carrier's: the old program's last word.
func (t *counting) Snapshot(*actor.Context) ([]byte, error) { return json.Marshal(t) }

// Restore is actor.Carrier's: the new program goes on from there.
func (t *counting) Restore(_ *actor.Context, snapshot []byte) error {
	if err := json.Unmarshal(snapshot, t); err != nil {
		return err
	}
	t.Program++
	return nil
}

// serve is the process that counts. It ends with its input.
func serve(root string, in io.Reader, out io.Writer) error {
	failed := make(chan error, 1)
	asked := make(chan struct{}, restarts)
	d, n, err := join(root, counter,
		actor.Spec{Name: "counter", New: newCounting},
		actor.Spec{Name: "restart", Stateless: true, New: actor.Func(func(*actor.Context, *actor.Message) error {
			asked <- struct{}{} // a handler must not restart: it would wait for itself
			return nil
		})})
	if err != nil {
		return err
	}
	defer d.Close()
	defer n.Close()
	go func() {
		for range asked {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err := n.Restart(ctx, node.RestartOptions{}) // returns only if it has failed
			cancel()
			failed <- err
		}
	}()
	defer close(asked)
	fmt.Fprintln(out, "ready")
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-ended:
		return err
	}
}

// startOther starts the process that counts, and returns what ends it.
func startOther(root string) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve", root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(fmt.Errorf("the process that counts says %q", line), err, stop())
	}
	return stop, nil
}
