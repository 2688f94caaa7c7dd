// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogWritesWhatHappens(t *testing.T) {
	var out bytes.Buffer
	events := Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	p, q := PID{Handle: 1}, PID{Handle: 2}
	for _, c := range []struct {
		happens func()
		want    string
	}{
		{func() {
			events.Panicked(Panicked{Service: p, Name: "x", Message: "int", From: q, Err: &PanicError{Value: errWhim, Stack: []byte("here")}})
		}, `level=ERROR msg="a handler panicked" service=":1 x" message=int from=:2 error="panic: a whim" stack=here`},
		{func() { events.Failed(Failed{Service: p, Message: "int", From: q, Err: errWhim}) }, `level=WARN msg="a handler failed" service=:1 message=int from=:2 error="a whim"`},
		{func() { events.Ended(Down{Service: p}) }, ``},
		{func() { events.Ended(Down{Service: p, Reason: ErrStopped}) }, ``},
		{func() { events.Ended(Down{Service: p, Name: "x", Reason: errWhim}) }, `level=WARN msg="a service has ended" service=":1 x" reason="a whim"`},
		{func() { events.Restarting(Restarting{Service: p, In: time.Second, Reason: errWhim}) }, `level=WARN msg="a service restarts" service=:1 in=1s reason="a whim"`},
		{func() { events.Restarting(Restarting{Service: p, GaveUp: 10}) }, `level=ERROR msg="a service restarts no more" service=:1 restarts=10 reason="it has ended"`},
		{func() { events.Overloaded(Overloaded{Service: p, Depth: 1024}) }, `level=WARN msg="a mailbox is deep" service=:1 messages=1024`},
		{func() { events.Overloaded(Overloaded{Service: p, Handlers: 7}) }, `handlers=7`},
		{func() {
			events.Stuck(Stuck{Service: p, Message: "int", From: q, For: time.Second, Stack: "here"})
		}, `level=ERROR msg="a handler is stuck" service=:1 message=int from=:2 for=1s stack=here`},
		{func() { events.Undelivered(q, Undelivered{To: p, Value: 1, Reason: ErrDropped}) }, `level=WARN msg="a message was not handled" from=:2 to=:1 message=int error="dropped from a full mailbox"`},
	} {
		out.Reset()
		c.happens()
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("logged %s, want %s", got, c.want)
		}
	}
}

// When as many handlers wait as may, messages wait as for a busy service, and answers go
// through.
func TestHandlersThatWaitAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var h happened
		rt := newRuntime(t, Config{Events: h.events()})
		var began, ended log[any]
		p := start(t, rt, Spec{MaxWaiting: 3, New: Func(func(c *Context, m *Message) error {
			began.add(m.Value)
			err := c.Sleep(time.Second)
			ended.add(m.Value)
			return err
		})})
		for round := range 2 {
			began.list, ended.list = nil, nil
			send(t, rt, p, numbers(0, 10)...)
			synctest.Wait()
			check(t, "begun", &began, numbers(0, 3)...)
			if i, _ := rt.Info(p); i.State != "running" || len(rt.Tasks(p, false)) != 3 {
				t.Errorf("%+v", i)
			}
			time.Sleep(time.Minute)
			check(t, "ended", &ended, numbers(0, 10)...)
			if list := h.overloaded.all(); len(list) < 1 || list[0] != (Overloaded{Service: p, Handlers: 3}) {
				t.Errorf("round %d: overloaded: %v", round, list)
			}
		}
		checkFree(t, rt)
	})
}

// A service that stops handles what it has, also what waits until fewer handlers do.
func TestStopWithHandlersThatWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var ended log[any]
		p := start(t, rt, Spec{MaxWaiting: 2, New: Func(func(c *Context, m *Message) error {
			err := c.Sleep(time.Second)
			ended.add(m.Value)
			return err
		})})
		send(t, rt, p, numbers(0, 9)...)
		if err := rt.Stop(t.Context(), p); err != nil {
			t.Error(err)
		}
		check(t, "ended", &ended, numbers(0, 9)...)
	})
}

func TestFailIsHealedByARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		lives := 0
		p := start(t, rt, Spec{Restart: Restart{When: OnFailure}, New: frail(&lives)})
		if err := rt.Fail(p, errWhim); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if v := call(t, rt, p, 1); v != 2 {
			t.Errorf("life %v, want the second", v)
		}
		if err := rt.Fail(PID{Handle: 99}, errWhim); !errors.Is(err, ErrNoService) {
			t.Errorf("nobody fails: %v", err)
		}
	})
}

func TestDoAnswersWhenItHasReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := start(t, rt, Spec{New: func() Handler {
			m := new(Mux)
			Do(m, func(c *Context, v number) error {
				if v < 0 {
					return errWhim
				}
				return c.Sleep(time.Duration(v))
			})
			return m
		}})
		by := inHandler(t, rt, func(c *Context, p PID, v any) (any, error) { return AskContext[any](t.Context(), c, p, v) })
		if v, err := by(p, number(time.Second)); v != nil || err != nil {
			t.Errorf("answer %v, %v", v, err)
		}
		if _, err := by(p, number(-1)); !errors.Is(err, errWhim) {
			t.Errorf("error %v", err)
		}
		send(t, rt, p, number(1)) // nobody waits for an answer
		synctest.Wait()
	})
}

func TestLeftErrorTells(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		block := make(chan struct{})
		for range 30 {
			send(t, rt, serve(t, rt, func(*Context, *Message) error { <-block; return nil }), 1)
		}
		time.Sleep(time.Second)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		err := rt.Shutdown(over)
		var left *LeftError
		if !errors.As(err, &left) || len(left.Services) != 20 || !strings.HasPrefix(err.Error(), "30 services had not ended, 0 messages waited: [:2 :3 ") {
			t.Errorf("error %v", err)
		}
		close(block)
	})
}
