// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package skybus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A gate stops the first goroutine that comes to a step.
type gate struct {
	site    string
	taken   atomic.Bool
	reached chan struct{}
	open    chan struct{}
}

// gates installs a hook with the gates that the test adds later.
func gates(t *testing.T) (add func(site string) *gate) {
	var all [4]atomic.Pointer[gate]
	n := 0
	invariant.SetHook(func(site string) {
		for i := range all {
			if g := all[i].Load(); g != nil && g.site == site && g.taken.CompareAndSwap(false, true) {
				close(g.reached)
				<-g.open
			}
		}
	})
	t.Cleanup(func() { invariant.SetHook(nil) })
	return func(site string) *gate {
		g := &gate{site: site, reached: make(chan struct{}), open: make(chan struct{})}
		all[n].Store(g)
		n++
		return g
	}
}

func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.reached:
	case <-time.After(patience):
		t.Fatalf("nobody came to %s", g.site)
	}
}

// TestSleeperStaysAnnounced: of two that receive, the second finds a message
// just before it sleeps. The first still sleeps, and writers have to know.
func TestSleeperStaysAnnounced(t *testing.T) {
	d := dynamic(t)
	from := bind(t, d, a)
	to := bind(t, d, b, skybus.WithWait(skybus.WaitPark))
	got := make(chan error, 2)
	receive := func() error { _, err := to.Recv(soon(t)); got <- err; return nil }

	first := run(t, receive)
	parked(t, d, b)
	add := gates(t)
	announces := add("shm.bell.sleep")
	second := run(t, receive)
	announces.wait(t) // the second; or the first, if it has slept for a second: then they change their parts
	looks := add("shm.bell.sleeping")
	sent := run(t, func() error { return from.Send(soon(t), b, nil) })
	looks.wait(t)
	close(announces.open)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	close(looks.open)
	if err := sent(); err != nil {
		t.Fatal(err)
	}

	clock := testutil.StartClock()
	send(t, from, b, "for the other")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if took := clock.Stop(); took > atOnce {
		t.Errorf("the other was woken after %v", took)
	}
	if err := errors.Join(first(), second()); err != nil {
		t.Error(err)
	}
}

// TestWaiterForRoomStaysAnnounced: of two that wait for room in one lane, the
// second finds room for its small message just before it sleeps. The first still
// sleeps, and the reader has to know.
func TestWaiterForRoomStaysAnnounced(t *testing.T) {
	d := small(t)
	from, to := bind(t, d, a, skybus.WithWait(skybus.WaitPark)), bind(t, d, b)
	fill(t, from, b, 100)
	fill(t, from, b, 0)
	before := parks(d, a)
	first := run(t, func() error { return from.Send(soon(t), b, make([]byte, 1500)) })
	eventually(t, "the first is parked", func() bool { return parks(d, a) > before })
	time.Sleep(2 * time.Millisecond)

	add := gates(t)
	announces := add("channel.waiting")
	second := run(t, func() error { return from.Send(soon(t), b, nil) })
	announces.wait(t)
	looks := add("channel.freed")
	received := run(t, func() error { _, err := to.Recv(soon(t)); return err })
	looks.wait(t)
	close(announces.open)
	if err := second(); err != nil {
		t.Fatal(err)
	}
	close(looks.open)
	if err := received(); err != nil {
		t.Fatal(err)
	}

	clock := testutil.StartClock()
	drain(t, to)
	if err := first(); err != nil {
		t.Fatal(err)
	}
	if took := clock.Stop(); took > atOnce {
		t.Errorf("the first was woken after %v", took)
	}
}

// TestMessageWhileLaneIsCooled: a lane that stays empty is polled no more, and
// its bit is cleared. A writer that commits just before sees the bit still set
// and tells nobody; the reader has to look once more.
func TestMessageWhileLaneIsCooled(t *testing.T) {
	const lanes = 12 // more than are polled while they are empty
	d := dynamic(t)
	to := bind(t, d, b, skybus.WithWait(skybus.WaitPark))
	var froms []*skybus.Endpoint
	for i := range addr.Addr(lanes) {
		froms = append(froms, bind(t, d, 0x1000+i))
		send(t, froms[i], b, "opens the lane")
	}
	for range lanes {
		recv(t, to)
	}
	add := gates(t)
	clears := add("drain.clear")
	looked := run(t, func() error { _, err := to.TryRecv(); return err })
	clears.wait(t)
	for _, from := range froms {
		send(t, from, b, "unheard")
	}
	close(clears.open)
	left := lanes
	if looked() == nil {
		left--
	}
	clock := testutil.StartClock()
	for range left {
		recv(t, to)
	}
	if took := clock.Stop(); took > atOnce {
		t.Errorf("the messages came after %v", took)
	}
}

func init() { roles["dying writer"] = dyingWriter }

// dyingWriter sends one message and dies before it tells the reader.
func dyingWriter(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(key, skybus.Options{Root: root, MustExist: true})
	if err != nil {
		return err
	}
	e, err := d.Bind(a)
	if err != nil {
		return err
	}
	invariant.SetHook(func(site string) {
		if site == "inbox.bit" {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		}
	})
	return e.Send(context.Background(), b, []byte("unheard"))
}

// TestUnannouncedMessageIsFound: whatever way a reader waits, it looks at the
// lanes themselves once a second.
func TestUnannouncedMessageIsFound(t *testing.T) {
	ways := map[string]func(*testing.T, *skybus.Endpoint) error{
		"Recv parked":   func(t *testing.T, e *skybus.Endpoint) error { return recvWith(t, e, skybus.WaitPark) },
		"Recv spinning": func(t *testing.T, e *skybus.Endpoint) error { return recvWith(t, e, skybus.WaitSpin) },
		"Receive":       receiveOne,
		"Ready":         func(_ *testing.T, e *skybus.Endpoint) error { <-e.Ready(); _, err := e.TryRecv(); return err },
		"RecvFrom":      func(t *testing.T, e *skybus.Endpoint) error { _, err := e.RecvFrom(soon(t), a); return err },
		"TryRecv": func(t *testing.T, e *skybus.Endpoint) error {
			eventually(t, "a message", func() bool { _, err := e.TryRecv(); return err == nil })
			return nil
		},
	}
	for _, mode := range []skybus.Wait{skybus.WaitAdaptive, skybus.WaitSpin} {
		for name, way := range ways {
			t.Run(mode.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				d := dynamic(t)
				to := bind(t, d, b, skybus.WithWait(mode))
				got := run(t, func() error { return way(t, to) })
				time.Sleep(20 * time.Millisecond)
				p := killtest.Start(t, "dying writer", rootOf(d))
				if err := p.Wait(); err != nil || !p.Killed() {
					t.Fatalf("the writer did not die: %v", err)
				}
				clock := testutil.StartClock()
				if err := got(); err != nil {
					t.Fatal(err)
				}
				if took := clock.Stop(); took > 4*time.Second {
					t.Errorf("found after %v", took)
				}
			})
		}
	}
}

func recvWith(t *testing.T, e *skybus.Endpoint, w skybus.Wait) error {
	_, err := e.RecvWith(soon(t), skybus.RecvOptions{Wait: w})
	return err
}

func receiveOne(t *testing.T, e *skybus.Endpoint) error {
	for m, err := range e.Messages(soon(t)) {
		if err != nil {
			return err
		}
		if m.Src != a {
			t.Errorf("received %v", m)
		}
		return nil
	}
	return nil
}
