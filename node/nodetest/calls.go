// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// What is sent arrives as it was.
func values(s *side) {
	p := s.start("echo", "")
	for _, v := range []any{
		nil, []byte("bytes"), []byte{}, "text", "", "\xff", int64(-7), uint64(1 << 63), 1.5, true, &Order{"ann", 3, p, "inside"},
		&Order{Next: node.At(s.Far.PID.Node)}, &Order{Inside: &Order{Player: "bob", Next: node.At(s.Node.Addr())}}, map[string]any{"a": int64(1), "b": []any{"x", nil}}, strings.Repeat("x", LargestMessage/2),
	} {
		got, err := s.call(p, v)
		if err != nil || !reflect.DeepEqual(got, v) {
			s.Errorf("sent %.80v: got %.80v, %v", v, got, err)
		}
	}
}

// Errors are what they were.
func errorsArrive(s *side) {
	p := s.start("moody", "")
	gone := s.start("echo", "")
	s.stop(gone)
	stale := actor.PID{Node: s.Far.PID.Node, Handle: 1}
	for _, c := range []struct {
		what string
		to   actor.PID
		v    any
		is   error
		says string
	}{
		{"the handler's own", p, "whim", nil, "a whim"},
		{"a panic", p, "panic", nil, "panic: whim"},
		{"no answer", p, "nothing", actor.ErrNoReply, ""},
		{"one that is gone", gone, "x", actor.ErrNoService, ""},
		{"of a process before", stale, "x", actor.ErrStalePID, ""},
		{"a wrong type", s.Far.PID, "x", actor.ErrType, "string"},
		{"an unknown kind", s.Far.PID, Start{Kind: "nonsense"}, nil, `"nonsense"`},
	} {
		_, err := s.call(c.to, c.v)
		s.fails(c.what, err, c.is, c.says)
		if panicked := (*actor.PanicError)(nil); c.v == "panic" && !errors.As(err, &panicked) {
			s.Errorf("%v is no PanicError", err)
		}
	}
	if _, err := s.call(p, "end"); err == nil {
		s.Error("one that ends without an answer has answered")
	}
	_, err := s.call(p, "whim")
	s.fails("one that has ended", err, actor.ErrNoService, "")
}

// What cannot travel is an error at the caller, and within a process no matter.
func cannotTravel(s *side) {
	p := s.start("moody", "")
	for _, c := range []struct {
		what string
		v    any
		is   []error
		says string
	}{
		{"a channel", make(chan int), []error{node.ErrValue, codec.ErrType}, "chan int"},
		{"a function inside", &Order{Inside: func() {}}, []error{node.ErrValue, codec.ErrType}, "func()"},
		{"a type that nobody knows", struct{ A int }{}, []error{node.ErrValue, codec.ErrType}, "struct"},
		{"a value that contains itself", cycle(), []error{node.ErrValue, codec.ErrCycle}, "itself"},
		{"one that is nested too deep", deep(), []error{node.ErrValue, codec.ErrTooLarge}, ""},
		{"one that is too large", large(), []error{skybus.ErrTooBig}, ""},
		{"a type that only this side knows", OnlyHere{"text"}, []error{node.ErrValue}, ""},
		{"an answer that is a function", "func", []error{node.ErrValue}, "func()"},
		{"an answer of a type that nobody knows", "unregistered", []error{node.ErrValue}, "struct"},
		{"an answer that contains itself", "cycle", []error{node.ErrValue}, "itself"},
		{"an answer that is too large", "large", []error{skybus.ErrTooBig}, ""},
		{"an answer that only that side knows", "only there", []error{node.ErrValue}, ""},
	} {
		_, err := s.call(p, c.v)
		if _, asked := c.v.(string); s.Local {
			if asked && err != nil && len(c.v.(string)) < 100 || !asked && !errors.Is(err, actor.ErrNoReply) {
				s.Errorf("%s, within a process: %v", c.what, err)
			}
			continue
		}
		for _, is := range c.is {
			s.fails(c.what, err, is, c.says)
		}
	}
	if _, err := s.call(p, "whim"); err == nil || !strings.Contains(err.Error(), "a whim") {
		s.Errorf("afterwards: %v", err)
	}
	if v, err := s.call(p, large()[:LargestMessage/2]); !errors.Is(err, actor.ErrNoReply) {
		s.Errorf("one that is just not too large: %.20v, %v", v, err)
	}
}

