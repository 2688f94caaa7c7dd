// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A Frame is the head of a call within a process. The message is a pointer to it, and so is the answer. The
// caller writes it before it sends and reads it after the answer; in between it is the service's. A caller that
// gives up never looks at it again; one that has its answer may use it for the next call.
type Frame struct {
	def     *iface // of the stub
	self    exchanger
	number  uint64
	timeout time.Duration // 0: none
	method  int32
	rare    bool // it has a timeout, or the method streams
	busy    bool // of a Slot's: its call has not ended well, or not yet
	stub    *Stub
}

// An Exchange is one call of a generated stub.
type Exchange[A, R any] struct {
	Frame
	Args    A
	Results R
}

// An exchanger is an Exchange, whatever its types.
type exchanger interface {
	frame() *Frame
	args() any // plain data
	results() any
	setArgs(v any) bool
	setResults(v any) error
}

// A Slot is a method's of a generated stub: it keeps the Exchange for the next call. Only a handler's stub uses it, whose
// calls follow each other.
type Slot[A, R any] struct{ x *Exchange[A, R] }

// Begin is called by generated code, after Near: it returns an Exchange for a call of the method with that index. That of the
// last call is used again if it has ended well: else a method that nobody waits for may still write to it.
func (p *Slot[A, R]) Begin(s *Stub, method int) *Exchange[A, R] {
	x := p.x
	if x == nil || x.busy {
		x = p.fresh(s, method)
	}
	x.busy = true
	return x
}

// fresh puts a new Exchange in.
func (p *Slot[A, R]) fresh(s *Stub, method int) *Exchange[A, R] {
	x := new(Exchange[A, R])
	p.x = x
	s.address(&x.Frame, method, x)
	return x
}

// Back is called by generated code with what the call of Begin's Exchange has come to. Errors: *CallError.
func (f *Frame) Back(v any, err error) error {
	if v == any(f) { // without an error: else there is no v
		return nil
	}
	return f.unanswered(v, err)
}

// End is called by generated code after Back: it returns the results, and leaves x for the next call.
// Nobody else has it any more: the service has sent it back.
func (x *Exchange[A, R]) End() R {
	var (
		args A
		none R
	)
	r := x.Results
	x.Args, x.Results, x.busy = args, none, false
	return r
}

// In is called by generated code, for a method that has these types: it returns the Exchange that f is the head of.
func In[A, R any](f *Frame) *Exchange[A, R] { return f.self.(*Exchange[A, R]) }

// Method is called by generated code: it returns the index of what is called.
func (f *Frame) Method() int { return int(f.method) }

func newExchange[A, R any]() exchanger { return new(Exchange[A, R]) }

func (f *Frame) frame() *Frame { return f }

func (x *Exchange[A, R]) args() any    { return x.Args }
func (x *Exchange[A, R]) results() any { return x.Results }

func (x *Exchange[A, R]) setArgs(v any) (ok bool) {
	x.Args, ok = plain[A](v)
	return ok
}

// setResults takes the results of another process, or of a call by name.
func (x *Exchange[A, R]) setResults(v any) error {
	if r, ok := plain[R](v); ok {
		x.Results = r
		return nil
	}
	if l, ok := v.([]any); ok || v == nil {
		return spread("result", l, reflect.ValueOf(&x.Results).Elem())
	}
	return fmt.Errorf("%w: the answer is a %T, want %T", ErrArgs, v, x.Results)
}

// list is the fields of a struct of arguments, or results, in their order.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	s := reflect.Indirect(reflect.ValueOf(v))
	if s.Kind() != reflect.Struct {
		return nil
	}
	var all []any
	for i := range s.NumField() {
		all = append(all, s.Field(i).Interface())
	}
	return all
}

// spread sets the fields of a struct from values in their order.
func spread(what string, from []any, to reflect.Value) error {
	if len(from) != to.NumField() {
		return fmt.Errorf("%w: %d %ss, want %d", ErrArgs, len(from), what, to.NumField())
	}
	for i, v := range from {
		x, err := convert(v, to.Field(i).Type())
		if err != nil {
			return fmt.Errorf("%w: %s %d: %w", ErrArgs, what, i+1, err)
		}
		to.Field(i).Set(x)
	}
	return nil
}

// serving is the context of the methods that a handler's Context runs. Of what the caller's context has, its deadline, its end
// and its trace travel.
type serving struct {
	c   *actor.Context
	ctx context.Context // of the one call; nil: it has no end of its own, and no trace
}

type servingKey struct{}

func (s *serving) Deadline() (time.Time, bool) {
	if s.ctx == nil {
		return time.Time{}, false
	}
	return s.ctx.Deadline()
}

func (s *serving) Done() <-chan struct{} {
	if s.ctx == nil {
		return nil
	}
	return s.ctx.Done()
}

func (s *serving) Err() error {
	if s.ctx == nil {
		return nil
	}
	return s.ctx.Err()
}

func (s *serving) Value(key any) any {
	if _, ok := key.(servingKey); ok {
		return s.c
	}
	if s.ctx == nil {
		return nil
	}
	return s.ctx.Value(key)
}

// NewContext returns a context for calls that a handler makes itself: an object that is at home and is
// called directly finds c in it, as it does when it is called from elsewhere.
func NewContext(ctx context.Context, c *actor.Context) context.Context {
	return context.WithValue(ctx, servingKey{}, c)
}

// FromContext returns the Context of the handler that a method runs in, nil if there is none. It is the method's until
// it returns, and a stream's until its sequence ends.
func FromContext(ctx context.Context) *actor.Context {
	c, _ := ctx.Value(servingKey{}).(*actor.Context)
	return c
}

// Wait is the Context's Wait for a method: it ends also when ctx is over, with its cause.
func Wait(ctx context.Context, token any) error {
	c := FromContext(ctx)
	if c == nil {
		return fmt.Errorf("wait for %v: the context is none of a method", token)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ctx.Done() != nil {
		rt, self := c.Runtime(), c.Self()
		stop := context.AfterFunc(ctx, func() { _ = rt.Send(context.Background(), self, wake{token}) })
		defer stop()
	}
	if err := c.Wait(token); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// wake has a host wake up who waits for token. It stays in the process.
type wake struct{ token any }
