// SPDX-License-Identifier: Apache-2.0

package conn_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/conn"
)

// A service that answers lines, and one that asks it.
func Example() {
	rt := actor.New(actor.Config{})
	defer rt.Close()
	at := make(chan string, 1)
	shout := func() actor.Handler {
		m := new(actor.Mux)
		m.OnStart(func(c *actor.Context) error {
			ln, err := conn.Listen(c, "127.0.0.1:0", func(c *actor.Context, n *conn.Conn) {
				if line, err := n.ReadLine(c, "\n", 100); err == nil {
					_ = n.Write(c, []byte(strings.ToUpper(string(line))))
				}
			})
			if err == nil {
				at <- ln.Addr().String()
			}
			return err
		})
		return m
	}
	ask := actor.Func(func(c *actor.Context, m *actor.Message) error {
		n, err := conn.Dial(c, <-at)
		if err != nil {
			return err
		}
		defer n.Close()
		if err := n.Write(c, []byte(m.Value.(string)+"\n")); err != nil {
			return err
		}
		answer, err := n.ReadAll(c, 0)
		if err != nil {
			return err
		}
		return c.Reply(string(answer))
	})
	ctx := context.Background()
	if _, err := rt.Start(ctx, actor.Spec{New: shout}); err != nil {
		fmt.Println(err)
		return
	}
	asker, err := rt.Start(ctx, actor.Spec{New: ask})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rt.Call(ctx, asker, "hello"))
	// Output: HELLO <nil>
}
