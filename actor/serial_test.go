// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A section is a service with a Serial that calls another one inside it.
type section struct {
	serial Serial
	next   *PID // whom it calls; nil: nobody
	inside int
}

// A visit goes along services for so many more calls.
type visit int

func (s *section) Handle(c *Context, m *Message) error {
	n := m.Value.(visit)
	return s.serial.Do(c, func() error {
		if s.inside++; s.inside > 1 {
			return errors.New("another handler is inside")
		}
		defer func() { s.inside-- }()
		if err := c.Sleep(time.Second); err != nil {
			return err
		}
		if n == 0 || s.next == nil {
			return c.Reply(n)
		}
		v, err := c.Call(*s.next, n-1)
		if err != nil {
			return err
		}
		return c.Reply(v)
	})
}

// newSection starts a service with the name, which calls next.
func newSection(t *testing.T, rt *Runtime, name string, next *PID) PID {
	t.Helper()
	return start(t, rt, Spec{Name: name, New: func() Handler {
		return &section{serial: Serial{Name: "of " + name}, next: next}
	}})
}

func TestSerialLetsOneInAtATimeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var steps log[string]
		var serial Serial
		inside := 0
		p := serve(t, rt, func(c *Context, m *Message) error {
			return serial.Do(c, func() error {
				inside++
				steps.add(fmt.Sprintf("%v in", m.Value))
				err := c.Sleep(time.Second)
				if steps.add(fmt.Sprintf("%v out", m.Value)); inside != 1 {
					t.Errorf("%d are inside", inside)
				}
				inside--
				return err
			})
		})
		var want []string
		for i := range 50 {
			send(t, rt, p, i)
			want = append(want, fmt.Sprintf("%v in", i), fmt.Sprintf("%v out", i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		check(t, "steps", &steps, want...)
		checkFree(t, rt)
	})
}

func TestSerialIsLeftInEveryWay(t *testing.T) {
	for _, c := range []struct {
		what string
		f    func(c *Context, s *Serial) error
		is   error
	}{
		{"nil", func(*Context, *Serial) error { return nil }, nil},
		{"an error", func(*Context, *Serial) error { return errWhim }, errWhim},
		{"a panic", func(*Context, *Serial) error { panic(errWhim) }, errWhim},
		{"Goexit", func(*Context, *Serial) error { runtime.Goexit(); return nil }, ErrGoexit},
		{"twice inside", func(c *Context, s *Serial) error {
			return s.Do(c, func() error { return s.Do(c, func() error { return c.Sleep(time.Second) }) })
		}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				var serial Serial
				p := serve(t, rt, func(ctx *Context, m *Message) error {
					err := serial.Do(ctx, func() error {
						if err := ctx.Sleep(time.Second); err != nil {
							return err
						}
						return c.f(ctx, &serial)
					})
					return errors.Join(err, ctx.Reply(nil))
				})
				errs := make(chan error, 3)
				for range 3 {
					go func() { _, err := rt.Call(t.Context(), p, 1); errs <- err }()
				}
				for range 3 {
					if err := <-errs; errors.Is(c.is, ErrGoexit) && !errors.Is(err, c.is) {
						t.Errorf("error %v, want %v", err, c.is)
					}
				}
				if serial.holder.Load() != nil || serial.depth != 0 || len(serial.line) != 0 {
					t.Errorf("the section after that: %+v", &serial)
				}
				checkFree(t, rt)
			})
		})
	}
}

// A cycle is an error for the one that would close it; with its error the others go on.
func TestCycleOfCalls(t *testing.T) {
	for _, c := range []struct {
		what  string
		ring  []string // services in the order of the calls
		calls visit
	}{
		{"A calls itself", []string{"A"}, 1},
		{"A calls B calls A", []string{"A", "B"}, 2},
		{"four of them", []string{"A", "B", "C", "D"}, 4},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				pids := make([]PID, len(c.ring))
				for i, name := range c.ring {
					pids[i] = newSection(t, rt, name, &pids[(i+1)%len(pids)])
				}
				_, err := rt.Call(t.Context(), pids[0], c.calls)
				checkCycle(t, err, c.ring...)
				if v := call(t, rt, pids[0], c.calls-1); v != visit(0) {
					t.Errorf("a chain that is no cycle: %v", v)
				}
				checkFree(t, rt)
			})
		})
	}
}

