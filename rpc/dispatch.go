// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// frame serves a call within the process that is not as most are.
func (h *host) frame(c *actor.Context, m *actor.Message, f *Frame) error {
	o := h.find(f.number)
	switch {
	case o == nil:
		return h.noObject(f.number)
	case o.iface != f.def:
		return h.otherFrame(c, m, o, f)
	case f.def.streams[f.method]:
		return h.frameStream(c, m, o, f)
	}
	var err error
	if f.timeout > 0 {
		err = h.serveTimed(c, o, f, f.timeout)
	} else {
		err = o.serve(h.serving(c), f)
	}
	if err != nil || !m.IsCall() {
		return err
	}
	return c.Reply(f)
}

// serving returns the context of methods that c runs: c is most often the same one. A call that can end early, or
// has a trace, gets one of its own.
func (h *host) serving(c *actor.Context) *serving {
	if c.Cancelable() || !c.Trace().IsZero() {
		return &serving{c, c.Ctx()}
	}
	if h.context == nil || h.context.c != c {
		h.context = &serving{c: c}
	}
	return h.context
}

func (h *host) serveTimed(c *actor.Context, o *object, f *Frame, d time.Duration) error {
	return timed(h.serving(c), d, func(ctx context.Context) error { return o.serve(ctx, f) })
}

// timed runs f with the time that its caller has left.
func timed(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

func (h *host) frameStream(c *actor.Context, m *actor.Message, o *object, f *Frame) error {
	opened, _ := f.self.results().(Opened)
	st := h.newStream(c, holder(m, opened.Holder), f.timeout, false)
	seq, err := o.open(st.ctx, f.method, f.self)
	return h.stream(c, st, seq, err, func(opened Opened) error {
		if err := f.self.setResults(opened); err != nil {
			return err
		}
		return c.Reply(f)
	})
}

// otherFrame serves a call whose stub is of another interface than the object.
func (h *host) otherFrame(c *actor.Context, m *actor.Message, o *object, f *Frame) error {
	opened, _ := f.self.results().(Opened)
	call := byName{method: f.def.methods[f.method], args: list(f.self.args()), timeout: f.timeout, holder: holder(m, opened.Holder)}
	return h.byName(c, o, &call, func(results []any) error {
		var body any = results
		if len(results) == 1 {
			if o, ok := results[0].(Opened); ok {
				body = o
			}
		}
		if !m.IsCall() {
			return nil
		}
		if err := f.self.setResults(body); err != nil {
			return err
		}
		return c.Reply(f)
	})
}

// holder is whose end ends a stream.
func holder(m *actor.Message, other actor.PID) actor.PID {
	if other.IsZero() {
		return m.From
	}
	return other
}

// request serves a call of another process, or by name. To other processes errors go as plain data.
func (h *host) request(c *actor.Context, m *actor.Message, q *Request) error {
	far := !isNear(m.From, h.self)
	err := h.asked(c, m, q, far)
	if err != nil && far && m.IsCall() {
		_ = c.Reply(Answer{Failure: failure(err)}) // it is answered already when a stream fails
		return nil
	}
	return err
}

func (h *host) asked(c *actor.Context, m *actor.Message, q *Request, far bool) error {
	o := h.find(q.Number)
	if o == nil {
		return h.noObject(q.Number)
	}
	answer := func(body any) error {
		if !m.IsCall() {
			return nil
		}
		return c.Reply(Answer{Body: body})
	}
	if o.iface != nil && o.iface.hash == q.Hash && q.Index >= 0 && q.Index < len(o.iface.methods) {
		x := o.make(q.Index)
		if !x.setArgs(q.Body) {
			return fmt.Errorf("%w: %s.%s got a %T, want %T", ErrArgs, short(o.iface.name), o.iface.methods[q.Index], q.Body, x.args())
		}
		return h.typed(c, m, o, q, x, answer)
	}
	call := byName{method: q.Method, args: list(q.Body), timeout: q.Timeout, holder: holder(m, q.Holder), far: far}
	return h.byName(c, o, &call, func(results []any) error {
		if len(results) == 1 {
			if opened, ok := results[0].(Opened); ok {
				return answer(opened)
			}
		}
		return answer(results)
	})
}

// typed serves a request whose arguments are those of the generated code.
func (h *host) typed(c *actor.Context, m *actor.Message, o *object, q *Request, x exchanger, answer func(any) error) error {
	if o.iface.streams[q.Index] {
		st := h.newStream(c, holder(m, q.Holder), q.Timeout, true)
		seq, err := o.open(st.ctx, int32(q.Index), x)
		return h.stream(c, st, seq, err, func(opened Opened) error { return answer(opened) })
	}
	f := x.frame()
	f.def, f.self, f.method = o.iface, x, int32(q.Index)
	var err error
	if q.Timeout > 0 {
		err = h.serveTimed(c, o, f, q.Timeout)
	} else {
		err = o.serve(h.serving(c), f)
	}
	if err != nil {
		return err
	}
	return answer(x.results())
}

// A byName is a call by the method's name.
type byName struct {
	method  string
	args    []any
	timeout time.Duration
	holder  actor.PID
	far     bool
}

// byName serves a call by reflection. answer gets the results, or an Opened.
func (h *host) byName(c *actor.Context, o *object, call *byName, answer func([]any) error) error {
	mt, err := methodsOf(o.typ).find(call.method)
	if err != nil {
		return err
	}
	in, err := mt.in(call.args)
	if err != nil {
		return err
	}
	if mt.streams {
		st := h.newStream(c, call.holder, call.timeout, call.far)
		out, err := mt.call(st.ctx, o.impl, in)
		var seq iter.Seq2[any, error]
		if err == nil {
			seq = anySeq(out[0])
		}
		return h.stream(c, st, seq, err, func(opened Opened) error { return answer([]any{opened}) })
	}
	var results []any
	run := func(ctx context.Context) error {
		out, err := mt.call(ctx, o.impl, in)
		for _, v := range out {
			results = append(results, v.Interface())
		}
		return err
	}
	if ctx := h.serving(c); call.timeout > 0 {
		err = timed(ctx, call.timeout, run)
	} else {
		err = run(ctx)
	}
	if err != nil {
		return err
	}
	return answer(results)
}
