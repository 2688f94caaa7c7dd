// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
)

// patience is far more than anything here takes; who waits longer is stuck.
const patience = 90 * time.Second

// A Pair is two sides: who asks at Node, and Far. Both may be one node.
type Pair struct {
	Node  *node.Node
	Far   Far
	Local bool // they are one process's, and values pass as they are
}

// Suite has services and goroutines of the node deal with services of the far side. newPair makes the
// sides for each test, and ends them with it; or they are the same for all.
func Suite(t *testing.T, newPair func(t *testing.T) Pair) {
	for _, test := range []struct {
		name string
		run  func(s *side)
	}{
		{"values", values}, {"errors", errorsArrive}, {"values that cannot travel", cannotTravel}, {"order", order},
		{"whose answer", whoseAnswer}, {"deadlines", deadlines}, {"calls back", callsBack}, {"names", names}, {"kinds", kinds},
		{"full mailboxes", fullMailboxes}, {"ends while it is asked", endsWhileAsked}, {"groups", groups},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t)
			t.Run("goroutine", func(t *testing.T) { test.run(&side{Pair: p, T: t, u: User{RT: p.Node.Runtime()}}) })
			t.Run("handler", func(t *testing.T) {
				inHandler(t, p.Node.Runtime(), func(c *actor.Context) { test.run(&side{Pair: p, T: t, u: User{c, p.Node.Runtime()}}) })
			})
		})
	}
	for _, test := range []struct { // that only services can do
		name string
		run  func(s *side)
	}{{"bounces", bounces}, {"monitors", monitors}, {"links", links}} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t)
			test.run(&side{Pair: p, T: t, u: User{RT: p.Node.Runtime()}})
		})
	}
}

// A side is who asks, for one test.
type side struct {
	Pair
	*testing.T
	u User
}

// inHandler runs f in a handler of a new service.
func inHandler(t *testing.T, rt *actor.Runtime, f func(c *actor.Context)) {
	t.Helper()
	p, err := rt.Start(t.Context(), actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		if !m.IsCall() {
			return fmt.Errorf("stray message %v", m.Value)
		}
		f(c)
		return c.Reply(nil)
	})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Call(t.Context(), p, nil); err != nil {
		t.Fatalf("handler: %v", err)
	}
	if err := rt.Stop(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// start starts a service over there.
func (s *side) start(kind, name string) actor.PID {
	s.Helper()
	p, err := s.Far.Start(s.u, kind, name)
	if err != nil {
		s.Fatalf("start %q: %v", kind, err)
	}
	if !s.Local && p.Node != s.Far.PID.Node {
		s.Errorf("%v is not of %v", p, s.Far.PID.Node)
	}
	return p
}

// stop ends a service over there.
func (s *side) stop(p actor.PID) {
	s.Helper()
	if err := s.Far.Stop(s.u, p); err != nil {
		s.Fatalf("stop %v: %v", p, err)
	}
}

// call calls.
func (s *side) call(to actor.PID, v any) (any, error) { return s.callBy(s.u, to, v) }

// callBy has u call. A call that does not end fails the test.
func (s *side) callBy(u User, to actor.PID, v any) (any, error) {
	s.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errStuck)
	defer cancel()
	answer, err := u.Call(ctx, to, v)
	if errors.Is(err, errStuck) {
		s.Errorf("call %v with %.80v: %v", to, v, err)
	}
	return answer, err
}

// errStuck is why a call ends that should have ended long before.
var errStuck = errors.New("neither an answer nor an error has come")

// fails wants an error that is of a kind, and says something.
func (s *side) fails(what string, err, is error, says string) {
	s.Helper()
	if err == nil || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		s.Errorf("%s: got the error %v, want one that is %v and has %q", what, err, is, says)
		return
	}
	var call *node.CallError
	if !s.Local && !errors.As(err, &call) {
		s.Errorf("%s: %v is no CallError", what, err)
	}
}

// near starts a service in the process of who asks, until the test ends.
func (s *side) near(spec actor.Spec) actor.PID {
	s.Helper()
	rt := s.Node.Runtime()
	p, err := rt.Start(context.Background(), spec)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = rt.Kill(p) })
	return p
}

// tell has a service of the own process do something, and waits until it has.
func (s *side) tell(p actor.PID, v any) {
	s.Helper()
	if _, err := s.Node.Runtime().Call(s.Context(), p, v); err != nil {
		s.Fatalf("tell %v: %v", v, err)
	}
}

// await returns what comes next.
func await[T any](s *side, what string, c <-chan T) (v T) {
	s.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		s.Fatalf("%s has not come in %v", what, patience)
	}
	return v
}

// tally returns what a recorder has got.
func (s *side) tally(p actor.PID) Tally {
	s.Helper()
	v, err := s.call(p, "tally")
	t, ok := v.(Tally)
	if err != nil || !ok {
		s.Fatalf("tally: %v, %v", v, err)
	}
	return t
}
