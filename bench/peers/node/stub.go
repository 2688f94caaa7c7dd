// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/rpc"
)

const slice = 2000 // calls of one way before it is the other one's turn

// stub measures what a call of a generated stub takes, and what of it a bare call of a service does not: both in
// turn, in slices, so that whatever else the machine does falls on both. The median of the differences
// counts.
func (b *bench) stub() {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	object, err := rt.Spawn(actor.Spec{New: rpc.Serve(newCounter)})
	peer.Must("start the object", err)
	other := func() actor.Handler { return &counter{} }
	if b.kind == kindHandle {
		other = rpc.Serve(newCounter)
	}
	bare, err := rt.Spawn(actor.Spec{New: other})
	peer.Must("start the service", err)
	var perSecond float64
	asker, err := rt.Spawn(actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		perSecond = b.compare(stubbed(c, object), direct(c, bare))
		return c.Reply(nil)
	})})
	peer.Must("start the asker", err)
	_, err = rt.Call(context.Background(), asker, nil)
	peer.Must("ask", err)
	b.Print("node-"+b.kind, perSecond, nil)
}

func stubbed(c *actor.Context, p actor.PID) func(n int64) {
	counter, ctx, want := rpc.RefOf[Counter](p).Bind(c), context.Background(), int64(0)
	return func(n int64) {
		want += n
		got, err := counter.Add(ctx, n)
		check(got, want, err)
	}
}

func direct(c *actor.Context, p actor.PID) func(n int64) {
	a, want := new(addition), int64(0)
	return func(n int64) {
		want += n
		a.n = n
		v, err := c.Call(p, a)
		check(v.(*addition).sum, want, err)
	}
}

func check(got, want int64, err error) {
	peer.Must("call", err)
	if got != want {
		peer.Die("the sum is %d, not %d", got, want)
	}
}

// compare returns how many calls a second are made through the stub, and leaves in OnTop what it adds to each.
func (b *bench) compare(stub, bare func(n int64)) (perSecond float64) {
	var times, differences []time.Duration
	start := time.Now()
	for len(times) == 0 || time.Since(start) < b.Warmup+b.Duration {
		x, y := timed(stub), timed(bare)
		if time.Since(start) > b.Warmup {
			times, differences = append(times, x), append(differences, x-y)
		}
	}
	slices.Sort(times)
	slices.Sort(differences)
	b.OnTop = float64(differences[len(differences)/2].Nanoseconds()) / slice
	return slice / times[len(times)/2].Seconds()
}

// timed is how long a slice of calls takes.
func timed(call func(n int64)) time.Duration {
	start := time.Now()
	for n := range int64(slice) {
		call(n)
	}
	return time.Since(start)
}
