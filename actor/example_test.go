// SPDX-License-Identifier: Apache-2.0

package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A greeter has state, something to do when it starts, and something when it ends.
type greeter struct{ greeted int }

func (g *greeter) Start(c *actor.Context) error {
	fmt.Println(c.Name(), "starts with", c.Args())
	return nil
}

func (g *greeter) Handle(c *actor.Context, m *actor.Message) error {
	g.greeted++
	return c.Reply(fmt.Sprint(c.Args(), ", ", m.Value))
}

func (g *greeter) Stop(_ *actor.Context, reason error) {
	fmt.Println("ends after", g.greeted, "greetings, reason:", reason)
}

// A service is made from a function for its handler. Stop ends it in good order: it handles
// what has been sent to it.
func ExampleRuntime_Start() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})

	spec := actor.Spec{Name: "greeter", Args: "good morning", New: func() actor.Handler { return &greeter{} }}
	p, err := rt.Start(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rt.Call(ctx, p, "ann"))
	_, err = rt.Start(ctx, spec)
	fmt.Println("a second one:", errors.Is(err, actor.ErrNameTaken))
	if err := rt.Stop(ctx, p); err != nil {
		log.Fatal(err)
	}
	rt.Close()
	// Output:
	// greeter starts with good morning
	// good morning, ann <nil>
	// a second one: true
	// ends after 1 greetings, reason: <nil>
}

// A call waits for the answer. Whatever goes wrong over there is an error here: what the handler
// returns, its panic, its end.
func ExampleRuntime_Call() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	errEmpty := errors.New("the chest is empty")
	chest, err := rt.Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		switch m.Value {
		case "look":
			return c.Reply("a sword")
		case "take":
			return errEmpty
		case "wait":
			return c.Sleep(time.Hour)
		}
		panic("a trap")
	})})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(rt.Call(ctx, chest, "look"))
	_, err = rt.Call(ctx, chest, "take")
	fmt.Println(errors.Is(err, errEmpty))
	_, err = rt.Call(ctx, chest, "kick")
	var p *actor.PanicError
	fmt.Println(errors.As(err, &p), p)
	_, err = rt.CallTimeout(time.Millisecond, chest, "wait")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	if err := rt.Kill(chest); err != nil {
		log.Fatal(err)
	}
	_, err = rt.Call(ctx, chest, "look")
	fmt.Println(errors.Is(err, actor.ErrNoService))
	rt.Close()
	// Output:
	// a sword <nil>
	// true
	// true panic: a trap
	// true
	// true
}

// The values of a bank.
type (
	deposit struct{ amount int }
	balance struct{}
	audit   struct{ bank actor.PID }
)

// A Mux has a function for each type of value: On for messages, Serve for requests. Ask is a
// call with an answer of a known type.
func ExampleMux() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	bank, err := rt.Start(ctx, actor.Spec{New: func() actor.Handler {
		money := 0
		m := new(actor.Mux)
		actor.On(m, func(_ *actor.Context, d deposit) error {
			money += d.amount
			return nil
		})
		actor.Serve(m, func(*actor.Context, balance) (int, error) { return money, nil })
		return m
	}})
	if err != nil {
		log.Fatal(err)
	}
	auditor, err := rt.Start(ctx, actor.Spec{New: func() actor.Handler {
		m := new(actor.Mux)
		actor.Serve(m, func(c *actor.Context, a audit) (string, error) {
			money, err := actor.Ask[int](c, a.bank, balance{})
			return fmt.Sprintf("%d coins", money), err
		})
		return m
	}})
	if err != nil {
		log.Fatal(err)
	}

	for _, amount := range []int{5, 7} {
		if err := rt.Send(ctx, bank, deposit{amount}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(actor.AskRuntime[string](ctx, rt, auditor, audit{bank}))
	_, err = rt.Call(ctx, bank, "hello")
	fmt.Println(errors.Is(err, actor.ErrType))
	rt.Close()
	// Output:
	// 12 coins <nil>
	// true
}

// A handler that waits lets others of its service in. A Serial section keeps them out: without
// it both withdrawals would find enough money.
func ExampleSerial() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	bank, err := rt.Start(ctx, actor.Spec{New: func() actor.Handler {
		money := 10
		section := actor.Serial{Name: "money"}
		return actor.HandlerFunc(func(c *actor.Context, m *actor.Message) error {
			return section.Do(c, func() error {
				want := m.Value.(int)
				if want > money {
					return c.Fail(fmt.Errorf("%d of %d coins", want, money))
				}
				if err := c.Sleep(time.Millisecond); err != nil { // or a call to another service
					return err
				}
				money -= want
				return c.Reply(money)
			})
		})
	}})
	if err != nil {
		log.Fatal(err)
	}

	answers := make(chan string)
	for range 2 {
		go func() {
			left, err := rt.Call(ctx, bank, 8)
			if err != nil {
				err = errors.Unwrap(err)
			}
			answers <- fmt.Sprint("left: ", left, ", error: ", err)
		}()
	}
	list := []string{<-answers, <-answers}
	slices.Sort(list)
	for _, line := range list {
		fmt.Println(line)
	}
	rt.Close()
	// Output:
	// left: 2, error: <nil>
	// left: <nil>, error: 8 of 2 coins
}

