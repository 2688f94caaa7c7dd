// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

var atHome, elsewhere = addr.MustParse("0.0.0.1"), addr.MustParse("0.0.0.2")

// A tally is a carrier that counts messages, and keeps requests for later.
type tally struct {
	n    byte
	kept []Request
	seen []any
}

func (t *tally) Handle(c *Context, m *Message) error {
	t.n++
	t.seen = append(t.seen, m.Value)
	switch m.Value {
	case "keep":
		r, err := c.Later()
		t.kept = append(t.kept, r)
		return err
	case "seen":
		return c.Reply(t.seen)
	}
	if m.IsCall() {
		return c.Reply(int(t.n))
	}
	return nil
}

func (t *tally) Snapshot(*Context) ([]byte, error) {
	b := []byte{t.n}
	for _, r := range t.kept[:min(len(t.kept), 1)] { // the others it forgets
		b = append(b, byte(r.ID().Session))
	}
	return b, nil
}

func (t *tally) Restore(c *Context, b []byte) error {
	t.n = b[0]
	for _, session := range b[1:] {
		r, err := c.Resume(RequestID{From: PID{elsewhere, 9}, Session: uint64(session)})
		if err != nil {
			return err
		}
		r.Reply("restored")
	}
	return nil
}

// A farEnd is a Remote that notes what it is sent.
type farEnd struct{ got chan Message }

func (f *farEnd) Send(_ PID, m *Message) error { f.got <- *m; return nil }
func (f *farEnd) SendLater(PID, *Message, func(error)) func() bool {
	return func() bool { return false }
}
func (f *farEnd) Forget(PID, uint64)               {}
func (f *farEnd) Monitor(PID, PID) (func(), error) { return func() {}, nil }

func tallySpec(name string) Spec { return Spec{Name: name, New: func() Handler { return &tally{} }} }

// A runtime that goes on in another one has its services with their handles, names, groups, watchers, links and owed answers; those
// that are not carried end for those that watch them, and no handle is given twice.
func TestRestore(t *testing.T) {
	testutil.NoLeaks(t)
	far := &farEnd{make(chan Message, 10)}
	cfg := Config{Workers: 2, Life: 5, Node: atHome, Remote: far}
	before := New(cfg)
	defer before.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	start := func(s Spec) PID {
		p, err := before.Start(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := start(tallySpec("a")), start(Spec{Type: "tally", New: func() Handler { return &tally{} }})
	gone := start(Spec{Name: "gone", New: Func(func(*Context, *Message) error { return nil })})
	linked := start(tallySpec("linked"))
	bare := start(Spec{Name: "bare", Stateless: true, New: Func(func(c *Context, _ *Message) error { return c.Reply("bare") })})
	g, err := before.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []PID{a, b, gone} {
		if err := g.Join(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range [][2]PID{{a, b}, {b, gone}} {
		if _, err := before.Monitor(w[0], w[1]); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := before.local(gone)
	s.watch(watcher{pid: linked, link: true})
	for session := uint64(7); session < 9; session++ {
		if err := before.Deliver(a, Message{Value: "keep", From: PID{elsewhere, 9}, Session: session}); err != nil {
			t.Fatal(err)
		}
	}
	if err := before.Pause(ctx, 90*time.Second); err != nil {
		t.Fatal(err)
	}
	st, err := before.State(ctx)
	if err != nil {
		t.Fatal(err)
	}

	after := New(cfg)
	defer after.Close()
	begin, err := after.Restore(st, func(typ string) (Spec, bool) {
		switch typ {
		case "bare":
			return Spec{Name: "bare", Stateless: true, New: Func(func(c *Context, _ *Message) error { return c.Reply("bare") })}, true
		case "tally", "a", "linked":
			return Spec{Type: typ, New: func() Handler { return &tally{} }}, true
		}
		return Spec{}, false
	})
	if err != nil {
		t.Fatal(err)
	}
	begin()
	if p, _ := after.Lookup("a"); p != a {
		t.Errorf("a is %v, was %v", p, a)
	}
	if v, err := after.Call(ctx, a, "more"); err != nil || v != 3 {
		t.Errorf("a answers %v, %v, want 3", v, err)
	}
	if v, err := after.Call(ctx, bare, nil); err != nil || v != "bare" {
		t.Errorf("bare answers %v, %v", v, err)
	}
	answers := map[uint64]Message{}
	for range 2 {
		m := <-far.got
		answers[m.Session] = m
	}
	if m := answers[7]; m.Kind != KindReply || m.Value != "restored" {
		t.Errorf("the request that was resumed got %v %v", m.Kind, m.Value)
	}
	if err, _ := answers[8].Value.(error); !errors.Is(err, ErrNotCarried) {
		t.Errorf("the request that was forgotten got %v", answers[8].Value)
	}
	v, err := after.Call(ctx, b, "seen")
	if seen, _ := v.([]any); err != nil || len(seen) != 2 || !isDown(seen[0], gone) {
		t.Errorf("b has seen %v, %v, want a Down of %v", v, err, gone)
	}
	g2, ok := after.Group(g.PID())
	if !ok || !slices.Equal(g2.Members(), []PID{a, b}) {
		t.Errorf("the group is %v", g2)
	}
	if err := after.Kill(b); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		v, err := after.Call(ctx, a, "seen")
		seen, _ := v.([]any)
		return err == nil && slices.ContainsFunc(seen, func(v any) bool { return isDown(v, b) })
	})
	if info, there := after.Info(linked); there {
		t.Errorf("linked to what has ended, and there: %+v", info)
	}
	known := map[Handle]bool{a.Handle: true, b.Handle: true, gone.Handle: true, linked.Handle: true, bare.Handle: true, g.PID().Handle: true}
	for range 50 {
		p, err := after.Start(ctx, tallySpec(""))
		if err != nil || known[p.Handle] {
			t.Fatalf("handle %v is given again, %v", p, err)
		}
		known[p.Handle] = true
	}
}

// eventually waits until f is true.
func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not after 90 s")
		}
	}
}

