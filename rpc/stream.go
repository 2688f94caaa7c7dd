// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// Window is how many items of a stream its sequence may be ahead of who ranges over it.
const Window = 64

// A stream is a sequence that runs in its service: by the handler that opened it, after its answer.
type stream struct {
	h       *host
	number  uint64
	holder  actor.PID
	ctx     context.Context
	stop    context.CancelCauseFunc
	free    context.CancelFunc // of the deadline
	far     bool               // errors go as plain data
	items   []any
	pending *actor.Request // waits for items
	flushes bool           // a fork is under way that answers it
	over    bool           // nobody takes items any more
	end     bool           // there come no more
	err     error          // why, if it is not well
	stopped error          // why a wait for room has ended
}

// String is what the runtime shows of who waits for room.
func (*stream) String() string { return "stream" }

// newStream makes one for the context in which its method is called.
func (h *host) newStream(c *actor.Context, holder actor.PID, timeout time.Duration, far bool) *stream {
	st := &stream{h: h, holder: holder, far: far, free: func() {}}
	st.ctx = h.serving(c)
	if timeout > 0 {
		st.ctx, st.free = context.WithTimeout(st.ctx, timeout)
	}
	st.ctx, st.stop = context.WithCancelCause(st.ctx)
	return st
}

// stream answers that the stream is open and runs it, unless its method has failed.
func (h *host) stream(c *actor.Context, st *stream, seq iter.Seq2[any, error], err error, answer func(Opened) error) error {
	defer st.free()
	defer st.stop(context.Canceled)
	if err != nil || !c.Message().IsCall() {
		return err
	}
	if seq == nil {
		seq = func(func(any, error) bool) {}
	}
	h.serial = (h.serial + 1) & maxSerial
	st.number = uint64(h.serial)<<32 | uint64(len(h.streams))
	if err := h.watch(c, st.holder); err != nil {
		return err
	}
	h.streams[st.number] = st
	if err := answer(Opened{Stream: st.number}); err != nil {
		h.closeStream(st)
		return err
	}
	st.run(c, seq)
	return nil
}

// run runs the sequence. If it panics the consumer hears of it, and then the runtime.
func (st *stream) run(c *actor.Context, seq iter.Seq2[any, error]) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			e := &actor.PanicError{Value: v, Stack: debug.Stack()}
			st.finish(e)
			panic(e)
		}
		st.finish(actor.ErrGoexit)
	}()
	var failed error
	for v, err := range seq {
		if err != nil {
			failed = err
			break
		}
		if !st.put(c, v) {
			break
		}
	}
	returned = true
	if failed == nil {
		failed = st.stopped
	}
	if failed == nil && !st.over {
		if failed = context.Cause(st.ctx); failed == nil {
			failed = c.Yield() // a sequence that waited ends without an error when its service ends
		}
	}
	st.finish(failed)
}

// put adds an item, when there is room. It reports false when nobody wants more.
func (st *stream) put(c *actor.Context, v any) bool {
	if st.over || st.end || st.ctx.Err() != nil {
		return false
	}
	st.items = append(st.items, v)
	if len(st.items) >= Window {
		st.flush()
	} else if st.pending != nil && !st.flushes {
		st.flushes = true
		c.Fork(func(*actor.Context) { // when the sequence waits for something
			st.flushes = false
			st.flush()
		})
	}
	for len(st.items) >= Window && !st.over && st.ctx.Err() == nil {
		if err := Wait(st.ctx, st); err != nil {
			st.stopped = err
			return false
		}
	}
	return !st.over && st.ctx.Err() == nil
}

// flush answers who waits.
func (st *stream) flush() {
	if st.pending == nil || len(st.items) == 0 && !st.end {
		return
	}
	q := *st.pending
	st.pending = nil
	if chunk, err := st.take(); err != nil {
		q.Fail(err)
	} else {
		q.Reply(chunk)
	}
}

// take returns what the next Next gets.
func (st *stream) take() (Chunk, error) {
	if len(st.items) > 0 {
		chunk := Chunk{Items: st.items, End: st.end && st.err == nil}
		st.items = nil
		if chunk.End {
			st.h.closeStream(st)
		}
		return chunk, nil
	}
	st.h.closeStream(st)
	switch {
	case st.err == nil:
		return Chunk{End: true}, nil
	case st.far:
		return Chunk{Failure: failure(st.err)}, nil
	}
	return Chunk{}, st.err
}