// A message to a group goes to all of its members.
func ExampleGroup() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	group, err := rt.NewGroup()
	if err != nil {
		log.Fatal(err)
	}
	if err := rt.Register("players", group.PID()); err != nil {
		log.Fatal(err)
	}
	heard := make(chan string, 2)
	members := map[string]actor.PID{}
	for _, name := range []string{"ann", "bob", "cat"} {
		p, err := rt.Start(ctx, actor.Spec{Name: name, New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			heard <- fmt.Sprint(c.Name(), " hears ", m.Value)
			return nil
		})})
		if err != nil {
			log.Fatal(err)
		}
		if err := group.Join(p); err != nil {
			log.Fatal(err)
		}
		members[name] = p
	}
	group.Leave(members["bob"])

	players, _ := rt.Lookup("players")
	if err := rt.Send(ctx, players, "a horn"); err != nil {
		log.Fatal(err)
	}
	lines := []string{<-heard, <-heard}
	slices.Sort(lines)
	fmt.Println(group.Len(), lines)
	rt.Close()
	// Output: 2 [ann hears a horn cat hears a horn]
}

// A pool is several equal services behind one PID. Here everything about a player goes to
// the same one.
func ExamplePool() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	pool, err := rt.NewPool(ctx, actor.PoolSpec{
		Size: 4,
		Pick: actor.ByKey,
		Key: func(v any) (string, bool) {
			player, ok := v.(string)
			return player, ok
		},
		Spec: actor.Spec{Name: "logins", New: func() actor.Handler {
			logins := map[any]int{}
			return actor.HandlerFunc(func(c *actor.Context, m *actor.Message) error {
				logins[m.Value]++
				return c.Reply(logins[m.Value])
			})
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, player := range []string{"ann", "bob", "ann", "ann"} {
		n, err := rt.Call(ctx, pool.PID(), player)
		fmt.Println(player, n, err)
	}
	rt.Close()
	// Output:
	// ann 1 <nil>
	// bob 1 <nil>
	// ann 2 <nil>
	// ann 3 <nil>
}

// A service that monitors another gets a Down when that ends, with the reason.
func ExampleContext_Monitor() {
	ctx := context.Background()
	rt := actor.New(actor.Config{})
	downs := make(chan actor.Down)
	guard, err := rt.Start(ctx, actor.Spec{New: func() actor.Handler {
		m := new(actor.Mux)
		actor.Serve(m, func(c *actor.Context, target actor.PID) (bool, error) {
			_, err := c.Monitor(target)
			return err == nil, err
		})
		actor.On(m, func(_ *actor.Context, d actor.Down) error {
			downs <- d
			return nil
		})
		return m
	}})
	if err != nil {
		log.Fatal(err)
	}
	door, err := rt.Start(ctx, actor.Spec{Name: "door", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		c.Exit(fmt.Errorf("broken by %v", m.Value))
		return nil
	})})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(rt.Call(ctx, guard, door))
	if err := rt.Send(ctx, door, "an axe"); err != nil {
		log.Fatal(err)
	}
	d := <-downs
	fmt.Println(d.Name, "ends:", d.Reason)
	rt.Close()
	// Output:
	// true <nil>
	// door ends: broken by an axe
}

// A service that fails is made anew: it keeps its PID, its name and its mailbox, and loses its
// state.
func ExampleRestart() {
	ctx := context.Background()
	restarts := make(chan error, 1)
	rt := actor.New(actor.Config{Events: actor.Events{
		Restarting: func(r actor.Restarting) { restarts <- r.Reason },
	}})
	counter, err := rt.Start(ctx, actor.Spec{
		Name:    "counter",
		OnPanic: actor.Fail,
		Restart: actor.Restart{When: actor.OnFailure, Min: time.Millisecond},
		New: func() actor.Handler {
			n := 0
			return actor.HandlerFunc(func(c *actor.Context, m *actor.Message) error {
				if m.Value == "panic" {
					panic("out of numbers")
				}
				n++
				return c.Reply(n)
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		fmt.Println(rt.Call(ctx, counter, "count"))
	}
	if err := rt.Send(ctx, counter, "panic"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("restarts:", <-restarts)
	fmt.Println(rt.Call(ctx, counter, "count")) // it waits for the new one
	rt.Close()
	// Output:
	// 1 <nil>
	// 2 <nil>
	// restarts: panic: out of numbers
	// 1 <nil>
}
