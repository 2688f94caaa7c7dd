// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

// sweepTurns is after how many turns a busy reader looks at the clock, to sweep
// once in maxPark.
const sweepTurns = 1024

// RecvOptions choose what RecvWith takes and how.
type RecvOptions struct {
	From addr.Addr // only from this address; the zero address is any
	Peek bool      // leave the message where it is
	Wait Wait      // how to wait
	Buf  []byte    // memory for the payload; grown if it is too small
}

// Recv takes the next message. Its Data is the caller's. The message is taken
// for good when Recv returns: it does not come again. Errors: ErrClosed,
// ErrReceiving, the context's.
func (e *Endpoint) Recv(ctx context.Context) (Message, error) {
	return e.RecvWith(ctx, RecvOptions{})
}

// RecvFrom is Recv for messages from src only. It can also return ErrDamaged:
// nothing comes through that lane any more.
func (e *Endpoint) RecvFrom(ctx context.Context, src addr.Addr) (Message, error) {
	return e.RecvWith(ctx, RecvOptions{From: src})
}

// TryRecv is Recv without waiting: ErrEmpty at once.
func (e *Endpoint) TryRecv() (Message, error) { return e.tryRecv(&RecvOptions{}) }

// TryRecvWith is RecvWith without waiting: ErrEmpty at once.
func (e *Endpoint) TryRecvWith(o RecvOptions) (Message, error) { return e.tryRecv(&o) }

// RecvWith is Recv with options.
func (e *Endpoint) RecvWith(ctx context.Context, o RecvOptions) (Message, error) {
	m, err := e.tryRecv(&o)
	if err != ErrEmpty { //nolint:errorlint // tryRecv returns the bare sentinel
		return m, err
	}
	w := waiter{e: e, ctx: ctx, mode: o.Wait.or(e.mode)}
	defer w.done()
	ready := func() bool { return e.look(o.From) }
	for {
		if err := w.wait(ready, e.park.sleep, e.park.awake); err != nil {
			return Message{}, err
		}
		m, err := e.tryRecv(&o)
		if err != ErrEmpty { //nolint:errorlint // the bare sentinel
			return m, err
		}
	}
}

// tryRecv copies the next message out, under the lock.
func (e *Endpoint) tryRecv(o *RecvOptions) (Message, error) {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if err := e.mayReceive(); err != nil {
		return Message{}, err
	}
	r, n, err := (*channel.Receiver)(nil), 0, error(nil)
	if o.From.IsNone() {
		r, n = e.drain.Next(e.recs, true)
	} else {
		r, n, err = e.drain.From(o.From, e.recs[:1], true)
	}
	e.turn(n == 0)
	if n == 0 {
		e.ready.rearm()
		if err == nil {
			err = ErrEmpty
		}
		return Message{}, err
	}
	rec := (*[1]ring.Record)(e.recs)
	m := message(r, e.addr, &rec[0])
	m.Data = append(o.Buf[:0], m.Data...)
	if o.Peek {
		r.Rewind(&rec[0], false)
		if o.From.IsNone() {
			e.drain.Unturn(r)
		}
	} else {
		r.Accept(rec)
	}
	return m, nil
}

// mayReceive is asked with rmu held.
func (e *Endpoint) mayReceive() error {
	switch {
	case e.drain == nil || e.closed.Load():
		return e.closedErr()
	case e.receiving:
		return ErrReceiving
	}
	return nil
}

// look reports whether a receive from src would find something.
func (e *Endpoint) look(src addr.Addr) bool {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if e.mayReceive() != nil {
		return true // tryRecv says why
	}
	if !src.IsNone() {
		return e.drain.ReadyFrom(src)
	}
	return e.drain.Look()
}

// upkeep does a turn for whoever waits and does not receive.
func (e *Endpoint) upkeep() {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if e.mayReceive() == nil {
		e.turn(true)
	}
}

// turn sweeps the lanes once in maxPark; it looks at the clock only now and then.
func (e *Endpoint) turn(empty bool) {
	e.turns++
	if !empty && e.turns%sweepTurns != 0 {
		return
	}
	if waited := e.waited.Load(); waited {
		e.waited.Store(false)
	} else if e.turns%16 != 0 {
		return
	}
	if now := time.Now(); now.Sub(e.swept) >= maxPark {
		e.swept = now
		e.bound.CountSweep()
		e.drain.Sweep()
	}
}

