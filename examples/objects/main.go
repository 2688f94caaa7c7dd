// SPDX-License-Identifier: Apache-2.0

// Objects calls a bank and its accounts. Where the bank lives is configuration: with -home=other it is in another
// runtime, and the text that calls it is the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/rpc"
)

func main() {
	home := flag.String("home", "here", "runtime that the bank lives in, here or other")
	flag.Parse()
	if err := run(os.Stdout, *home); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer, home string) error {
	ctx := context.Background()
	here, other, stop := runtimes()
	defer stop()
	of := map[string]*actor.Runtime{"here": here, "other": other}[home]
	if of == nil {
		return fmt.Errorf("home %q: want here or other", home)
	}
	p, err := of.Start(ctx, actor.Spec{New: rpc.Serve(newBank)})
	if err != nil {
		return err
	}
	customer, err := here.Start(ctx, actor.Spec{New: actor.Func(func(c *actor.Context, _ *actor.Message) error {
		if err := visit(ctx, w, c, rpc.RefOf[Bank](p)); err != nil {
			return err
		}
		return c.Reply(nil)
	})})
	if err != nil {
		return err
	}
	_, err = here.Call(ctx, customer, nil)
	return err
}

// visit does not know where the bank is.
func visit(ctx context.Context, w io.Writer, c *actor.Context, ref rpc.Ref[Bank]) error {
	bank := ref.Bind(c)
	annRef, err := bank.Open(ctx, "ann")
	if err != nil {
		return err
	}
	bobRef, err := bank.Open(ctx, "bob")
	if err != nil {
		return err
	}
	ann, bob := annRef.Bind(c), bobRef.Bind(c)
	balance, err := ann.Deposit(ctx, 10)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "ann has", balance)
	if err := ann.Pay(ctx, bobRef, 7); err != nil {
		return err
	}
	err = ann.Pay(ctx, bobRef, 7)
	fmt.Fprintln(w, "again, not enough money:", errors.Is(err, errPoor))
	history, err := bob.History(ctx)
	if err != nil {
		return err
	}
	for line, err := range history {
		if err != nil {
			return err
		}
		fmt.Fprintln(w, line)
	}
	annRef.Release(c)
	bobRef.Release(c)
	return nil
}
