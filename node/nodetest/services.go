// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// Services are what the suite asks the far side for.
var Services = Kinds{
	"echo":     {New: actor.Func(echo)},
	"moody":    {New: actor.Func(moody)},
	"sleeper":  {New: actor.Func(sleeper)},
	"asker":    {New: actor.Func(asker)},
	"passer":   {New: actor.Func(passer)},
	"kinds":    {New: actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(int64(m.Kind)) })},
	"recorder": {New: func() actor.Handler { return &recorder{} }},
	"rejects":  {New: actor.Func(stuck), MaxWaiting: 1, Mailbox: actor.Mailbox{Capacity: 1, Full: actor.Reject}},
	"drops":    {New: actor.Func(stuck), MaxWaiting: 1, Mailbox: actor.Mailbox{Capacity: 1, Full: actor.DropOldest}},
}

// LargestMessage is what the domains of the suite have to have as their Limits.MaxMessage.
const LargestMessage = 128 << 10

// errWhim is what "moody" fails with.
var errWhim = errors.New("a whim")

// An Order is what travels in the suite.
type Order struct {
	Player string
	Count  int
	Next   actor.PID
	Inside any
}

// OnlyHere is known to the codec of who asks, and to no other.
type OnlyHere struct{ Text string }

// OnlyThere is known to the codec of the far side, and to no other.
type OnlyThere struct{ Text string }

func echo(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) }

// moody answers as it is told.
func moody(c *actor.Context, m *actor.Message) error {
	switch m.Value {
	case "whim":
		return errWhim
	case "panic":
		panic("whim")
	case "end":
		c.Exit(nil)
	case "fail":
		c.Exit(errWhim)
	case "wait":
		return c.Sleep(time.Hour)
	case "func":
		return c.Reply(func() {})
	case "unregistered":
		return c.Reply(struct{ A int }{1})
	case "cycle":
		return c.Reply(cycle())
	case "large":
		return c.Reply(large())
	case "only there":
		return c.Reply(OnlyThere{"text"})
	}
	return nil
}

// cycle returns a value that contains itself.
func cycle() *Order {
	o := &Order{Player: "ann"}
	o.Inside = o
	return o
}

// large returns a value that is too large for a message.
func large() string { return strings.Repeat("x", 2*LargestMessage) }

// sleeper answers with what it gets, after so many nanoseconds.
func sleeper(c *actor.Context, m *actor.Message) error {
	d, ok := m.Value.(int64)
	if !ok {
		return fmt.Errorf("got a %T, want an int64", m.Value)
	}
	if err := c.Sleep(time.Duration(d)); err != nil {
		return err
	}
	return c.Reply(d)
}

// stuck handles one message for as long as it lives.
func stuck(c *actor.Context, _ *actor.Message) error { return c.Wait("nobody") }

// asker asks Next and answers with what that says.
func asker(c *actor.Context, m *actor.Message) error {
	o, ok := m.Value.(*Order)
	if !ok {
		return fmt.Errorf("got a %T, want an *Order", m.Value)
	}
	v, err := c.Call(o.Next, o.Inside)
	if err != nil {
		return err
	}
	return c.Reply(v)
}

// passer has Next answer.
func passer(c *actor.Context, m *actor.Message) error {
	o, ok := m.Value.(*Order)
	if !ok {
		return fmt.Errorf("got a %T, want an *Order", m.Value)
	}
	return c.Redirect(o.Next, o.Inside)
}

// A Tally is what a "recorder" has got.
type Tally struct {
	Got      int
	Disorder string // the first that came out of order; empty: none has
	Last     string
}

// A recorder counts. Asked with "tally" it tells.
type recorder struct{ Tally }

// Handle notes texts, and the numbers of Orders, which are to come one by one from 0.
func (r *recorder) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case *Order:
		if v.Count != r.Got && r.Disorder == "" {
			r.Disorder = fmt.Sprintf("number %d where %d was due", v.Count, r.Got)
		}
	case string:
		if m.IsCall() && v == "tally" {
			return c.Reply(r.Tally)
		}
		r.Last = v
	}
	r.Got++
	if m.IsCall() {
		return c.Reply(nil)
	}
	return nil
}
