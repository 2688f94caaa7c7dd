// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/codec"
	"github.com/skybus-io/skybus/node/nodetest"
	"github.com/skybus-io/skybus/rpc"
)

// Services are what the suite asks the far side for.
var Services = nodetest.Kinds{
	"account": {New: rpc.Serve(NewAccount)},
	"plain":   {New: rpc.Serve(func() *account { return &account{balance: 7} })}, // without generated code
	"root":    {New: rpc.Serve(rpc.NewRoot)},
	"mute":    {New: actor.Func(func(c *actor.Context, _ *actor.Message) error { return c.Reply("what?") })},
}

func init() {
	if err := nodetest.Register(codec.Default); err != nil {
		panic(err)
	}
}

// Suite calls objects of the far side from services and goroutines of A. newPair makes the sides for each test, and ends
// them with it; or they are the same for all.
func Suite(t *testing.T, newPair func(t *testing.T) Pair) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *side)
	}{
		{"calls", calls}, {"errors", errorsArrive}, {"by name", callsByName}, {"another interface", otherInterface},
		{"references", references}, {"order", order}, {"deadlines", deadlines}, {"streams", streams}, {"broken streams", brokenStreams},
		{"kill", kills}, {"nil and wrong", nilAndWrong}, {"values that cannot travel", cannotTravel}, {"root", roots},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPair(t)
			ref := rpc.RefOf[Account](p.start(t, user{rt: p.A}, "account"))
			for _, by := range []string{"goroutine", "handler"} {
				t.Run(by, func(t *testing.T) {
					s := &side{Pair: p, ref: ref}
					if by == "goroutine" {
						s.do = func(t *testing.T, f func(user)) { f(user{rt: p.A}) }
					} else {
						s.do = func(t *testing.T, f func(user)) { inHandler(t, p.A, func(c *actor.Context) { f(user{c, p.A}) }) }
					}
					test.run(t, s)
				})
			}
		})
	}
}

// A side is where a test calls from.
type side struct {
	Pair
	ref rpc.Ref[Account] // to one of the far side
	do  func(t *testing.T, f func(user))
}

// A user is a handler, or a goroutine where c is nil.
type user struct {
	c  *actor.Context
	rt *actor.Runtime
}

func bind[T any](u user, r rpc.Ref[T]) T {
	if u.c != nil {
		return r.Bind(u.c)
	}
	return r.On(u.rt)
}

func (u user) call(t rpc.Target, method string, args ...any) ([]any, error) {
	if u.c != nil {
		return rpc.Call(u.c, t, method, args...)
	}
	return rpc.CallRuntime(context.Background(), u.rt, t, method, args...)
}

func (u user) far() nodetest.User { return nodetest.User{C: u.c, RT: u.rt} }

// start starts a service of the far side.
func (p Pair) start(t testing.TB, u user, kind string) actor.PID {
	t.Helper()
	pid, err := p.Far.Start(u.far(), kind, "")
	if err != nil {
		t.Fatalf("start %q: %v", kind, err)
	}
	return pid
}

