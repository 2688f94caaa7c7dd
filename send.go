// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"errors"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
)

// sender returns the lane to dst, opening it at the first use.
func (e *Endpoint) sender(dst addr.Addr) (*channel.Sender, error) {
	if s := e.recent[dst%recentLanes].Load(); s != nil && s.To(dst) {
		return s, nil
	}
	return e.findSender(dst)
}

func (e *Endpoint) findSender(dst addr.Addr) (*channel.Sender, error) {
	e.smu.RLock()
	s := e.senders[dst]
	e.smu.RUnlock()
	if s == nil {
		var err error
		if s, err = e.openSender(dst); err != nil {
			return nil, err
		}
	}
	e.recent[dst%recentLanes].Store(s)
	return s, nil
}

func (e *Endpoint) openSender(dst addr.Addr) (*channel.Sender, error) {
	e.smu.Lock()
	defer e.smu.Unlock()
	if s := e.senders[dst]; s != nil {
		return s, nil
	}
	if e.closed.Load() {
		return nil, e.closedErr()
	}
	s, err := e.d.table.NewSender(channel.Pair{Src: e.addr, Dst: dst})
	if err != nil {
		return nil, err
	}
	e.senders[dst] = s
	return s, nil
}

// Send sends a copy of payload to dst. It waits while the lane has no room, and
// only then looks at ctx. When it returns nil the message will arrive, also if
// this process is killed at once. Errors: ErrTooBig, ErrNoRoute, ErrBudget,
// ErrDamaged, ErrClosed, and the context's.
func (e *Endpoint) Send(ctx context.Context, dst addr.Addr, payload []byte) error {
	s, err := e.sender(dst)
	if err != nil {
		return err
	}
	if err = s.Send(payload); err == nil || !errors.Is(err, ErrFull) {
		return err
	}
	return e.sendWhenRoom(ctx, s, payload)
}

func (e *Endpoint) sendWhenRoom(ctx context.Context, s *channel.Sender, payload []byte) error {
	w := waiter{e: e, ctx: ctx, mode: e.mode}
	defer w.done()
	for {
		if err := w.room(s, len(payload)); err != nil {
			return err
		}
		if err := s.Send(payload); err == nil || !errors.Is(err, ErrFull) {
			return err
		}
	}
}

// TrySend is Send without waiting: ErrFull at once.
func (e *Endpoint) TrySend(dst addr.Addr, payload []byte) error {
	s, err := e.sender(dst)
	if err != nil {
		return err
	}
	return s.Send(payload)
}

// room waits until the lane may have room for n bytes.
func (w *waiter) room(s *channel.Sender, n int) error {
	ready := func() bool {
		ok, err := s.Room(n)
		return ok || err != nil // Send says what is wrong
	}
	w.lull() // whoever takes each bit of room as soon as it is there keeps the reader from its work
	return w.wait(ready, s.WaitRoom, s.GotRoom)
}

// SendBatch sends copies of payloads to dst, in order, with as few commits as
// room allows; it waits as Send does. It returns how many were accepted: with an
// error, the rest was not.
func (e *Endpoint) SendBatch(ctx context.Context, dst addr.Addr, payloads [][]byte) (n int, err error) {
	b, err := e.Batch(dst)
	if err != nil {
		return 0, err
	}
	for i, p := range payloads {
		if b.goesOn() && b.s.AddNext(p) == nil {
			continue
		}
		buf, err := b.claim(ctx, len(p))
		if err != nil {
			n = i - b.Pending()
			b.Abort()
			return n, err
		}
		copy(buf, p)
	}
	if err := b.Commit(); err != nil {
		return 0, err
	}
	return len(payloads), nil
}

// A Batch writes messages in place and publishes them together. It belongs to
// one goroutine and can be used again after Commit or Abort. From its first
// Claim to Commit or Abort it holds the lane: others that send to the same
// address from this endpoint wait.
type Batch struct {
	e     *Endpoint
	s     *channel.Sender
	token uint64
}

// Batch returns a new Batch to dst. It holds nothing until its first Claim.
func (e *Endpoint) Batch(dst addr.Addr) (Batch, error) {
	s, err := e.sender(dst)
	return Batch{e: e, s: s}, err
}

