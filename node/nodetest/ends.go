// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"errors"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
)

// Names are found, lead to who has them now, and go with their owner.
func names(s *side) {
	at, name := node.At(s.Far.PID.Node), "nodetest.name."+map[bool]string{true: "goroutine", false: "handler"}[s.u.C == nil]
	lookup := func() (actor.PID, error) {
		if s.u.C != nil {
			return s.Node.LookupFrom(s.u.C, at.Node, name)
		}
		return s.Node.Lookup(s.Context(), at.Node, name)
	}
	for range 2 { // the second owner is another one
		_, err := lookup()
		if !errors.Is(err, actor.ErrNoService) {
			s.Errorf("nobody has the name: %v", err)
		}
		_, err = s.call(at, node.Named{Name: name, Value: 1})
		s.fails("a call of nobody's name", err, actor.ErrNoService, map[bool]string{false: name}[s.Local])
		p := s.start("echo", name)
		if got, err := lookup(); got.Handle != p.Handle || err != nil {
			s.Errorf("looked up %v, %v; want %v", got, err, p)
		}
		if got, err := s.call(at, node.Named{Name: name, Value: "x"}); got != "x" || err != nil {
			s.Errorf("by name: %v, %v", got, err)
		}
		if _, err := s.Far.Start(s.u, "echo", name); !errors.Is(err, actor.ErrNameTaken) {
			s.Errorf("a name that is taken: %v", err)
		}
		s.stop(p)
	}
}

// The kind of a message travels.
func kinds(s *side) {
	p := s.start("kinds", "")
	for _, k := range []actor.Kind{actor.KindMessage, actor.KindText, actor.KindUser, actor.KindUser + 7, 255} {
		var got any
		var err error
		if s.u.C != nil {
			got, err = s.u.C.CallKind(p, k, "x")
		} else {
			got, err = s.u.RT.CallKind(s.Context(), p, k, "x")
		}
		if got != int64(k) || err != nil {
			s.Errorf("kind %d: got %v, %v", k, got, err)
		}
	}
}

// What a mailbox refuses, or drops, is an error at the caller. What it takes ends with the service.
func fullMailboxes(s *side) {
	const n, room = 40, 20 // a worker has taken some that wait
	for kind, is := range map[string]error{"rejects": actor.ErrMailboxFull, "drops": actor.ErrDropped} {
		p := s.start(kind, "")
		ended := make(chan error, n)
		s.soon(n, func(u User) {
			_, err := s.callBy(u, p, "x")
			ended <- err
		}, func() {
			for range n - room {
				s.fails(kind, await(s, "a refusal", ended), is, "")
			}
			if err := s.Far.Kill(s.u, p); err != nil {
				s.Errorf("kill: %v", err)
			}
		})
		for range room {
			if err := <-ended; !isAny(err, []error{is, actor.ErrKilled, actor.ErrStopped, actor.ErrNoService}) {
				s.Errorf("%s, when it is killed: %v", kind, err)
			}
		}
	}
}

// soon runs f in so many goroutines, then meanwhile, and waits for all of them.
func (s *side) soon(n int, f func(u User), meanwhile func()) {
	s.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&side{Pair: s.Pair, T: s.T, u: User{RT: s.u.RT}}).many(n, f)
	}()
	meanwhile()
	<-done
}

// Who waits for a service that ends hears of it, once.
func endsWhileAsked(s *side) {
	for _, c := range []struct {
		what string
		end  func(p actor.PID) error
		is   []error
	}{
		{"it is killed", func(p actor.PID) error { return s.Far.Kill(s.u, p) }, []error{actor.ErrKilled, actor.ErrStopped}},
		{"it fails", func(p actor.PID) error { return s.u.Send(p, "fail") }, []error{actor.ErrStopped}},
		{"it ends itself", func(p actor.PID) error { return s.u.Send(p, "end") }, []error{actor.ErrStopped}},
	} {
		const n = 20
		p := s.start("moody", "")
		ended := make(chan error, n)
		s.soon(n, func(u User) {
			_, err := s.callBy(u, p, "wait")
			ended <- err
		}, func() {
			time.Sleep(5 * time.Millisecond) // some have been taken, some not
			if err := c.end(p); err != nil {
				s.Errorf("%s: %v", c.what, err)
			}
		})
		for range n {
			err := <-ended
			if is := append(c.is, actor.ErrNoService); !isAny(err, is) {
				s.Errorf("%s: %v, want one of %v", c.what, err, is)
			}
		}
	}
}