func start(t testing.TB, rt *actor.Runtime, spec actor.Spec) actor.PID {
	t.Helper()
	p, err := rt.Start(t.Context(), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return p
}

// inHandler runs f in a handler of a new service.
func inHandler(t testing.TB, rt *actor.Runtime, f func(c *actor.Context)) {
	t.Helper()
	p := start(t, rt, actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		if !m.IsCall() {
			return fmt.Errorf("stray message %v", m.Value)
		}
		f(c)
		return c.Reply(nil)
	})})
	if _, err := rt.Call(t.Context(), p, nil); err != nil {
		t.Fatalf("handler: %v", err)
	}
	if err := rt.Stop(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func calls(t *testing.T, s *side) {
	s.do(t, func(u user) {
		a, ctx := bind(u, s.ref), t.Context()
		before, unit, err := a.Balance()
		if unit != "gold" || err != nil {
			t.Errorf("balance: %d %q, %v", before, unit, err)
		}
		for i := range int64(10) {
			if got, err := a.Deposit(ctx, 1000); err != nil || got != before+1000*(i+1) {
				t.Errorf("deposit %d: %d, %v", i, got, err)
			}
		}
	})
}

func errorsArrive(t *testing.T, s *side) {
	s.do(t, func(u user) {
		a := bind(u, s.ref)
		_, err := a.Deposit(context.Background(), -1<<40)
		var call *rpc.CallError
		if !errors.Is(err, ErrPoor) || !errors.As(err, &call) || call.Method != "Account.Deposit" || call.Target != s.ref.Object() {
			t.Errorf("a registered error: %v", err)
		}
		if err := a.Refuse("unknown"); err == nil || !strings.Contains(err.Error(), errUnknown.Error()) || errors.Is(err, ErrPoor) {
			t.Errorf("another error: %v", err)
		}
		var p *actor.PanicError
		if err := a.Panic(); !errors.As(err, &p) || p.Value != "bad luck" {
			t.Errorf("a panic: %v", err)
		}
		if _, _, err := a.Balance(); err != nil {
			t.Errorf("after a panic: %v", err)
		}
		gone := s.start(t, u, "account")
		if err := s.Far.Stop(u.far(), gone); err != nil {
			t.Errorf("stop: %v", err)
		}
		if _, _, err := bind(u, rpc.RefOf[Account](gone)).Balance(); !errors.Is(err, actor.ErrNoService) {
			t.Errorf("nobody there: %v", err)
		}
		stale := s.ref
		stale.Number = 77 << 32
		if err := bind(u, stale).Panic(); !errors.Is(err, rpc.ErrNoObject) || !strings.Contains(err.Error(), "4d00000000") {
			t.Errorf("no object: %v", err)
		}
		mute := s.start(t, u, "mute")
		if err := bind(u, rpc.RefOf[Account](mute)).Refuse(""); !errors.Is(err, actor.ErrType) {
			t.Errorf("no host: %v", err)
		}
	})
}

func callsByName(t *testing.T, s *side) {
	s.do(t, func(u user) {
		before, err := u.call(s.ref, "Balance")
		if err != nil || len(before) != 2 {
			t.Fatalf("balance: %v, %v", before, err)
		}
		got, err := u.call(s.ref, "Deposit", "5")
		if err != nil || len(got) != 1 || got[0] != before[0].(int64)+5 {
			t.Errorf("deposit: %v, %v", got, err)
		}
		got, err = u.call(s.ref, "Open", map[string]any{"amount": 3.0, "text": "x"})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		if got, err = u.call(got[0].(rpc.Target), "Balance"); err != nil || got[0] != int64(3) {
			t.Errorf("the new one: %v, %v", got, err)
		}
		if _, err := u.call(s.ref, "Note", "by name"); err != nil {
			t.Errorf("one-way: %v", err)
		}
		got, err = u.call(s.ref, "History", 200)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for v, err := range got[0].(iter.Seq2[any, error]) {
			if e, ok := v.(Entry); err != nil || !ok || e.Amount != int64(n) {
				t.Errorf("item %d: %v, %v", n, v, err)
			}
			n++
		}
		if n != 200 {
			t.Errorf("%d items, want 200", n)
		}
	})
}

func otherInterface(t *testing.T, s *side) {
	s.do(t, func(u user) {
		// The object was exported as an Account: what both have works, by name.
		same := rpc.RefOf[Reader](s.ref.PID)
		other := rpc.As[Reader](s.ref.Object())
		for _, r := range []rpc.Ref[Reader]{same, other} {
			a := bind(u, r)
			if _, unit, err := a.Balance(); unit != "gold" || err != nil {
				t.Errorf("balance: %q, %v", unit, err)
			}
			if err := a.Audit(); !errors.Is(err, rpc.ErrNoMethod) || !strings.Contains(err.Error(), "Balance") {
				t.Errorf("a method that it has not: %v", err)
			}
			seq, err := a.History(t.Context(), 5)
			if err != nil {
				t.Errorf("stream: %v", err)
				continue
			}
			n := 0
			for e, err := range seq {
				if err != nil || e.Amount != int64(n) {
					t.Errorf("item %d: %v, %v", n, e, err)
				}
				n++
			}
			if n != 5 {
				t.Errorf("%d items, want 5", n)
			}
		}
		// One without generated code takes the calls of stubs.
		plain := s.start(t, u, "plain")
		if n, _, err := bind(u, rpc.RefOf[Account](plain)).Balance(); n != 7 || err != nil {
			t.Errorf("by reflection: %d, %v", n, err)
		}
	})
}

func references(t *testing.T, s *side) {
	s.do(t, func(u user) {
		ctx := t.Context()
		r, err := bind(u, s.ref).Open(ctx, Entry{Amount: 12})
		if err != nil || r.IsZero() || r.Same(s.ref) {
			t.Fatalf("open: %v, %v", r, err)
		}
		if r.PID != s.ref.PID {
			t.Errorf("it lives in %v, want %v", r.PID, s.ref.PID)
		}
		if n, err := bind(u, r).Deposit(ctx, 1); n != 13 || err != nil {
			t.Errorf("the new account: %d, %v", n, err)
		}
		for range 2 { // back home it is the object itself
			if n, err := bind(u, s.ref).Ask(ctx, r); n != 13 || err != nil {
				t.Errorf("by way of another: %d, %v", n, err)
			}
		}
		if m := map[rpc.Ref[Account]]int{r: 1}; m[r] != 1 {
			t.Error("it is no key")
		}
		parsed, err := rpc.ParseObject(r.String())
		if err != nil || !parsed.Same(r.Object()) {
			t.Errorf("%v is read as %v, %v", r, parsed, err)
		}
	})
}

// What one caller sends and calls is handled in order.
func order(t *testing.T, s *side) {
	const n = 200
	s.do(t, func(u user) {
		own := s.start(t, u, "account")
		a := bind(u, rpc.RefOf[Account](own))
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
			a.Note(want[i])
			if i%7 > 0 {
				continue
			}
			got, err := a.Notes(t.Context())
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("after %d: %v, %v", i, got, err)
			}
		}
	})
}

