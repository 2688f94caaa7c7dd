// SPDX-License-Identifier: Apache-2.0

// Pool is several equal services behind one name, in two ways: accounts, where
// everything about a player goes to the same worker, and jobs, where the worker with the
// least to do gets the next one. A worker that fails is made anew.
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

// workers is how many a pool has.
const workers = 3

// What the workers are called with.
type (
	add   struct{ player string }       // one more for the player; the answer is an account
	crash struct{ player string }       // whoever has the player fails
	job   struct{ until chan struct{} } // the answer is the worker; nil: at once
)

// account is what a worker knows about a player.
type account struct {
	worker actor.PID
	n      int
}

// newAccounts makes a handler of a worker: its memory is lost when it fails.
func newAccounts() actor.Handler {
	counts := map[string]int{}
	m := new(actor.Mux)
	actor.Serve(m, func(c *actor.Context, a add) (account, error) {
		counts[a.player]++
		return account{c.Self(), counts[a.player]}, nil
	})
	actor.Serve(m, func(*actor.Context, crash) (account, error) { panic("out of paper") })
	return m
}

// key says which worker a value is for. What has no key goes round.
func key(v any) (string, bool) {
	switch v := v.(type) {
	case add:
		return v.player, true
	case crash:
		return v.player, true
	}
	return "", false
}

// newJobs makes a handler of a worker that does a job at a time. It blocks meanwhile, as a
// driver of a database may: the runtime lends the others another thread.
func newJobs() actor.Handler {
	return actor.HandlerFunc(func(c *actor.Context, m *actor.Message) error {
		if j, ok := m.Value.(job); ok && j.until != nil {
			<-j.until
		}
		return c.Reply(c.Self())
	})
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	return errors.Join(accounts(w, rt), jobs(w, rt))
}

// accounts asks for each player twice, has one worker fail, and asks that again.
func accounts(w io.Writer, rt *actor.Runtime) error {
	ctx := context.Background()
	made := make(chan bool, 2*workers)
	spec := actor.Spec{
		Name: "accounts",
		New: func() actor.Handler {
			made <- true
			return newAccounts()
		},
		OnPanic: actor.Fail, // a panic ends the worker, and so it is made anew
		Restart: actor.Restart{When: actor.OnFailure, Min: time.Millisecond},
	}
	if _, err := rt.NewPool(ctx, actor.PoolSpec{Spec: spec, Size: workers, Pick: actor.ByKey, Key: key}); err != nil {
		return err
	}
	pool, _ := rt.Lookup("accounts")

	met := map[string]account{}
	same := 0
	for range 2 {
		for _, player := range []string{"ann", "bob", "cat", "dan", "eve"} {
			a, err := actor.AskRuntime[account](ctx, rt, pool, add{player})
			if err != nil {
				return err
			}
			if a.n == 2 && a.worker == met[player].worker {
				same++
			}
			met[player] = a
		}
	}
	fmt.Fprintf(w, "%d of %d players met the same worker again\n", same, len(met))

	_, err := rt.Call(ctx, pool, crash{"ann"})
	var p *actor.PanicError
	fmt.Fprintf(w, "ann's worker panics: %v\n", errors.As(err, &p))
	for range workers + 1 {
		<-made // the last is the worker that is made anew
	}
	a, err := actor.AskRuntime[account](ctx, rt, pool, add{"ann"})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "ann's worker is the same: %v, and begins with %d\n", a.worker == met["ann"].worker, a.n)
	return nil
}

// jobs gives one worker more to do than it can, and sees the others do the rest.
func jobs(w io.Writer, rt *actor.Runtime) error {
	ctx := context.Background()
	pool, err := rt.NewPool(ctx, actor.PoolSpec{Spec: actor.Spec{New: newJobs}, Size: workers, Pick: actor.LeastLoaded})
	if err != nil {
		return err
	}
	busy, until := pool.Members()[0], make(chan struct{})
	for range 10 { // it blocks at the first, and the others wait
		if err := rt.Send(ctx, busy, job{until}); err != nil {
			return err
		}
	}
	done := map[bool]int{}
	for range 20 {
		worker, err := actor.AskRuntime[actor.PID](ctx, rt, pool.PID(), job{})
		if err != nil {
			return err
		}
		done[worker == busy]++
	}
	fmt.Fprintf(w, "jobs done while one worker is busy: %d, by the busy one: %d\n", done[false], done[true])
	close(until)
	return pool.Close(ctx) // waits for what the workers have to do
}
