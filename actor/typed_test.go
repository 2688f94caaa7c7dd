// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type (
	word   string
	number int
)

func TestMuxGoesByTheType(t *testing.T) {
	for _, more := range []bool{false, true} { // with few types, and with many
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rt := newRuntime(t, Config{})
				var steps log[string]
				p := start(t, rt, Spec{New: func() Handler {
					m := new(Mux)
					On(m, func(c *Context, v word) error { steps.add("word " + string(v)); return nil })
					Serve(m, func(_ *Context, v number) (number, error) {
						if v < 0 {
							return 0, errWhim
						}
						return v + 1, nil
					})
					On(m, func(*Context, *number) error { steps.add("pointer"); return nil })
					m.OnStart(func(*Context) error { steps.add("start"); return nil })
					m.OnStop(func(_ *Context, reason error) { steps.add(fmt.Sprint("stop ", reason)) })
					if more {
						On(m, func(*Context, [0]int) error { return nil })
						On(m, func(*Context, [1]int) error { return nil })
						On(m, func(*Context, [2]int) error { return nil })
						On(m, func(*Context, [3]int) error { return nil })
						On(m, func(*Context, [4]int) error { return nil })
						On(m, func(*Context, [5]int) error { return nil })
						On(m, func(*Context, [6]int) error { return nil })
					}
					return m
				}})
				send(t, rt, p, word("a"), new(number))
				if v, err := AskRuntime[number](t.Context(), rt, p, number(1)); v != 2 || err != nil {
					t.Errorf("answer %v, %v", v, err)
				}
				if v, err := AskRuntime[number](t.Context(), rt, p, number(-1)); v != 0 || !errors.Is(err, errWhim) {
					t.Errorf("answer %v, %v", v, err)
				}
				if _, err := AskRuntime[word](t.Context(), rt, p, number(1)); !errors.Is(err, ErrType) || !strings.Contains(err.Error(), "actor.number, want actor.word") {
					t.Errorf("an answer of another type: %v", err)
				}
				for _, v := range []any{nil, "a string", 7, []int{}} {
					if _, err := rt.Call(t.Context(), p, v); !errors.Is(err, ErrType) {
						t.Errorf("a call with %v: %v", v, err)
					}
				}
				if err := rt.Stop(t.Context(), p); err != nil {
					t.Error(err)
				}
				check(t, "steps", &steps, "start", "word a", "pointer", "stop <nil>")
			})
		})
	}
}

func TestMuxHasAHandlerForTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		p := start(t, rt, Spec{New: func() Handler {
			m := new(Mux)
			m.Other(func(c *Context, m *Message) error { return c.Reply(fmt.Sprint("other ", m.Value)) })
			Serve(m, func(c *Context, _ word) (string, error) { // the answer comes from elsewhere
				r, err := c.Later()
				if err == nil {
					c.After(time.Second, func(*Context) { r.Reply("later") })
				}
				return "now", err
			})
			return m
		}})
		by := serve(t, rt, func(c *Context, m *Message) error {
			v, err := AskTimeout[string](c, time.Minute, p, m.Value)
			if err != nil {
				return err
			}
			w, err := Ask[string](c, p, m.Value)
			if w != v {
				t.Errorf("asked twice: %q and %q", v, w)
			}
			return errors.Join(err, c.Reply(v))
		})
		for v, want := range map[any]string{1: "other 1", word(""): "later"} {
			if got := call(t, rt, by, v); got != want {
				t.Errorf("%v: %v, want %v", v, got, want)
			}
		}
	})
}

// A second function for a type takes the place of the first, however many types there are.
func TestMuxTakesTheLastFunctionOfAType(t *testing.T) {
	var got string
	m := new(Mux)
	for i := range 3 {
		On(m, func(*Context, word) error { got = fmt.Sprint("word ", i); return nil })
		On(m, func(*Context, number) error { got = fmt.Sprint("number ", i); return nil })
	}
	for v, want := range map[any]string{word(""): "word 2", number(0): "number 2"} {
		if err := m.Handle(nil, &Message{Value: v}); err != nil || got != want {
			t.Errorf("%T: %q, %v; want %q", v, got, err, want)
		}
	}
}

func TestMuxRefusesAnInterface(t *testing.T) {
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "error is an interface") {
			t.Errorf("recovered %v", v)
		}
	}()
	On(new(Mux), func(*Context, error) error { return nil })
}

// A New that panics so is an error of Start.
func TestMuxInNewThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		_, err := rt.Start(t.Context(), Spec{New: func() Handler {
			m := new(Mux)
			On(m, func(*Context, error) error { return nil })
			return m
		}})
		var panicked *PanicError
		if !errors.As(err, &panicked) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
	})
}