// deep returns a value of more levels than a codec takes.
func deep() (v any) {
	for range 2000 {
		v = []any{v}
	}
	return v
}

// What one sends and calls is handled in order.
func order(s *side) {
	const n = 1000
	p := s.start("recorder", "")
	for i := range n {
		o := &Order{Player: strings.Repeat("x", i), Count: i}
		var err error
		if i%100 == 99 {
			_, err = s.call(p, o)
		} else {
			err = s.u.Send(p, o)
		}
		if err != nil {
			s.Fatalf("number %d: %v", i, err)
		}
	}
	if t := s.tally(p); t.Got != n || t.Disorder != "" {
		s.Errorf("%d were sent: %+v", n, t)
	}
}

// Of many that ask one service each gets its own answer.
func whoseAnswer(s *side) {
	p := s.start("sleeper", "")
	s.many(200, func(u User) {
		for range 3 {
			want := rand.Int64N(int64(10 * time.Millisecond))
			if got, err := s.callBy(u, p, want); err != nil || got != want {
				s.Errorf("asked %d: got %v, %v", want, got, err)
			}
		}
	})
}

// many runs f in so many goroutines, or handlers of the service that asks, at once.
func (s *side) many(n int, f func(u User)) {
	s.Helper()
	if s.u.C == nil {
		var work sync.WaitGroup
		for range n {
			work.Go(func() { f(s.u) })
		}
		work.Wait()
		return
	}
	left := n // of one service: one at a time has it
	for range n {
		s.u.C.Fork(func(c *actor.Context) {
			f(User{c, s.u.RT})
			if left--; left == 0 {
				c.Wakeup("all")
			}
		})
	}
	if err := s.u.C.Wait("all"); err != nil {
		s.Fatal(err)
	}
}

// long is how long a handler takes that nobody waits for.
const long = time.Hour

// Who waits no longer is told so, and what comes late goes to nobody else.
func deadlines(s *side) {
	p := s.start("sleeper", "")
	over, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	for range 3 {
		_, err := s.u.Call(over, p, int64(long))
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("a deadline: %v", err)
		}
	}
	for i := range int64(20) {
		short, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%3)*time.Millisecond)
		if v, err := s.u.Call(short, p, 2e6+i); err == nil && v != 2e6+i || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("with a deadline: %v, %v", v, err)
		}
		cancel()
		if v, err := s.call(p, i); v != i || err != nil {
			s.Errorf("the next call: %v, %v; want %d", v, err, i)
		}
	}
	canceled, giveUp := context.WithCancelCause(context.Background())
	stop := time.AfterFunc(5*time.Millisecond, func() { giveUp(errWhim) })
	defer stop.Stop()
	if _, err := s.u.Call(canceled, p, int64(long)); !errors.Is(err, errWhim) {
		s.Errorf("canceled: %v", err)
	}
}

// A service over there asks one here while that waits for it, and passes requests on.
func callsBack(s *side) {
	here := s.near(actor.Spec{New: actor.Func(echo)})
	asks, passes, there := s.start("asker", ""), s.start("passer", ""), s.start("echo", "")
	for _, c := range []struct {
		what string
		to   actor.PID
		v    any
		want any
	}{
		{"there asks here", asks, &Order{Next: here, Inside: "x"}, "x"},
		{"there asks there", asks, &Order{Next: there, Inside: "y"}, "y"},
		{"there passes on to there", passes, &Order{Next: there, Inside: "z"}, "z"},
		{"there asks there, which asks here", asks, &Order{Next: asks, Inside: &Order{Next: here, Inside: "v"}}, "v"},
		{"there passes on to who asks here", passes, &Order{Next: asks, Inside: &Order{Next: here, Inside: "w"}}, "w"},
	} {
		if got, err := s.call(c.to, c.v); err != nil || got != c.want {
			s.Errorf("%s: got %v, %v; want %v", c.what, got, err, c.want)
		}
	}
	if v, err := s.call(passes, &Order{Next: here, Inside: "u"}); v != "u" || err != nil {
		s.Errorf("there passes on to here: %v, %v", v, err)
	}
}
