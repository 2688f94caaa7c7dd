// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/netlab"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// short is the patience of a node that is to lose it.
const short = 1500 * time.Millisecond

// impatient starts the node of who asks, with little patience.
func impatient(t *testing.T, d *skybus.Domain) *node.Node {
	t.Helper()
	r := codec.NewRegistry(codec.Limits{})
	if err := Register(r); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(d, here, node.Config{Codec: r, Log: slog.New(slog.DiscardHandler), Patience: short})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// ask calls in a goroutine.
func ask(s *side, to actor.PID, v any) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.callBy(User{RT: s.Node.Runtime()}, to, v)
		done <- err
	}()
	return done
}

// A process that is stopped is alive: whoever has heard of it waits, however little patience it has. Who has not takes it for no
// node.
func TestStoppedProcess(t *testing.T) {
	testutil.NoLeaks(t)
	d, root := domain(t)
	f := killtest.Start(t, "far", farPlan{root})
	f.Line()
	n := impatient(t, d)
	p := joined(t, n, there)
	s := &side{Pair: p, T: t, u: User{RT: n.Runtime()}}
	sleeper := s.start("sleeper", "")
	for range 4 { // it hears of it meanwhile, also if the machine stands still during one of them
		if _, err := s.call(sleeper, int64(short)/3); err != nil {
			t.Fatal(err)
		}
	}
	f.Signal(syscall.SIGSTOP)
	done := ask(s, sleeper, int64(1))
	time.Sleep(3 * short)
	select {
	case err := <-done:
		t.Errorf("the call has not waited: %v", err)
	default:
	}
	f.Signal(syscall.SIGCONT)
	if err := await(s, "the answer", done); err != nil {
		t.Error(err)
	}
	n.Close()

	s.Node = impatient(t, d)
	f.Signal(syscall.SIGSTOP)
	if err := await(s, "the error", ask(s, sleeper, int64(1))); !errors.Is(err, node.ErrSilent) {
		t.Errorf("of one that it has never heard of: %v", err)
	}
	f.Signal(syscall.SIGCONT)
	if err := await(s, "the answer", ask(s, sleeper, int64(2))); err != nil {
		t.Error(err)
	}
	s.eventually("the late answer", func() bool { return s.Node.Stats().Late >= 1 })
}

// A link that is down for longer than Patience, and a process of another host that is stopped for longer: calls and monitors end with
// ErrSilent, what was sent arrives later, and the answer that comes late goes to nobody.
func TestSilenceOfAnotherHost(t *testing.T) {
	testutil.NoLeaks(t)
	d, root := domain(t)
	_, farRoot := domain(t)
	b := netlab.NewBus(t, "../../cmd/skybusd", key, netlab.Site{Name: "a", Root: root, Addrs: "0.0.1.*"}, netlab.Site{Name: "b", Root: farRoot, Addrs: "0.0.2.*"})
	f := killtest.Start(t, "far", farPlan{farRoot})
	f.Line()
	n := impatient(t, d)
	p := joined(t, n, there)
	for _, c := range []struct {
		what       string
		begin, end func()
	}{
		{"the link is cut", func() { b.Cut("a", "b") }, func() { b.Heal("a") }},
		{"its process is stopped", func() { f.Signal(syscall.SIGSTOP) }, func() { f.Signal(syscall.SIGCONT) }},
		{"the daemon here is down", b.Daemons[0].Kill, b.Daemons[0].Start},
		{"the daemon there is down", b.Daemons[1].Kill, b.Daemons[1].Start},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := &side{Pair: p, T: t, u: User{RT: n.Runtime()}}
			silent(s, c.begin, c.end)
		})
	}
}

func silent(s *side, begin, end func()) {
	recorder, echo := s.start("recorder", ""), s.start("echo", "")
	downs, watches := make(chan actor.Down, 1), make(chan error, 1)
	watcher := s.near(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		if v, is := m.Value.(actor.Down); is {
			downs <- v
			return nil
		}
		_, err := c.Monitor(echo)
		watches <- err
		return err
	})})
	if err := s.u.Send(watcher, "watch"); err != nil {
		s.Fatal(err)
	}
	if err := await(s, "the monitor", watches); err != nil {
		s.Fatal(err)
	}
	if _, err := s.call(echo, "x"); err != nil {
		s.Fatal(err)
	}
	late := s.Node.Stats().Late
	began := time.Now() // what begins may take effect before it returns
	begin()
	for i := range 10 {
		if err := s.u.Send(recorder, &Order{Count: i}); err != nil {
			s.Errorf("send while nothing passes: %v", err)
		}
	}
	err := await(s, "the error", ask(s, echo, "late"))
	s.fails("a call while nothing passes", err, node.ErrSilent, "silent")
	if took := time.Since(began); took < short {
		s.Errorf("the call has lost its patience after %v, want %v at least", took, short)
	}
	if d := await(s, "the Down", downs); d.Service != echo || !errors.Is(d.Reason, node.ErrSilent) {
		s.Errorf("told %+v", d)
	}
	end()
	s.eventually("a call afterwards", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		v, err := s.u.Call(ctx, echo, "again") // the link may need longer than the patience is
		if err != nil && !errors.Is(err, node.ErrSilent) || err == nil && v != "again" {
			s.Errorf("afterwards: %v, %v", v, err)
		}
		return err == nil
	})
	if t := s.tally(recorder); t.Got != 10 || t.Disorder != "" {
		s.Errorf("10 were sent: %+v", t)
	}
	s.eventually("the late answer", func() bool { return s.Node.Stats().Late > late })
}
