// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
)

// full is how long a send to a mailbox that rejects is put off.
const full = 5 * time.Millisecond

// A mailer sends the messages of one session to its service, one after the other in the order of post and send. Nobody but those who
// call send waits, and a goroutine exists only while something that was posted is not sent yet.
type mailer struct {
	mu   sync.Mutex
	busy bool // somebody sends
	q    []mail
}

type mail struct {
	v    any
	then func(err error) // called when it is sent, or cannot be; may be nil
	done chan<- error    // of send; nil: of post
	ctx  context.Context
}

// post has v sent, and does not wait. then runs in any goroutine, without locks.
func (s *session) post(v any, then func(error)) {
	m := &s.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	m.q = append(m.q, mail{v: v, then: then, ctx: s.h.ctx})
	if !m.busy {
		m.busy = true
		s.h.mails.Add(1)
		go s.drain()
	}
}

// send sends v, behind all that was posted before, and returns when that is done.
func (s *session) send(ctx context.Context, v any) error {
	m := &s.mail
	m.mu.Lock()
	if m.busy {
		done := make(chan error, 1)
		m.q = append(m.q, mail{v: v, done: done, ctx: ctx})
		m.mu.Unlock()
		return <-done
	}
	m.busy = true
	s.h.mails.Add(1)
	m.mu.Unlock()
	err := s.carry(ctx, v)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.q) > 0 {
		go s.drain()
	} else {
		m.busy = false
		s.h.mails.Done()
	}
	return err
}

// drain sends what waits.
func (s *session) drain() {
	m := &s.mail
	for {
		m.mu.Lock()
		if len(m.q) == 0 {
			m.busy, m.q = false, nil
			m.mu.Unlock()
			s.h.mails.Done()
			return
		}
		next := m.q[0]
		m.q[0] = mail{}
		m.q = m.q[1:]
		m.mu.Unlock()
		err := s.carry(next.ctx, next.v)
		if next.done != nil {
			next.done <- err
		}
		if next.then != nil {
			next.then(err)
		}
	}
}

// carry sends one message to the service that the session is bound to now. It waits while that has no room.
func (s *session) carry(ctx context.Context, v any) error {
	for {
		s.h.mu.Lock()
		to, far := s.target, s.far
		s.h.mu.Unlock()
		err := s.h.rt.Send(ctx, to.PID, to.value(v))
		switch {
		case err == nil:
			far.wasSent()
			return nil
		case errors.Is(err, actor.ErrMailboxFull): // the mailbox does not let anybody wait
			if !pause(ctx, full) {
				return context.Cause(ctx)
			}
		case errors.Is(err, actor.ErrNoService):
			s.h.orphan(s, to)
			return err
		default:
			if ctx.Err() == nil && !errors.Is(err, skybus.ErrTooBig) && !errors.Is(err, actor.ErrStopped) && !errors.Is(err, skybus.ErrClosed) {
				s.h.g.log.Warn("a message for a service cannot be sent", "client", s.client, "service", to, "err", err)
			}
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