// checkCycle finds fault with an error that does not tell how all of the services
// with these names wait for each other.
func checkCycle(t *testing.T, err error, names ...string) {
	t.Helper()
	var cycle *CycleError
	if !errors.As(err, &cycle) || !errors.Is(err, ErrCallCycle) {
		t.Errorf("error %v, want a CycleError", err)
		return
	}
	text := err.Error()
	for _, name := range names {
		if !strings.Contains(text, " "+name+" handles actor.visit and waits for ") || !strings.Contains(text, `serial section of `+name) && len(names) == 1 {
			t.Errorf("the error does not tell of %s: %v", name, text)
		}
	}
	if !strings.Contains(text, "waits for serial section of ") || !strings.Contains(text, "section).Handle") || !strings.Contains(text, "serial_test.go:") {
		t.Errorf("the error does not tell where, and for which section: %v", text)
	}
	for _, step := range cycle.Path {
		if step.Service.IsZero() || step.For == "" || step.Where == "" {
			t.Errorf("a step without a service, a place, or what it waits for: %+v", step)
		}
	}
}

// Two chains that begin at the two ends block each other.
func TestChainsThatBlockEachOther(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				pids, names := make([]PID, n), []string{"A", "B", "C", "D", "E"}[:n]
				for i, name := range names {
					pids[i] = newSection(t, rt, name, &pids[(i+1)%n])
				}
				errs := make(chan error, n)
				for _, p := range pids {
					go func() { _, err := rt.Call(t.Context(), p, visit(1)); errs <- err }()
				}
				failed := 0
				for range n {
					if err := <-errs; err != nil {
						failed++
						checkCycle(t, err, names...)
					}
				}
				if failed != 1 {
					t.Errorf("%d calls have failed, want the one that closed the cycle", failed)
				}
				if v := call(t, rt, pids[0], visit(1)); v != visit(0) {
					t.Errorf("after that: %v", v)
				}
				checkFree(t, rt)
			})
		})
	}
}

// Services that are in a line for one another, but never round in a circle, are left
// alone, however they call, give up, answer early, and are used again.
func TestNoFalseAlarm(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			seed := testutil.Rand(t).Uint64()
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{Workers: workers})
				const n = 12
				pids := make([]PID, n)
				for i := range pids {
					pids[i] = serve(t, rt, downhill(&pids, i, seed+uint64(i)))
				}
				for range 800 {
					seed = seed*6364136223846793005 + 1442695040888963407
					send(t, rt, pids[(seed>>33)%n], 4)
					if seed>>60 == 0 {
						synctest.Wait()
					}
				}
				time.Sleep(24 * time.Hour)
				checkFree(t, rt)
				if st := rt.Stats(); st.Failed > 0 || st.Panics > 0 {
					t.Errorf("%d handlers have failed", st.Failed)
				}
			})
		})
	}
}

// downhill returns the handler of service i: in its section it calls those after it, so
// that no cycle can be.
func downhill(pids *[]PID, i int, seed uint64) func(*Context, *Message) error {
	var serial Serial
	rnd := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	work := func(c *Context, depth int) error {
		to := i + 1 + rnd(len(*pids)-i)
		if to >= len(*pids) || depth == 0 {
			return c.Sleep(time.Duration(rnd(20)) * time.Millisecond)
		}
		var err error
		if rnd(2) == 0 {
			_, err = c.CallTimeout(time.Duration(rnd(10))*time.Millisecond, (*pids)[to], depth-1)
		} else {
			_, err = c.Call((*pids)[to], depth-1)
		}
		if errors.Is(err, ErrCallCycle) {
			return err
		}
		return nil
	}
	return func(c *Context, m *Message) error {
		depth := m.Value.(int)
		if m.IsCall() && rnd(2) == 0 { // answers, and then goes on
			_ = c.Reply(nil)
		}
		if rnd(3) == 0 {
			if err := work(c, depth); err != nil {
				return err
			}
		}
		if err := serial.Do(c, func() error { return work(c, depth) }); err != nil {
			return err
		}
		if m.IsCall() {
			_ = c.Reply(nil)
		}
		return nil
	}
}

// Contexts are used again by other services, whose waits have the same numbers: who
// had called once is no caller any more.
func TestCallerThatIsSomebodyElseByNow(t *testing.T) {
	const a, b = 1, 2
	var up, c Context
	c.msg = Message{src: &source{c: &up}, From: PID{Handle: a}, Session: 7}
	c.session = 1
	c.follow()
	for _, x := range []struct {
		of      uint64
		waiting uint64
		want    *Context
	}{{a, 7, &up}, {a, 8, nil}, {a, 0, nil}, {b, 7, nil}, {0, 7, nil}} {
		up.of.Store(x.of)
		up.waiting.Store(x.waiting)
		if got := c.caller(); got != x.want {
			t.Errorf("of %d, waiting under %d: caller %p, want %p", x.of, x.waiting, got, x.want)
		}
	}
}
