// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestServiceEndsWhileItReadsAndWrites kills a service, has one fail, and has one end as it wants: its connections
// are closed, also those for which nobody waits.
func TestServiceEndsWhileItReadsAndWrites(t *testing.T) {
	rt, _ := world(t)
	tests := []struct {
		name string
		end  func(p actor.PID) error
	}{
		{"killed", rt.Kill},
		{"failed", func(p actor.PID) error { return rt.Fail(p, errors.New("broken")) }},
		{"exit", func(p actor.PID) error {
			return in(t, rt, p, func(c *actor.Context) error { c.Exit(nil); return nil })
		}},
	}
	for _, test := range tests {
		p := service(t, rt)
		n, peer := pair(t, rt, p, Config{WriteLimit: 1000})
		_, idle := pair(t, rt, p, Config{})
		block(t, rt, p, n)
		errs := make(chan error, 2)
		for _, f := range []call{
			func(c *actor.Context) error { _, err := n.ReadN(c, 1); errs <- err; return err },
			func(c *actor.Context) error { err := n.Write(c, []byte("x")); errs <- err; return err },
		} {
			if err := rt.Send(t.Context(), p, f); err != nil {
				t.Fatal(err)
			}
		}
		waits(t, rt, p, calls, 2)
		if err := test.end(p); err != nil {
			t.Fatal(err)
		}
		wantError(t, <-errs, actor.ErrStopped)
		wantError(t, <-errs, actor.ErrStopped)
		if b, err := io.ReadAll(idle); len(b) > 0 || err != nil {
			t.Errorf("%s: the peer of the idle connection: %q, %v", test.name, b, err)
		}
		if b, err := io.ReadAll(peer); len(b) != 8<<20 || err != nil { // what was written before is sent
			t.Errorf("%s: the peer has read %d bytes, %v", test.name, len(b), err)
		}
		wantError(t, n.why(), net.ErrClosed)
	}
}

func (n *Conn) why() error {
	n.over.mu.Lock()
	defer n.over.mu.Unlock()
	return n.over.why
}

// restarted is a service that has a connection in each of its lives, and says goodbye in its Stop.
type restarted struct {
	lives chan *Conn
	peers chan net.Conn
	n     *Conn
}

func (r *restarted) Start(c *actor.Context) (err error) {
	mine, peer := net.Pipe()
	if r.n, err = Adopt(c, mine); err != nil {
		return err
	}
	r.peers <- peer
	r.lives <- r.n
	return nil
}

func (r *restarted) Handle(c *actor.Context, m *actor.Message) error {
	if err := m.Value.(call)(c); err != nil {
		return err
	}
	return c.Reply(nil)
}

func (r *restarted) Stop(c *actor.Context, _ error) { _ = r.n.Write(c, []byte("bye")) }