// isAny reports whether err is one of list.
func isAny(err error, list []error) bool {
	for _, is := range list {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// A group's message goes to all of its members, until they leave or end.
func groups(s *side) {
	if s.u.C != nil {
		return // who joins is no handler
	}
	g, err := s.Node.Runtime().NewGroup()
	if err != nil {
		s.Fatal(err)
	}
	defer g.Close()
	var members []actor.PID
	for range 3 {
		p := s.start("recorder", "")
		if err := s.Node.Join(s.Context(), g, p); err != nil {
			s.Fatal(err)
		}
		members = append(members, p)
	}
	sent := 0
	say := func(text string, has ...bool) {
		s.Helper()
		sent++
		if err := s.u.Send(g.PID(), text); err != nil {
			s.Fatal(err)
		}
		for i, p := range members {
			if has[i] {
				s.eventually(text, func() bool { return s.tally(p).Last == text })
			}
		}
	}
	say("all", true, true, true)
	if err := s.Node.Leave(s.Context(), g, members[0]); err != nil {
		s.Fatal(err)
	}
	say("two", false, true, true)
	s.stop(members[1])
	say("one", false, false, true)
	for i, want := range map[int]int{0: 1, 2: sent} {
		if t := s.tally(members[i]); t.Got != want {
			s.Errorf("member %d has got %+v, want %d messages", i, t, want)
		}
	}
	if err := s.Node.Join(s.Context(), g, members[1]); !errors.Is(err, actor.ErrNoService) {
		s.Errorf("one that is gone joins: %v", err)
	}
}

// eventually waits until f is true.
func (s *side) eventually(what string, f func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// What is not taken comes back, with its kind and value.
func bounces(s *side) {
	gone, full := s.start("echo", ""), s.start("drops", "")
	s.stop(gone)
	defer func() {
		if err := s.Far.Kill(s.u, full); err != nil {
			s.Error(err)
		}
	}()
	back := make(chan actor.Undelivered, 99)
	const kind = actor.KindUser + 7
	sender := s.near(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		switch v := m.Value.(type) {
		case actor.Undelivered:
			back <- v
			return nil
		case *Order:
			for range v.Count {
				if err := c.SendKind(v.Next, kind, &Order{Player: "ann"}); err != nil {
					return err
				}
			}
		}
		return c.Reply(nil)
	})})
	const n, room = 40, 20 // a worker has taken some that wait
	for _, c := range []struct {
		what string
		to   actor.PID
		n    int // that come back
		is   error
	}{{"to one that is gone", gone, n, actor.ErrNoService}, {"to one that drops", full, n - room, actor.ErrDropped}} {
		if s.Local && c.to == gone {
			continue // the sender hears of it at once
		}
		s.tell(sender, &Order{Count: n, Next: c.to})
		for range c.n {
			u := await(s, "what comes back", back)
			o, ok := u.Value.(*Order)
			if !ok || o.Player != "ann" || u.To.Handle != c.to.Handle || u.Kind != kind || !errors.Is(u.Reason, c.is) {
				s.Errorf("%s: came back: %+v", c.what, u)
			}
		}
	}
}

// Who watches hears of an end, with its reason; who has stopped watching does not.
func monitors(s *side) {
	downs := make(chan actor.Down, 9)
	watcher := s.near(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		switch v := m.Value.(type) {
		case actor.Down:
			downs <- v
			return nil
		case *Order: // to watch Next, and so often more for a moment
			for range v.Count {
				twice, err := c.Monitor(v.Next)
				if err != nil {
					return err
				}
				twice.Stop()
			}
			if _, err := c.Monitor(v.Next); err != nil {
				return err
			}
		}
		return c.Reply(nil)
	})})
	for _, c := range []struct {
		what string
		end  func(p actor.PID)
		is   error
		says string
	}{
		{"it stops", func(p actor.PID) { s.stop(p) }, nil, ""},
		{"it ends itself", func(p actor.PID) { _, _ = s.call(p, "end") }, nil, ""},
		{"it fails", func(p actor.PID) { _, _ = s.call(p, "fail") }, nil, "a whim"},
		{"it is killed", func(p actor.PID) { _ = s.Far.Kill(s.u, p) }, actor.ErrKilled, ""},
	} {
		p := s.start("moody", "nodetest.watched")
		s.tell(watcher, &Order{Count: 1, Next: p})
		_, _ = s.call(p, "nothing") // behind the watch: it is there
		c.end(p)
		d := await(s, c.what, downs)
		if d.Service.Handle != p.Handle || d.Name != "nodetest.watched" || (d.Reason == nil) != (c.is == nil && c.says == "") {
			s.Errorf("%s: told %+v", c.what, d)
		}
		if d.Reason != nil {
			s.ended(c.what, d.Reason, c.is, c.says)
		}
		s.tell(watcher, &Order{Next: p}) // it is gone
		if d := await(s, "the end of one that is gone", downs); !errors.Is(d.Reason, actor.ErrNoService) {
			s.Errorf("%s, afterwards: told %+v", c.what, d)
		}
	}
	if len(downs) > 0 {
		s.Errorf("told once more: %+v", <-downs)
	}
}

// ended judges the reason of a Down.
func (s *side) ended(what string, reason, is error, says string) {
	s.Helper()
	if is != nil && !errors.Is(reason, is) || says != "" && reason.Error() != says {
		s.Errorf("%s: the reason is %v, want one that is %v, or says %q", what, reason, is, says)
	}
}

// Who is linked ends with the other one, if that fails.
func links(s *side) {
	rt := s.Node.Runtime()
	link := func(to actor.PID) actor.PID {
		p := s.near(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
			return errors.Join(c.Link(m.Value.(actor.PID)), c.Reply(nil))
		})})
		s.tell(p, to)
		_, _ = s.call(to, "nothing") // behind the link: it is there
		return p
	}
	gone := func(p actor.PID) func() bool {
		return func() bool { _, there := rt.Info(p); return !there }
	}
	p := s.start("moody", "")
	two := []actor.PID{link(p), link(p)}
	_, _ = s.call(p, "fail")
	for _, near := range two {
		s.eventually("the end of what was linked here", gone(near))
	}
	p = s.start("moody", "")
	near := link(p)
	if err := rt.Fail(near, errWhim); err != nil {
		s.Fatal(err)
	}
	s.eventually("the end of what was linked there", func() bool {
		_, err := s.call(p, "nothing")
		return errors.Is(err, actor.ErrNoService)
	})
	p = s.start("moody", "")
	near = link(p)
	_, _ = s.call(p, "end") // as it wanted
	_, err := s.call(p, "nothing")
	s.fails("one that has ended", err, actor.ErrNoService, "")
	if gone(near)() {
		s.Error("it has ended with one that did not fail")
	}
}
