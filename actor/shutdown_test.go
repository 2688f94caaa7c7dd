// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStopHandlesWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var got log[int]
		p := serve(t, rt, func(c *Context, m *Message) error {
			err := c.Sleep(times(m.Value.(int), time.Second))
			got.add(m.Value.(int))
			return err
		})
		send(t, rt, p, 3, 1, 2)
		stopped := make(chan error)
		go func() { stopped <- rt.Stop(t.Context(), p) }()
		synctest.Wait()
		if err := rt.Send(t.Context(), p, 9); !errors.Is(err, ErrNoService) {
			t.Errorf("a send to a service that stops: %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
		check(t, "handled", &got, 1, 2, 3)
	})
}

func TestShutdownTellsWhatWasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		block := make(chan struct{})
		p := start(t, rt, Spec{Name: "busy", New: Func(func(*Context, *Message) error { <-block; return nil })})
		send(t, rt, p, 1)
		synctest.Wait()
		send(t, rt, p, 2, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var left *LeftError
		if err := rt.Shutdown(ctx); !errors.As(err, &left) {
			t.Fatalf("error %v, want a LeftError", err)
		}
		if left.Messages != 2 || len(left.Services) != 1 || !strings.HasPrefix(left.Services[0], "busy (:") {
			t.Errorf("left %+v, want busy with 2 messages", left)
		}
		if _, err := rt.Start(t.Context(), Spec{New: Func(echo)}); !errors.Is(err, ErrStopped) {
			t.Errorf("start after Shutdown: %v", err)
		}
		close(block)
		rt.Close()
		rt.Close() // once more does nothing
		if err := rt.Send(t.Context(), p, 4); !errors.Is(err, ErrNoService) {
			t.Errorf("send after Close: %v", err)
		}
	})
}

func TestStopFromAHandlerDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		slow := serve(t, rt, func(c *Context, _ *Message) error { return c.Sleep(time.Hour) })
		send(t, rt, slow, 1)
		p := serve(t, rt, func(c *Context, m *Message) error {
			return errors.Join(c.Stop(m.Value.(PID)), c.Stop(c.Self()), c.Reply(nil))
		})
		begin := time.Now()
		call(t, rt, p, slow)
		synctest.Wait()
		if _, ok := rt.Info(p); ok || !time.Now().Equal(begin) {
			t.Error("the service is still there, or time has passed")
		}
		if i, ok := rt.Info(slow); !ok || i.State != "draining" {
			t.Errorf("the slow service: %+v, %v; want it draining", i, ok)
		}
	})
}
