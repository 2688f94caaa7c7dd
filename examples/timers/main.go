// SPDX-License-Identifier: Apache-2.0

// Timers shows what a service can do with time: After, Every, Tick, Sleep, and a call
// with a deadline.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// step is the unit of the example's times.
const step = 20 * time.Millisecond

// A clock is a service that writes down what happens when.
type clock struct {
	w     io.Writer
	slow  actor.PID // takes 10 steps to answer
	began time.Time
}

// note writes a line. Handlers of a service run one at a time, so it needs no lock.
func (k *clock) note(format string, args ...any) {
	now := time.Since(k.began) / step // whole steps: a timer is never early, and may be late
	fmt.Fprintf(k.w, "step %2d: %s\n", now, fmt.Sprintf(format, args...))
}

// Handle gets "start", which is answered when all is over, and what Tick sends.
func (k *clock) Handle(c *actor.Context, m *actor.Message) error {
	switch m.Value {
	case "start":
		if err := k.play(c); err != nil {
			return err
		}
		return c.Reply("done")
	case "tick":
		k.note("a tick, which is a message of kind %d", m.Kind)
	}
	return nil
}

// play sets timers and waits itself. While it waits, the service handles the timers.
func (k *clock) play(c *actor.Context) error {
	k.began = time.Now()
	every := c.Every(4*step, func(*actor.Context) { k.note("each 4 steps") })
	c.After(6*step, func(*actor.Context) { k.note("once, after 6 steps") })
	c.Tick(10*step, "tick")
	never := c.After(11*step, func(*actor.Context) { k.note("this must not come") })
	c.After(9*step, func(*actor.Context) { k.note("stopped a timer: %v, and again: %v", never.Stop(), never.Stop()) })

	if err := c.Sleep(13 * step); err != nil {
		return err
	}
	k.note("slept for 13 steps")
	every.Stop()

	// A call that takes too long ends with its deadline; an answer that comes
	// after it is forgotten.
	_, err := c.CallTimeout(2*step, k.slow, "hello?")
	k.note("deadline exceeded: %v", errors.Is(err, context.DeadlineExceeded))
	_, err = c.CallTimeout(12*step, k.slow, "hello?")
	k.note("with more time: %v", err)
	return nil
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	defer rt.Close()
	slow, err := rt.Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		if err := c.Sleep(10 * step); err != nil {
			return err
		}
		return c.Reply("here")
	})})
	if err != nil {
		return err
	}
	clock, err := rt.Start(ctx, actor.Spec{New: func() actor.Handler { return &clock{w: w, slow: slow} }})
	if err != nil {
		return err
	}
	_, err = rt.Call(ctx, clock, "start")
	return err
}
