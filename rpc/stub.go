// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A Stub is what generated stubs are made of.
type Stub struct {
	object  Object
	handler *actor.Context // c, if the object is in this process
	c       *actor.Context // nil: for goroutines
	rt      *actor.Runtime
	def     *iface
	near    bool // there is an object, and it is in this process
}

// Near is called by generated code. It reports whether that makes the call itself: a handler's, in this
// process, that cannot end early. The function that calls Handler().Call is the method that the program has called, with
// none between: after a wait the processor predicts each return wrongly.
func (s *Stub) Near(ctx context.Context) bool {
	return s.handler != nil && (ctx == nil || ctx.Done() == nil)
}

// Handler is called by generated code: it returns whose calls are Near.
func (s *Stub) Handler() *actor.Context { return s.handler }

// To is called by generated code: it returns the service that has the object.
func (s *Stub) To() actor.PID { return s.object.PID }

// Call is called by generated code for what is not Near: what may end early, goroutines, and other processes. It calls the method
// with that index and sets the results of x, which is new. Errors: *CallError.
func (s *Stub) Call(ctx context.Context, method int, x exchanger) error {
	if err := s.call(ctx, method, x); err != nil {
		return s.failed(method, err)
	}
	return nil
}

// address says in a new frame what it calls.
func (s *Stub) address(f *Frame, method int, x exchanger) {
	f.def, f.self, f.number, f.method, f.stub = s.def, x, s.object.Number, int32(method), s
}

func (s *Stub) call(ctx context.Context, method int, x exchanger) error {
	if !s.near {
		return s.callFar(ctx, method, x)
	}
	f := s.timed(ctx, method, x)
	v, err := s.ask(ctx, f)
	if err == nil && v != any(f) {
		err = noHost(v)
	}
	return err
}

// timed is the frame of x, with the time that ctx leaves.
func (s *Stub) timed(ctx context.Context, method int, x exchanger) *Frame {
	f := x.frame()
	s.address(f, method, x)
	if ctx != nil {
		f.timeout = timeoutOf(ctx)
	}
	f.rare = f.timeout > 0 || s.def.streams[method]
	return f
}

// unanswered is the error of a Near call that f did not come back from.
func (f *Frame) unanswered(v any, err error) error {
	if err == nil {
		err = noHost(v)
	} else {
		err = bare(err)
	}
	return f.stub.failed(int(f.method), err)
}

// noHost is the error of a service that has answered a frame with something else.
func noHost(v any) error {
	return fmt.Errorf("%w: the answer is a %T: the service hosts no objects", actor.ErrType, v)
}

// callFar is call to another process.
func (s *Stub) callFar(ctx context.Context, method int, x exchanger) error {
	if s.object.IsZero() {
		return ErrNilRef
	}
	v, err := s.ask(ctx, s.request(ctx, method, x))
	if err != nil {
		return err
	}
	body, err := body(v)
	if err != nil {
		return err
	}
	return x.setResults(body)
}

// request is the call as it goes to another process. To an object with other methods it goes by name.
func (s *Stub) request(ctx context.Context, method int, x exchanger) Request {
	q := Request{Number: s.object.Number, Hash: s.def.hash, Index: method, Method: s.def.methods[method], Body: x.args()}
	if s.object.Hash != s.def.hash {
		q.Hash, q.Body = 0, list(q.Body)
	}
	if ctx != nil {
		q.Timeout = timeoutOf(ctx)
	}
	if o, ok := x.results().(Opened); ok {
		q.Holder = o.Holder
	}
	return q
}

// ask sends v and waits. The error is without what package actor puts before it.
func (s *Stub) ask(ctx context.Context, v any) (answer any, err error) {
	switch {
	case s.c == nil:
		if ctx == nil {
			ctx = context.Background()
		}
		answer, err = s.rt.Call(ctx, s.object.PID, v)
	case ctx == nil || ctx.Done() == nil:
		answer, err = s.c.Call(s.object.PID, v)
	default:
		answer, err = s.c.CallContext(ctx, s.object.PID, v)
	}
	if err != nil {
		return nil, bare(err)
	}
	return answer, nil
}

// bare is err without what package actor puts before it.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// Send is called by generated code for methods without results. What goes wrong nobody hears, but
// a handler gets an actor.Undelivered when the service has ended.
func (s *Stub) Send(ctx context.Context, method int, x exchanger) {
	if s.object.IsZero() {
		return
	}
	var v any
	if s.near {
		v = s.timed(ctx, method, x)
	} else {
		v = s.request(ctx, method, x)
	}
	if s.c != nil {
		_ = s.c.Send(s.object.PID, v)
		return
	}
	if ctx == nil {
		ctx = context.Background()
	}
	_ = s.rt.Send(ctx, s.object.PID, v)
}

func (s *Stub) failed(method int, err error) error {
	return &CallError{Target: s.object, Method: short(s.def.name) + "." + s.def.methods[method], Err: err}
}

// short is a name without the path of its package.
func short(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' || name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}

// timeoutOf is how long ctx still has; 0: for ever. A deadline that is over leaves an instant.
func timeoutOf(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end), 1)
	}
	return 0
}
