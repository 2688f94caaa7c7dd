// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// Commands that the services of these tests understand.
type (
	hang   struct{} // wait for a wakeup that does not come
	crash  struct{} // panic
	leave  struct{} // runtime.Goexit
	refuse struct{} // return errRefused
	quit   struct{ why error }
)

// newRuntime returns a runtime that is closed at the test's end, when no
// goroutine of it may be left.
func newRuntime(t testing.TB, cfg Config) *Runtime {
	t.Helper()
	testutil.NoLeaks(t)
	rt := New(cfg)
	t.Cleanup(rt.Close)
	return rt
}

// bubble runs f with a clock of its own: what sleeps there takes no time, and
// synctest.Wait returns when nobody has anything to do.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	testutil.NoLeaks(t)
	synctest.Test(t, f)
}

// start starts a service that must start.
func start(t testing.TB, rt *Runtime, spec Spec) PID {
	t.Helper()
	p, err := rt.Start(t.Context(), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return p
}

// serve starts a service whose handler is f.
func serve(t testing.TB, rt *Runtime, f func(c *Context, m *Message) error) PID {
	t.Helper()
	return start(t, rt, Spec{New: Func(f)})
}

// call calls p, which must answer.
func call(t testing.TB, rt *Runtime, p PID, v any) any {
	t.Helper()
	answer, err := rt.Call(t.Context(), p, v)
	if err != nil {
		t.Fatalf("call %v with %v: %v", p, v, err)
	}
	return answer
}

// send sends to p, which must take it.
func send(t testing.TB, rt *Runtime, p PID, list ...any) {
	t.Helper()
	for _, v := range list {
		if err := rt.Send(t.Context(), p, v); err != nil {
			t.Fatalf("send %v to %v: %v", v, p, err)
		}
	}
}

func echo(c *Context, m *Message) error { return c.Reply(m.Value) }

// A log is a list that several goroutines write.
type log[T any] struct {
	mu   sync.Mutex
	list []T
}

func (l *log[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, v)
}

func (l *log[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *log[T]) len() int { return len(l.all()) }

// check compares the log with what it should be.
func check[T comparable](t testing.TB, what string, l *log[T], want ...T) {
	t.Helper()
	if got := l.all(); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// happened records the events of a runtime.
type happened struct {
	panicked    log[Panicked]
	failed      log[Failed]
	ended       log[Down]
	restarting  log[Restarting]
	overloaded  log[Overloaded]
	stuck       log[Stuck]
	undelivered log[lost]
}

type lost struct {
	from PID
	u    Undelivered
}

func (h *happened) events() Events {
	return Events{
		Panicked: h.panicked.add, Failed: h.failed.add, Ended: h.ended.add, Restarting: h.restarting.add,
		Overloaded: h.overloaded.add, Stuck: h.stuck.add,
		Undelivered: func(from PID, u Undelivered) { h.undelivered.add(lost{from, u}) },
	}
}

// checkFree finds fault if a handler still waits, or more contexts exist than the
// workers keep.
func checkFree(t testing.TB, rt *Runtime) {
	t.Helper()
	synctest.Wait()
	for _, task := range rt.Tasks(PID{}, false) {
		t.Errorf("still waits: %+v", task)
	}
	if st := rt.Stats(); st.Contexts > st.Workers*(maxSpare+2) {
		t.Errorf("%d contexts for %d workers", st.Contexts, st.Workers)
	}
}

// A probe is a handler made of functions, each of which may be nil.
type probe struct {
	handle func(c *Context, m *Message) error
	start  func(c *Context) error
	stop   func(c *Context, reason error)
}

func (p *probe) Handle(c *Context, m *Message) error {
	if p.handle == nil {
		return echo(c, m)
	}
	return p.handle(c, m)
}

func (p *probe) Start(c *Context) error {
	if p.start == nil {
		return nil
	}
	return p.start(c)
}

func (p *probe) Stop(c *Context, reason error) {
	if p.stop != nil {
		p.stop(c, reason)
	}
}

// new makes a Spec's New that yields p each time.
func (p *probe) new() Handler { return p }

// times is n times d.
func times(n int, d time.Duration) time.Duration { return time.Duration(n * int(d)) }
