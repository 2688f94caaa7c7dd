// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"context"
	"errors"
	"time"

	"github.com/skybus-io/skybus"
)

// receive counts what arrives in the window that is measured.
func (s *spec) receive(e *skybus.Endpoint) (measured, error) {
	r := receiver{warmup: s.Warmup, duration: s.Duration, mask: lookEvery(s.Size) - 1}
	err := e.Receive(context.Background(), r.handler())
	if !errors.Is(err, errDone) {
		return measured{}, err
	}
	return measured{PerSecond: r.perSecond()}, nil
}

// lookEvery returns after how many messages the clock is read, a power of two:
// about 1 ms at full speed.
func lookEvery(size int) uint64 {
	n := uint64(1024)
	for n > 16 && n*uint64(size) > 4<<20 {
		n /= 2
	}
	return n
}

// A receiver checks every message and measures how many there are a second.
type receiver struct {
	warmup, duration time.Duration
	mask             uint64 // the clock is read when last&mask is 0
	last             uint64 // number of the last message
	base             uint64 // number of the last message before the window

	began, start, end time.Time // of the warm-up, of the window; zero: not yet
}

// handler returns what is to be done with each message: no method value, which
// would be one call more.
func (r *receiver) handler() func(m skybus.Message) error {
	return func(m skybus.Message) error {
		r.last++
		if m.Seq == r.last && number(m.Data) == r.last && r.last&r.mask != 0 {
			return nil
		}
		return r.check(m)
	}
}

// check judges a message that is not the expected one, or at which the clock is due.
func (r *receiver) check(m skybus.Message) error {
	if n := number(m.Data); m.Seq != r.last || n != r.last {
		return outOfOrder(m, r.last, n)
	}
	return r.look(time.Now())
}

// look opens and closes the window.
func (r *receiver) look(now time.Time) error {
	switch {
	case r.began.IsZero():
		r.began = now
	case r.start.IsZero():
		if now.Sub(r.began) >= r.warmup {
			r.start, r.base = now, r.last
		}
	case now.Sub(r.start) >= r.duration:
		r.end = now
		return errDone
	}
	return nil
}

func (r *receiver) perSecond() float64 {
	return float64(r.last-r.base) / r.end.Sub(r.start).Seconds()
}