// patience is far more than anything here takes.
const patience = 90 * time.Second

// long is how long a method takes that nobody waits for.
const long = time.Hour

func deadlines(t *testing.T, s *side) {
	s.do(t, func(u user) {
		a := bind(u, s.ref)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if _, err := a.Sleep(ctx, long); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline: %v", err)
		}
		if _, err := a.Sleep(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline that is over: %v", err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if has, err := a.Sleep(ctx, 0); !has || err != nil {
			t.Errorf("the deadline did not travel: %v", err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		stop := time.AfterFunc(time.Millisecond, cancel)
		defer stop.Stop()
		if has, err := a.Sleep(ctx, long); has || !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v, %v", has, err)
		}
	})
}

func streams(t *testing.T, s *side) {
	s.do(t, func(u user) {
		a, ctx := bind(u, s.ref), t.Context()
		for _, n := range []int{0, 1, rpc.Window - 1, rpc.Window, rpc.Window + 1, 5 * rpc.Window, 1500} {
			seq, err := a.History(ctx, n)
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			got, want := 0, min(n, 1000)
			var failed error
			for e, err := range seq {
				if err != nil {
					failed = err
					continue
				}
				if e != (Entry{int64(got), "entry"}) {
					t.Errorf("item %d: %v", got, e)
				}
				got++
			}
			if got != want || errors.Is(failed, ErrPoor) != (n > 1000) || n <= 1000 && failed != nil {
				t.Errorf("%d of %d items, %v", got, n, failed)
			}
			for _, err := range seq {
				if !errors.Is(err, rpc.ErrNoStream) {
					t.Errorf("twice: %v", err)
				}
			}
		}
		if _, err := a.History(ctx, -1); !errors.Is(err, ErrPoor) {
			t.Errorf("a method that fails: %v", err)
		}
	})
}

