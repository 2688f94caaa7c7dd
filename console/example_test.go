// SPDX-License-Identifier: Apache-2.0

package console_test

import (
	"context"
	"fmt"
	"io"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/console"
)

// A program adds a command of its own, and another one calls it.
func Example() {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	k, err := console.New(rt, console.Config{Name: "arena", Commands: []console.Command{
		{Name: "rooms", Help: "[NAME...]: how long their names are", Run: rooms},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ln, err := k.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- k.Serve(ctx, ln) }()

	c, err := console.Dial(ctx, ln.Addr().String())
	if err == nil {
		fmt.Println(c.Do(ctx, "rooms lobby 'north gate'"))
		_, err = c.Do(ctx, "kill nobody")
	}
	fmt.Println(err)
	cancel()
	fmt.Println(<-served)
	// Output:
	// lobby 5
	// north gate 10 <nil>
	// kill: name "nobody": no such service; want a name or a PID such as :1f
	// <nil>
}

func rooms(_ context.Context, w io.Writer, args []string) error {
	for _, name := range args {
		fmt.Fprintln(w, name, len(name))
	}
	return nil
}