// finish says that no more items come.
func (st *stream) finish(err error) {
	if st.end {
		return
	}
	st.end, st.err = true, err
	st.stop(context.Canceled)
	if st.over {
		return
	}
	st.flush()
}

// closeStream forgets a stream that is over.
func (h *host) closeStream(st *stream) {
	if h.streams[st.number] == st {
		delete(h.streams, st.number)
		h.unwatch(st.holder)
	}
}

// next answers a Next.
func (h *host) next(c *actor.Context, number uint64) error {
	st := h.streams[number]
	switch {
	case st == nil:
		return h.streamError(c, fmt.Errorf("%w: %x is over", ErrNoStream, number))
	case st.pending != nil:
		return h.streamError(c, fmt.Errorf("%w: %x is ranged over twice", ErrNoStream, number))
	case len(st.items) > 0 || st.end:
		chunk, err := st.take()
		if err != nil {
			return err
		}
		c.Wakeup(st)
		return c.Reply(chunk)
	}
	q, err := c.Later()
	if err != nil {
		return err
	}
	st.pending = &q
	return nil
}

func (h *host) streamError(c *actor.Context, err error) error {
	if isNear(c.Message().From, h.self) {
		return err
	}
	return c.Reply(Chunk{Failure: failure(err)})
}

// cancel ends a stream that nobody wants any more.
func (h *host) cancel(c *actor.Context, m *actor.Message, number uint64) error {
	if st := h.streams[number]; st != nil {
		h.abandon(c, st)
	}
	if m.IsCall() {
		return c.Reply(Answer{})
	}
	return nil
}

func (h *host) abandon(c *actor.Context, st *stream) {
	st.over, st.items = true, nil
	if st.pending != nil {
		st.pending.Fail(ErrNoStream)
		st.pending = nil
	}
	st.stop(context.Canceled)
	h.closeStream(st)
	c.Wakeup(st)
}

// Consume is called by generated code: it returns the items of a stream that was opened.
func Consume[T any](ctx context.Context, s *Stub, method int, opened Opened) iter.Seq2[T, error] {
	if ctx == nil {
		ctx = context.Background()
	}
	used := false
	return func(yield func(T, error) bool) {
		var none T
		if used {
			yield(none, s.failed(method, ErrNoStream))
			return
		}
		used = true
		if err := s.consume(ctx, opened.Stream, func(v any) (bool, error) {
			item, err := to[T](v)
			return err == nil && yield(item, nil), err
		}); err != nil {
			yield(none, s.failed(method, err))
		}
	}
}

// Holder is called by generated code: who holds the streams of the stub's user.
func (s *Stub) Holder() Opened {
	if s.c != nil {
		return Opened{}
	}
	return Opened{Holder: keeperOf(s.rt).pid}
}

// consume calls f with the items, until that reports false.
func (s *Stub) consume(ctx context.Context, number uint64, f func(any) (bool, error)) (err error) {
	ended := false
	defer func() {
		if !ended {
			s.cancel(number)
		}
	}()
	for {
		v, err := s.ask(ctx, Next{number})
		if err != nil {
			ended = errors.Is(err, ErrNoStream)
			return err
		}
		chunk, ok := plain[Chunk](v)
		if !ok {
			return fmt.Errorf("%w: the answer is a %T, want an rpc.Chunk", actor.ErrType, v)
		}
		ended = chunk.End || chunk.Failure != nil
		for _, item := range chunk.Items {
			if goesOn, err := f(item); err != nil || !goesOn {
				return err
			}
		}
		switch {
		case chunk.Failure != nil:
			return chunk.Failure.err()
		case chunk.End:
			return nil
		}
	}
}

// cancel ends the stream over there. It waits only where a full mailbox makes it.
func (s *Stub) cancel(number uint64) {
	if err := s.rt.TrySend(s.object.PID, Cancel{number}); errors.Is(err, actor.ErrMailboxFull) {
		_, _ = s.ask(context.Background(), Cancel{number})
	}
}

// to is v as a T, which it may have been before it went to another process.
func to[T any](v any) (T, error) {
	if t, ok := v.(T); ok {
		return t, nil
	}
	var t T
	x, err := convert(v, reflect.TypeFor[T]())
	if err != nil {
		return t, fmt.Errorf("%w: item: %w", ErrArgs, err)
	}
	t, _ = x.Interface().(T)
	return t, nil
}