// A slow consumer holds a stream back, and one that breaks off ends it.
func brokenStreams(t *testing.T, s *side) {
	s.do(t, func(u user) {
		own := s.start(t, u, "account")
		a := bind(u, rpc.RefOf[Account](own))
		seq, err := a.History(t.Context(), 900)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			made, err := a.Produced()
			if most := int(e.Amount) + 3*rpc.Window; err != nil || made > most {
				t.Errorf("%d items are made at item %d, want at most %d, %v", made, e.Amount, most, err)
			}
			if e.Amount == 100 {
				break
			}
		}
		if !becomes(t, a, 0) {
			t.Error("it still runs after break")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seq, err = a.History(ctx, 900)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range seq {
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: %v", err)
			}
		}
		if !becomes(t, a, 0) {
			t.Error("it still runs after its context is over")
		}
	})
}

// becomes reports whether so many Histories run, soon.
func becomes(t *testing.T, a Account, want int) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := a.Running()
		if err != nil {
			t.Fatal(err)
		}
		if n == want {
			return true
		}
		if _, err := a.Sleep(context.Background(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	return false
}

// gone reports whether the service of an account that was killed is there no more, soon.
func gone(a Account) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, _, err := a.Balance(); errors.Is(err, actor.ErrNoService) {
			return true
		}
	}
	return false
}

// Calls and streams of a service that is killed end, with an answer or one error.
func kills(t *testing.T, s *side) {
	const items = 900
	s.do(t, func(u user) {
		for i := range 20 {
			own := s.start(t, u, "account")
			a := bind(u, rpc.RefOf[Account](own))
			seq, err := a.History(t.Context(), items)
			if err != nil {
				t.Fatal(err)
			}
			var failed error
			got := 0
			for _, err := range seq {
				failed = err
				if got++; got != i*10+1 {
					continue
				}
				_ = s.Far.KillSoon(s.A, own)
				// Every second time it is dead before the next item is taken, and else the two race.
				if i%2 == 0 && !gone(a) {
					t.Error("it can be called after it was killed")
				}
			}
			if failed == nil && (i%2 == 0 || got != items) {
				t.Errorf("a stream of a killed service ended well after %d", got)
			}
			if !gone(a) {
				t.Error("it can be called after its stream, and was killed")
			}
			asleep := s.start(t, u, "account")
			stop := time.AfterFunc(time.Millisecond, func() { _ = s.Far.KillSoon(s.A, asleep) })
			if _, err := bind(u, rpc.RefOf[Account](asleep)).Sleep(context.Background(), time.Hour); err == nil {
				t.Error("a call of a killed service ended well")
			}
			stop.Stop()
		}
	})
}