// Claim reserves a message of n bytes and returns them, to be written before
// Commit. Where the lane has no room, what was claimed so far is committed, and
// Claim waits as Send does. Errors as of Send; the claims before it stand.
func (b *Batch) Claim(ctx context.Context, n int) ([]byte, error) {
	if b.goesOn() {
		if buf, err := b.s.ClaimNext(n); err == nil {
			return buf, nil
		}
	}
	return b.claim(ctx, n)
}

// goesOn reports whether the lane is held already, and may be.
func (b *Batch) goesOn() bool { return b.token != 0 && !b.e.closed.Load() }

// claim is Claim when that is not simply a matter of taking what is there.
func (b *Batch) claim(ctx context.Context, n int) ([]byte, error) {
	buf, err := b.TryClaim(n)
	if err == nil || !errors.Is(err, ErrFull) {
		return buf, err
	}
	w := waiter{e: b.e, ctx: ctx, mode: b.e.mode}
	defer w.done()
	for {
		if err := b.Commit(); err != nil {
			return nil, err
		}
		buf, err := b.TryClaim(n)
		if err == nil || !errors.Is(err, ErrFull) {
			return buf, err
		}
		b.Abort()
		if err := w.room(b.s, n); err != nil {
			return nil, err
		}
	}
}

// TryClaim is Claim without waiting and without an early commit: ErrFull at once.
func (b *Batch) TryClaim(n int) ([]byte, error) {
	if b.token == 0 {
		b.token = b.s.Begin()
	}
	buf, err := []byte(nil), error(nil)
	if b.e.closed.Load() { // Close waits for us
		err = b.e.closedErr()
	} else {
		buf, err = b.s.Claim(n)
	}
	if err != nil && b.s.Pending() == 0 {
		b.Abort()
	}
	return buf, err
}

// Pending returns how many messages are claimed and not committed.
func (b *Batch) Pending() int {
	if b.token == 0 {
		return 0
	}
	return b.s.Pending()
}

// Commit publishes what was claimed. Without a claim it does nothing. It fails only
// on a durable lane in sync mode, with ErrDamaged: what is on disk is not known.
func (b *Batch) Commit() error {
	if b.token == 0 {
		return nil
	}
	token := b.token
	b.token = 0
	b.s.Commit()
	return b.s.Finish(token)
}

// Abort drops what was claimed and not committed.
func (b *Batch) Abort() {
	if b.token != 0 {
		b.s.End(b.token)
		b.token = 0
	}
}

// A Claim is one message being written in place.
type Claim struct {
	// Data is the message, to be written before Commit.
	Data  []byte
	s     *channel.Sender
	token uint64
}

// Claim reserves one message of n bytes to dst. It waits for room as Send does.
// Until Commit or Abort, which must follow, it holds the lane as a Batch does.
func (e *Endpoint) Claim(ctx context.Context, dst addr.Addr, n int) (Claim, error) {
	b, err := e.Batch(dst)
	if err != nil {
		return Claim{}, err
	}
	data, err := b.Claim(ctx, n)
	return Claim{Data: data, s: b.s, token: b.token}, err
}

// TryClaim is Claim without waiting: ErrFull at once.
func (e *Endpoint) TryClaim(dst addr.Addr, n int) (Claim, error) {
	b, err := e.Batch(dst)
	if err != nil {
		return Claim{}, err
	}
	data, err := b.TryClaim(n)
	return Claim{Data: data, s: b.s, token: b.token}, err
}

// Commit sends the message. It reports false, and does nothing, if the claim was
// committed or aborted before; and on a durable lane in sync mode if the message may not be on disk.
func (c Claim) Commit() bool {
	if c.s == nil || !c.s.Owns(c.token) {
		return false
	}
	c.s.Commit()
	return c.s.Finish(c.token) == nil
}

// Abort gives the claim up; after Commit it does nothing, so it can be deferred.
func (c Claim) Abort() {
	if c.s != nil && c.s.Owns(c.token) {
		c.s.End(c.token)
	}
}

// LastSeq returns the sequence of the last message that was accepted for dst
// from this address, 0 for none. It tells a restarted sender whether the Send
// that its predecessor was killed in counts.
func (e *Endpoint) LastSeq(dst addr.Addr) (uint64, error) {
	s, err := e.sender(dst)
	if err != nil {
		return 0, err
	}
	return s.LastSeq(), nil
}

// giveBack returns the memory of lanes that were not used for long.
func (e *Endpoint) giveBack(now time.Time) {
	for _, s := range e.allSenders() {
		s.GiveBack(now)
	}
}