// TestRestartClosesConnections has a service restart: it has the same PID, and none of its connections.
func TestRestartClosesConnections(t *testing.T) {
	rt, _ := world(t)
	lives, peers := make(chan *Conn, 10), make(chan net.Conn, 10)
	p, err := rt.Start(t.Context(), actor.Spec{
		New:     func() actor.Handler { return &restarted{lives: lives, peers: peers} },
		Restart: actor.Restart{When: actor.OnFailure, Min: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		n, peer := <-lives, <-peers
		must(t, rt, p, func(*actor.Context) error { return nil }) // behind the guard, which was forked before
		if err := rt.Fail(p, errors.New("once more")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(peer)
		if string(got) != "bye" || err != nil {
			t.Errorf("the peer has read %q, %v", got, err)
		}
		wantError(t, n.why(), net.ErrClosed)
	}
	n, peer := <-lives, <-peers
	go func() { _, _ = io.WriteString(peer, "hi") }() // the pipe has no buffer
	must(t, rt, p, func(c *actor.Context) error {
		b, err := n.ReadN(c, 2)
		if err == nil && string(b) != "hi" {
			err = fmt.Errorf("read %q", b)
		}
		return err
	})
	peer.Close()
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
}

// TestStopFinishesWhatWasBegun stops a service whose connections are in each of the states that a drain can meet.
func TestStopFinishesWhatWasBegun(t *testing.T) {
	for _, whole := range []bool{false, true} { // the runtime
		t.Run(fmt.Sprintf("runtime=%v", whole), func(t *testing.T) {
			rt, p := world(t)
			var ln *Listener
			errs := make(chan error, 3)
			must(t, rt, p, func(c *actor.Context) (err error) {
				ln, err = Listen(c, "127.0.0.1:0", func(c *actor.Context, n *Conn) {
					line, err := n.ReadLine(c, "\n", 0)
					if err == nil {
						err = n.Write(c, line)
					}
					errs <- err
				})
				return err
			})
			idle, half := dial(t, ln), dial(t, ln)
			write(t, half, "half a ")
			eventually(t, func() bool { return len(rt.Tasks(p, false)) == 4 }) // the guard, the acceptor, two lines
			eventually(t, func() bool { return ln.Stats().Accepted == 2 })

			dialled, answers := pair(t, rt, p, Config{})
			asking := start(rt, p, func(c *actor.Context) error {
				for range 3 { // a wait that begins after the stop has, too
					if _, err := dialled.ReadN(c, 1); err != nil {
						return err
					}
				}
				return nil
			})
			waits(t, rt, p, calls, 1)

			stopped := make(chan error, 1)
			go func() {
				if whole {
					stopped <- rt.Shutdown(context.Background())
				} else {
					stopped <- rt.Stop(context.Background(), p)
				}
			}()
			wantError(t, <-errs, actor.ErrStopped) // the idle one
			if b, err := io.ReadAll(idle); len(b) > 0 || err != nil {
				t.Errorf("the idle peer has read %q, %v", b, err)
			}
			eventually(t, func() bool { // nobody listens any more
				return errors.Is(ln.ln.(*net.TCPListener).SetDeadline(time.Time{}), net.ErrClosed)
			})
			select {
			case err := <-stopped:
				t.Fatalf("the service has ended with things to do: %v", err)
			default:
			}
			write(t, half, "line\n")
			expect(t, half, "half a line")
			if err := <-errs; err != nil {
				t.Error(err)
			}
			for range 3 {
				write(t, answers, "x")
				time.Sleep(10 * time.Millisecond)
			}
			if err := <-asking; err != nil {
				t.Error(err)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(answers); err != nil {
				t.Error(err)
			}
		})
	}
}

func dial(t testing.TB, ln *Listener) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

func TestOnlyTheOwnerMayUseAConnection(t *testing.T) {
	rt, p := world(t)
	n, _ := pair(t, rt, p, Config{})
	var pc *PacketConn
	must(t, rt, p, func(c *actor.Context) (err error) {
		pc, err = ListenPacket(c, "127.0.0.1:0")
		return err
	})
	other := service(t, rt)
	for i, f := range []call{
		func(c *actor.Context) error { _, err := n.Read(c, 0); return err },
		func(c *actor.Context) error { return n.Write(c, nil) },
		func(c *actor.Context) error { return n.Put(c, nil) },
		n.Flush, n.CloseWrite, n.WaitClosed,
		func(c *actor.Context) error { return n.Give(c, p) },
		func(c *actor.Context) error { return n.Forward(c, p) },
		func(c *actor.Context) error { _, err := pc.ReadFrom(c); return err },
		func(c *actor.Context) error { return pc.WriteTo(c, nil, pc.LocalAddr()) },
	} {
		if err := in(t, rt, other, f); !errors.Is(err, ErrNotOwner) {
			t.Errorf("%d: error %v, want ErrNotOwner", i, err)
		}
	}
	must(t, rt, p, func(c *actor.Context) error {
		if found, ok := Find(c, n.ID()); !ok || found != n {
			t.Error("its owner does not find it")
		}
		_, ok := Find(c, n.ID()+1)
		if ok {
			t.Error("found what is not there")
		}
		return nil
	})
	must(t, rt, other, func(c *actor.Context) error {
		if _, ok := Find(c, n.ID()); ok {
			t.Error("another one finds it")
		}
		return nil
	})
	pc.Close()
	n.Close()
}

// taker gets connections from others.
func taker(got chan<- *Conn) func() actor.Handler {
	return func() actor.Handler {
		m := new(actor.Mux)
		actor.Do(m, func(c *actor.Context, f call) error { return f(c) })
		actor.On(m, func(_ *actor.Context, n *Conn) error { got <- n; return nil })
		return m
	}
}

func TestGive(t *testing.T) {
	rt, p := world(t)
	got := make(chan *Conn, 1)
	to, err := rt.Start(t.Context(), actor.Spec{New: taker(got)})
	if err != nil {
		t.Fatal(err)
	}
	n, peer := pair(t, rt, p, Config{})
	write(t, peer, "begun ")
	waiting := start(rt, p, func(c *actor.Context) error { _, err := n.ReadN(c, 100); return err })
	waits(t, rt, p, calls, 1)
	give := func(c *actor.Context) error { return n.Give(c, to) }
	wantError(t, in(t, rt, p, give), ErrBusy)
	n.SetReadDeadline(time.Now())
	wantError(t, <-waiting, os.ErrDeadlineExceeded)
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return n.Give(c, actor.PID{Handle: 12345}) }), actor.ErrNoService)
	must(t, rt, p, func(c *actor.Context) error {
		if err := n.Put(c, []byte("queued ")); err != nil {
			return err
		}
		return give(c)
	})
	if <-got != n || n.Owner() != to {
		t.Fatalf("it belongs to %v, want %v", n.Owner(), to)
	}
	wantError(t, in(t, rt, p, give), ErrNotOwner)
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
	write(t, peer, "ended\n")
	must(t, rt, to, func(c *actor.Context) error {
		line, err := n.ReadLine(c, "\n", 0)
		if string(line) != "begun ended" {
			t.Errorf("read %q", line)
		}
		return errors.Join(err, n.Write(c, []byte("thanks")))
	})
	expect(t, peer, "queued thanks")
	if err := rt.Kill(to); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(peer); err != nil {
		t.Error(err)
	}
	eventually(t, func() bool { return n.isClosed() })
}

// TestGivenToOneThatEnds gives connections to a service that dies with the message in its mailbox, and to one that is full.
func TestGivenToOneThatEnds(t *testing.T) {
	testutil.NoLeaks(t)
	rt := actor.New(actor.Config{}) // one that does not mind what is not handled
	defer rt.Close()
	p := service(t, rt)
	got := make(chan *Conn, 1)
	hold := make(chan struct{})
	to, err := rt.Start(t.Context(), actor.Spec{New: taker(got), Mailbox: actor.Mailbox{Capacity: 1, Full: actor.Reject}})
	if err != nil {
		t.Fatal(err)
	}
	busy := start(rt, to, func(*actor.Context) error { <-hold; return nil })
	eventually(t, func() bool { i, _ := rt.Info(to); return i.Handled == 1 && i.Waiting == 0 })
	n, peer := pair(t, rt, p, Config{})
	must(t, rt, p, func(c *actor.Context) error { return n.Give(c, to) })
	second, other := pair(t, rt, p, Config{})
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return second.Give(c, to) }), actor.ErrMailboxFull)
	must(t, rt, p, func(c *actor.Context) error { return second.Write(c, []byte("still here")) })
	expect(t, other, "still here")
	if err := rt.Kill(to); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if err := <-busy; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(peer); err != nil {
		t.Error(err)
	}
	wantError(t, n.why(), net.ErrClosed)
	second.Close()
}