func isDown(v any, p PID) bool {
	d, ok := v.(Down)
	return ok && d.Service == p && d.Reason != nil
}

// A runtime that is paused and goes on has lost nothing; what does not come to its end is named.
func TestPauseAndResume(t *testing.T) {
	testutil.NoLeaks(t)
	rt := New(Config{Workers: 2})
	defer rt.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	a, err := rt.Start(ctx, tallySpec("a"))
	if err != nil {
		t.Fatal(err)
	}
	sleeper, err := rt.Start(ctx, Spec{Name: "sleeper", New: Func(func(c *Context, m *Message) error {
		if err := c.Sleep(time.Hour); !errors.Is(err, ErrRestarting) {
			t.Errorf("the sleep ends with %v", err)
		}
		if m.Value == "blocks" {
			<-ctx.Done()
		}
		return c.Reply("over")
	})})
	if err != nil {
		t.Fatal(err)
	}
	slept := make(chan any, 1)
	go func() {
		v, err := rt.Call(ctx, sleeper, nil)
		slept <- errors.Join(err)
		_ = v
	}()
	eventually(t, func() bool { i, _ := rt.Info(sleeper); return i.Handled > 0 })
	over, end := context.WithCancel(ctx)
	end()
	if err := rt.Pause(over, 90*time.Second); err != nil {
		t.Fatal(err)
	}
	if v := <-slept; v != nil && !errors.Is(v.(error), ErrRestarting) {
		t.Errorf("the call ended with %v", v)
	}
	if err := rt.Pause(over, time.Second); err == nil || !strings.Contains(err.Error(), "paused already") {
		t.Errorf("a second pause: %v", err)
	}
	done := make(chan error, 10)
	for range 10 {
		go func() { done <- rt.Send(ctx, a, 1) }()
	}
	if err := rt.TrySend(a, 1); !errors.Is(err, ErrMailboxFull) {
		t.Errorf("TrySend: %v", err)
	}
	late, stop := context.WithTimeout(ctx, 5*time.Millisecond)
	if _, err := rt.Call(late, a, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call meanwhile: %v", err)
	}
	stop()
	rt.Resume()
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if v, err := rt.Call(ctx, a, 1); err != nil || v != 11 {
		t.Errorf("a has %v, %v, want 11", v, err)
	}
}