func nilAndWrong(t *testing.T, s *side) {
	s.do(t, func(u user) {
		var none rpc.Ref[Account]
		a := bind(u, none)
		a.Note("nobody hears it")
		if _, _, err := a.Balance(); !errors.Is(err, rpc.ErrNilRef) {
			t.Errorf("nil: %v", err)
		}
		if _, err := a.History(t.Context(), 1); !errors.Is(err, rpc.ErrNilRef) {
			t.Errorf("stream of nil: %v", err)
		}
		for _, wrong := range []struct {
			err    error
			text   string
			target rpc.Target
			method string
			args   []any
		}{
			{rpc.ErrNilRef, "nil", rpc.Object{}, "Balance", nil},
			{rpc.ErrNoMethod, `Account has no "Rob"; it has: Ask, Balance`, s.ref, "Rob", nil},
			{rpc.ErrNoMethod, "Balance, Deposit", s.ref, "", nil},
			{rpc.ErrArgs, "got 2, want 1 (int64)", s.ref, "Deposit", []any{1, 2}},
			{rpc.ErrArgs, "got 0, want 1", s.ref, "Deposit", nil},
			{rpc.ErrArgs, "argument 1: 1.5 is a float64, want int64", s.ref, "Deposit", []any{1.5}},
			{rpc.ErrArgs, `"much"`, s.ref, "Deposit", []any{"much"}},
			{rpc.ErrArgs, "nil, want int64", s.ref, "Deposit", []any{nil}},
			{rpc.ErrArgs, "no field", s.ref, "Open", []any{map[string]any{"sum": 1}}},
			{rpc.ErrArgs, "field Amount", s.ref, "Open", []any{map[string]any{"amount": "x"}}},
			{rpc.ErrNoObject, "1000000001", rpc.Object{PID: s.ref.PID, Number: 1<<36 | 1}, "Balance", nil},
		} {
			_, err := u.call(wrong.target, wrong.method, wrong.args...)
			var call *rpc.CallError
			if !errors.Is(err, wrong.err) || !errors.As(err, &call) || !strings.Contains(err.Error(), wrong.text) {
				t.Errorf("%s %v: %v, want %v with %q", wrong.method, wrong.args, err, wrong.err, wrong.text)
			}
		}
	})
}

func roots(t *testing.T, s *side) {
	s.do(t, func(u user) {
		ctx := t.Context()
		own := s.start(t, u, "account")
		p := s.start(t, u, "root")
		r, ref := bind(u, rpc.RefOf[rpc.Root](p)), rpc.RefOf[Account](own)
		if err := r.Register(ctx, "bank/ann", ref.Object()); err != nil {
			t.Fatal(err)
		}
		if err := r.Register(ctx, "bank/ann", ref.Object()); !errors.Is(err, actor.ErrNameTaken) {
			t.Errorf("taken: %v", err)
		}
		if err := r.Register(ctx, "", ref.Object()); err == nil {
			t.Error("an empty name was taken")
		}
		if err := r.Register(ctx, "nil", rpc.Object{}); !errors.Is(err, rpc.ErrNilRef) {
			t.Errorf("nil: %v", err)
		}
		o, err := r.Lookup(ctx, "bank/ann")
		if err != nil || o != ref.Object() {
			t.Errorf("lookup: %v, %v, want %v", o, err, ref)
		}
		if n, err := bind(u, rpc.As[Account](o)).Deposit(ctx, 3); n != 3 || err != nil {
			t.Errorf("what was looked up: %d, %v", n, err)
		}
		if err := r.Register(ctx, "bank/bob", ref.Object()); err != nil {
			t.Fatal(err)
		}
		list, err := r.List(ctx, "bank/")
		if err != nil || len(list) != 2 || list[0].Name != "bank/ann" {
			t.Errorf("list: %v, %v", list, err)
		}
		if err := r.Unregister(ctx, "bank/bob"); err != nil {
			t.Error(err)
		}
		if err := r.Unregister(ctx, "bank/bob"); !errors.Is(err, rpc.ErrNoName) {
			t.Errorf("unregister twice: %v", err)
		}
		watch(t, s, r, own)
		if _, err := r.Lookup(ctx, "bank/ann"); !errors.Is(err, rpc.ErrNoName) {
			t.Errorf("the service has ended: %v", err)
		}
	})
}

// watch sees what is there, and that the name goes with its service.
func watch(t *testing.T, s *side, r rpc.Root, own actor.PID) {
	seq, err := r.Watch(t.Context(), "bank/")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for n, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintln(n.Name, n.Old.IsZero(), n.New.IsZero()))
		if len(got) == 2 {
			break
		}
		_ = s.Far.KillSoon(s.A, own)
	}
	if want := []string{"bank/ann true false\n", "bank/ann false true\n"}; !slices.Equal(got, want) {
		t.Errorf("watched %q, want %q", got, want)
	}
}
