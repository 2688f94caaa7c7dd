// SPDX-License-Identifier: Apache-2.0

// Redis is a service that is a client of Redis, for all services of the process over one connection:
// what they ask while the service is busy goes out together, and the replies come back in order. Without -addr
// it brings a small server of its own, which is a service, too.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"

	"github.com/skybus-io/skybus/actor"
)

const (
	players = 5
	visits  = 1000 // of each player
)

func main() {
	at := flag.String("addr", "", "use the Redis server at `HOST:PORT` or unix:PATH; keys that begin with skybus-example: are written there")
	flag.Parse()
	if err := run(os.Stdout, *at); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer, at string) error {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	ctx := context.Background()
	var own actor.PID
	if at == "" {
		var err error
		if own, err = rt.Start(ctx, actor.Spec{Name: "server", New: newServer}); err != nil {
			return err
		}
		if at, err = actor.AskRuntime[string](ctx, rt, own, where{}); err != nil {
			return err
		}
	}
	redis, err := rt.Start(ctx, actor.Spec{Name: "redis", New: newClient(at)})
	if err != nil {
		return err
	}
	if _, err := rt.Call(ctx, redis, Command{"DEL", key("visits")}); err != nil {
		return err
	}
	if err := play(ctx, rt, redis); err != nil {
		return err
	}
	total, err := actor.AskRuntime[string](ctx, rt, redis, Command{"GET", key("visits")})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d players have come %s times\n", players, total)
	_, err = rt.Call(ctx, redis, Command{"INCR"})
	fmt.Fprintf(w, "INCR without a key: %v\n", err != nil)
	if own.IsZero() {
		return nil
	}
	n, err := actor.AskRuntime[int](ctx, rt, own, conns{})
	fmt.Fprintf(w, "the server has had %d connection\n", n)
	return err
}

func key(name string) string { return "skybus-example:" + name }

// begin has a player visit; the answer comes when it has done.
type begin struct{}

// play has services count at the same time.
func play(ctx context.Context, rt *actor.Runtime, redis actor.PID) error {
	errs := make([]error, players)
	var all sync.WaitGroup
	for i := range players {
		player, err := rt.Start(ctx, actor.Spec{New: newPlayer(redis)})
		if err != nil {
			return err
		}
		all.Go(func() { _, errs[i] = rt.Call(ctx, player, begin{}) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func newPlayer(redis actor.PID) func() actor.Handler {
	return func() actor.Handler {
		m := new(actor.Mux)
		actor.Do(m, func(c *actor.Context, _ begin) error {
			var last int64
			for range visits {
				n, err := actor.Ask[int64](c, redis, Command{"INCR", key("visits")})
				if err != nil {
					return err
				}
				if n <= last {
					return fmt.Errorf("visit %d came after visit %d", n, last)
				}
				last = n
			}
			return nil
		})
		return m
	}
}
