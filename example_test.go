// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// Two endpoints, which would be in two processes, and one message.
func Example() {
	ctx := context.Background()
	d, err := skybus.Open(2001, skybus.Options{})
	if err != nil {
		log.Fatal(err)
	}
	lobby, err := d.Bind(addr.MustParse("0.0.1.1"))
	if err != nil {
		log.Fatal(err)
	}
	battle, err := d.Bind(addr.MustParse("0.0.2.1"))
	if err != nil {
		log.Fatal(err)
	}

	if err := lobby.Send(ctx, battle.Addr(), []byte("hello")); err != nil {
		log.Fatal(err)
	}
	m, err := battle.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v sent message %d: %s\n", m.Src, m.Seq, m.Data)
	d.Close()
	// Output: 0.0.1.1 sent message 1: hello
}

// exampleEnds binds two addresses; the first one sends to the second.
func exampleEnds(key int) (d *skybus.Domain, from, to *skybus.Endpoint) {
	d, err := skybus.Open(key, skybus.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if to, err = d.Bind(addr.MustParse("0.0.2.1")); err != nil {
		log.Fatal(err)
	}
	if from, err = d.Bind(addr.MustParse("0.0.1.1")); err != nil {
		log.Fatal(err)
	}
	return d, from, to
}

// A message whose handler fails is not released: it comes again, with a flag.
// It is the same when the receiving process is killed in its handler.
func ExampleEndpoint_Receive() {
	ctx := context.Background()
	d, from, to := exampleEnds(2002)
	for _, text := range []string{"pay 5", "pay 7"} {
		if err := from.Send(ctx, to.Addr(), []byte(text)); err != nil {
			log.Fatal(err)
		}
	}

	errDatabase := errors.New("the database is away")
	handle := func(m skybus.Message) error {
		fmt.Println(m.Seq, string(m.Data), m.Redelivered)
		if m.Seq == 1 && !m.Redelivered {
			return errDatabase
		}
		if m.Seq == 2 {
			return to.Close()
		}
		return nil
	}
	err := errDatabase
	for errors.Is(err, errDatabase) {
		err = to.Receive(ctx, handle)
		fmt.Println("Receive:", err)
	}
	d.Close()
	// Output:
	// 1 pay 5 false
	// Receive: the database is away
	// 1 pay 5 true
	// 2 pay 7 false
	// Receive: endpoint 0.0.2.1: file already closed
}

// The messages of a batch are written in place, and appear together.
func ExampleEndpoint_Batch() {
	ctx := context.Background()
	d, from, to := exampleEnds(2003)

	batch, err := from.Batch(to.Addr())
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		buf, err := batch.Claim(ctx, 1)
		if err != nil {
			log.Fatal(err)
		}
		buf[0] = 'a' + byte(i)
	}
	_, err = to.TryRecv()
	fmt.Println("before Commit:", err)
	if err := batch.Commit(); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		m, err := to.TryRecv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Seq, string(m.Data))
	}
	d.Close()
	// Output:
	// before Commit: no message
	// 1 a
	// 2 b
	// 3 c
}

// A tick loop takes what is there, but no more than fits a tick.
func ExampleEndpoint_Poll() {
	ctx := context.Background()
	d, from, to := exampleEnds(2004)
	for i := range 5 {
		if err := from.Send(ctx, to.Addr(), fmt.Append(nil, "move ", i)); err != nil {
			log.Fatal(err)
		}
	}

	for tick := range 4 {
		n, err := to.Poll(2, func(m skybus.Message) error {
			fmt.Printf("tick %d: %s\n", tick, m.Data)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		if n == 0 {
			fmt.Printf("tick %d: nothing\n", tick)
		}
	}
	d.Close()
	// Output:
	// tick 0: move 0
	// tick 0: move 1
	// tick 1: move 2
	// tick 1: move 3
	// tick 2: move 4
	// tick 3: nothing
}

// A sender that was killed does not know whether its last Send counts. The bus
// does: the sender goes on behind the last message that was accepted.
func ExampleEndpoint_LastSeq() {
	ctx := context.Background()
	d, from, to := exampleEnds(2005)
	journal := []string{"one", "two", "three"} // what is to be sent, kept by the sender

	if err := from.Send(ctx, to.Addr(), []byte(journal[0])); err != nil {
		log.Fatal(err)
	}
	if err := from.Send(ctx, to.Addr(), []byte(journal[1])); err != nil {
		log.Fatal(err)
	}
	from.Close() // or it was killed

	from, err := d.Bind(from.Addr())
	if err != nil {
		log.Fatal(err)
	}
	last, err := from.LastSeq(to.Addr())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted:", last)
	for _, text := range journal[last:] {
		if err := from.Send(ctx, to.Addr(), []byte(text)); err != nil {
			log.Fatal(err)
		}
	}
	for {
		m, err := to.TryRecv()
		if errors.Is(err, skybus.ErrEmpty) {
			break
		}
		fmt.Println(m.Seq, string(m.Data))
	}
	d.Close()
	// Output:
	// accepted: 2
	// 1 one
	// 2 two
	// 3 three
}

// Messages is Receive as a loop; break releases the message, as return does.
func ExampleEndpoint_Messages() {
	ctx := context.Background()
	d, from, to := exampleEnds(2006)
	for _, text := range []string{"tick", "tock", "stop", "tick"} {
		if err := from.Send(ctx, to.Addr(), []byte(text)); err != nil {
			log.Fatal(err)
		}
	}

	for m, err := range to.Messages(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(m.Data))
		if string(m.Data) == "stop" {
			break
		}
	}
	d.Close()
	// Output:
	// tick
	// tock
	// stop
}

// An event loop waits for several things. It drains the inbox until ErrEmpty,
// because only that arms Ready again.
func ExampleEndpoint_Ready() {
	d, from, to := exampleEnds(2007)
	quit := time.After(time.Minute)
	if err := from.Send(context.Background(), to.Addr(), []byte("last orders")); err != nil {
		log.Fatal(err)
	}

	for open := true; open; {
		select {
		case <-quit:
			open = false
		case <-to.Ready():
		}
		for {
			m, err := to.TryRecv()
			if errors.Is(err, skybus.ErrEmpty) {
				break
			}
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(string(m.Data))
			open = false
		}
	}
	d.Close()
	// Output: last orders
}

// A typo is an error, and never a lane that nobody reads.
func ExampleEndpoint_Send_typo() {
	d, from, _ := exampleEnds(2008)
	err := from.Send(context.Background(), addr.MustParse("0.0.20.1"), nil)
	fmt.Println(errors.Is(err, skybus.ErrNoRoute))
	d.Close()
	// Output: true
}