// begin makes the calling goroutine the one that receives.
func (e *Endpoint) begin() error {
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if err := e.mayReceive(); err != nil {
		return err
	}
	e.receiving = true
	e.handling.Store(true)
	return nil
}

func (e *Endpoint) end() {
	e.rmu.Lock()
	e.receiving = false
	e.handling.Store(false)
	e.ready.rearm()
	e.rmu.Unlock()
	if e.closed.Load() {
		e.finish()
	}
}

// errStop ends a receiving loop after the message was handled.
var errStop = errors.New("stop")

// Receive hands each message to handle, in place: m.Data lies in shared memory
// and is handle's until it returns. A message is released when handle returns
// nil. When it returns an error or panics, the message is not released, Receive
// returns the error, and the message comes again, flagged Redelivered. If the
// process is killed, messages that were taken and not yet released come again,
// flagged: those of at most one batch (channel.BatchSize).
//
// handle runs on the calling goroutine; it may send, and may call Close. Receive
// returns when ctx ends, when the endpoint is closed, or by handle's error.
func (e *Endpoint) Receive(ctx context.Context, handle func(m Message) error) error {
	if err := e.begin(); err != nil {
		return err
	}
	defer e.end()
	w := waiter{e: e, ctx: ctx, ends: ctx.Done() != nil, mode: e.mode, receives: true}
	defer w.done()
	recs := e.recs
	for {
		r, n := e.drain.Next(recs, false)
		e.turn(n == 0)
		recs = e.recs
		if n > 0 {
			if err := e.handle(&w, r, recs[:n], handle); err != nil {
				return err
			}
			if n > 1 && r.Dry() && e.drain.Single() {
				w.lull()
			}
			continue
		}
		recs = e.recs[:1] // what comes first is handled first: the look behind it may have to wait for a cache line
		if w.glance(e.drain) {
			continue
		}
		if err := w.wait(e.drain.Look, e.park.sleep, e.park.awake); err != nil {
			return err
		}
	}
}

// Poll hands the messages that are ready now, at most limit, to handle, as
// Receive does, and returns how many were released. It never waits: it is made
// for tick loops.
func (e *Endpoint) Poll(limit int, handle func(m Message) error) (n int, err error) {
	if err := e.begin(); err != nil {
		return 0, err
	}
	defer e.end()
	w := waiter{e: e, ctx: context.Background(), mode: e.mode}
	for n < limit {
		r, k := e.drain.Next(e.recs[:min(limit-n, len(e.recs))], false)
		e.turn(k == 0)
		if k == 0 {
			return n, nil
		}
		done := 0
		err := e.handle(&w, r, e.recs[:k], func(m Message) error {
			err := handle(m)
			if err == nil {
				done++
			}
			return err
		})
		n += done
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// handle hands a batch out and releases what was handled, however it ends.
func (e *Endpoint) handle(w *waiter, r *channel.Receiver, recs []ring.Record, h func(Message) error) error {
	i, seen := 0, true
	defer func() { r.Done(recs, i, seen) }()
	held, most := uint64(0), r.MayHold()
	for ; i < len(recs); i++ {
		if e.closed.Load() || w.ends && w.ctx.Err() != nil {
			seen = false
			return w.over()
		}
		if err := h(message(r, e.addr, &recs[i])); err != nil {
			if err == errStop { //nolint:errorlint // made here, never wrapped
				i, seen = i+1, false
			}
			return err
		}
		if held += ring.RecordSize(len(recs[i].Data)); held >= most { // the producer may wait for room
			held = 0
			r.Release(&recs[i], false)
		}
	}
	return nil
}

// Messages returns an iterator over the messages that arrive, in place as
// Receive hands them out. A message is released when the loop's body is done with
// it, also by break; if the body panics it comes again. The last pair has the
// error that ended the loop: the context's, ErrClosed, ErrReceiving.
func (e *Endpoint) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		err := e.Receive(ctx, func(m Message) error {
			if !yield(m, nil) {
				return errStop
			}
			return nil
		})
		if err != errStop { //nolint:errorlint // made here, never wrapped
			yield(Message{}, err)
		}
	}
}