// A Snapshot that waits, panics, or fails is the error of State, and the service goes on.
func TestSnapshotsThatFail(t *testing.T) {
	for what, f := range map[string]func(c *Context) ([]byte, error){
		"waits":  func(c *Context) ([]byte, error) { return nil, c.Sleep(time.Millisecond) },
		"panics": func(*Context) ([]byte, error) { panic("no") },
		"fails":  func(*Context) ([]byte, error) { return nil, errors.New("no") },
	} {
		t.Run(what, func(t *testing.T) {
			testutil.NoLeaks(t)
			rt := New(Config{Workers: 1})
			defer rt.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
			defer cancel()
			p, err := rt.Start(ctx, Spec{Name: "bad", New: func() Handler { return &snapper{f: f} }})
			if err != nil {
				t.Fatal(err)
			}
			if err := rt.Pause(ctx, 90*time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := rt.State(ctx); err == nil || !strings.Contains(err.Error(), "snapshot of bad") {
				t.Errorf("the error is %v", err)
			}
			rt.Resume()
			if v, err := rt.Call(ctx, p, 1); err != nil || v != 1 {
				t.Errorf("it answers %v, %v", v, err)
			}
		})
	}
}

type snapper struct {
	tally
	f func(c *Context) ([]byte, error)
}

func (s *snapper) Snapshot(c *Context) ([]byte, error) { return s.f(c) }

// A State that contradicts itself is refused.
func TestRestoreRefuses(t *testing.T) {
	life := Handle(5) << (indexBits + reuseBits)
	for what, st := range map[string]*State{
		"another life":      {Life: 6},
		"counts":            {Life: 5, Used: 3, Reuse: []uint16{1}},
		"too many":          {Life: 5, Used: maxIndex + 1},
		"a handle beyond":   {Life: 5, Used: 1, Reuse: []uint16{0}, Services: []CarriedService{{Handle: life | 2, Type: "a", Bare: true}}},
		"a handle of 0":     {Life: 5, Used: 1, Reuse: []uint16{0}, Services: []CarriedService{{Handle: life, Type: "a", Bare: true}}},
		"a handle twice":    {Life: 5, Used: 1, Reuse: []uint16{0}, Services: []CarriedService{{Handle: life | 1, Type: "a", Bare: true}, {Handle: life | 1, Type: "a", Bare: true}}},
		"an old handle":     {Life: 5, Used: 1, Reuse: []uint16{4}, Groups: []CarriedGroup{{Handle: life | 1}}},
		"a name twice":      {Life: 5, Used: 2, Reuse: []uint16{0, 0}, Services: []CarriedService{{Handle: life | 1, Name: "n", Type: "a", Bare: true}, {Handle: life | 2, Name: "n", Type: "a", Bare: true}}},
		"a name that is no": {Life: 5, Used: 1, Reuse: []uint16{0}, Groups: []CarriedGroup{{Handle: life | 1, Name: "a b"}}},
	} {
		t.Run(what, func(t *testing.T) {
			testutil.NoLeaks(t)
			rt := New(Config{Workers: 1, Life: 5})
			_, err := rt.Restore(st, func(string) (Spec, bool) { return tallySpec(""), true })
			if err == nil || !strings.HasPrefix(err.Error(), "restore: ") {
				t.Errorf("the error is %v", err)
			}
			rt.Close()
		})
	}
}

// However many handlers of a service wait when a pause begins, and whoever put them aside: all of them are told.
func TestPauseEndsEachWait(t *testing.T) {
	testutil.NoLeaks(t)
	over, end := context.WithCancel(context.Background())
	end()
	for n := range 20 {
		rt := New(Config{Workers: 1})
		var waiting, ended int
		p, err := rt.Start(t.Context(), Spec{New: Func(func(c *Context, m *Message) error {
			if m.Value == "how many" {
				return c.Reply(waiting)
			}
			if waiting++; waiting < 3 {
				c.Fork(func(c *Context) { _ = c.Wait("the end") })
			}
			if err := c.Sleep(time.Hour); errors.Is(err, ErrRestarting) {
				ended++
			}
			return nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			send(t, rt, p, nil)
		}
		eventually(t, func() bool { v, err := rt.Call(t.Context(), p, "how many"); return err == nil && v == n })
		if err := rt.Pause(over, 90*time.Second); err != nil || ended != n {
			t.Fatalf("%d handlers wait, %d are told: %v", n, ended, err)
		}
		rt.Close()
	}
}