// TestKeepersEnd sees to it that a service that has no connection any more has no keeper after a while, and gets
// another one when it has one again.
func TestKeepersEnd(t *testing.T) {
	rt, p := world(t)
	for range 2 {
		n, peer := pair(t, rt, p, Config{})
		write(t, peer, "x")
		must(t, rt, p, func(c *actor.Context) error { _, err := n.ReadN(c, 1); return err })
		if got := rt.Stats().Services; got != 2 {
			t.Errorf("%d services, want it and its keeper", got)
		}
		n.Close()
		eventually(t, func() bool { return rt.Stats().Services == 1 && len(rt.Tasks(p, false)) == 0 })
		if _, ok := keepers.Load(keeperKey{rt, p}); ok {
			t.Error("the keeper is still listed")
		}
	}
}

func TestAfterTheRuntimeIsShutDown(t *testing.T) {
	rt, p := world(t)
	go func() { _ = rt.Shutdown(context.Background()) }()
	hold := start(rt, p, func(c *actor.Context) error {
		for {
			if _, err := c.Runtime().Spawn(actor.Spec{New: newService}); err != nil {
				break
			}
			if err := c.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		mine, peer := net.Pipe()
		defer peer.Close()
		_, err := Adopt(c, mine)
		_, dialErr := Dial(c, "127.0.0.1:1")
		return errors.Join(err, dialErr)
	})
	if err := <-hold; !errors.Is(err, actor.ErrNoService) { // it may have come too late
		wantError(t, err, actor.ErrStopped)
	}
}
