// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"context"
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// longestTrip is the most that the histogram tells apart.
const longestTrip = 10 * time.Second

// post sends one message to dst by the call that is measured.
func (s *spec) post(ctx context.Context, e *skybus.Endpoint, dst addr.Addr) func(message []byte) error {
	switch s.API {
	case Batch:
		list := make([][]byte, 1)
		return func(message []byte) error {
			list[0] = message
			_, err := e.SendBatch(ctx, dst, list)
			return err
		}
	case Claim:
		return func(message []byte) error {
			c, err := e.Claim(ctx, dst, len(message))
			if err != nil {
				return err
			}
			copy(c.Data, message)
			c.Commit()
			return nil
		}
	}
	return func(message []byte) error { return e.Send(ctx, dst, message) }
}

// answer sends back what arrives until ctx ends.
func (s *spec) answer(ctx context.Context, e *skybus.Endpoint) error {
	back := s.post(ctx, e, addresses[first])
	return e.Receive(ctx, func(m skybus.Message) error { return back(m.Data) })
}

// ask times round trips until the window is over.
func (s *spec) ask(ctx context.Context, e *skybus.Endpoint) (measured, error) {
	a := asker{
		warmup: s.Warmup, end: s.Warmup + s.Duration, message: make([]byte, s.Size),
		post: s.post(ctx, e, addresses[second]), trips: hdrhistogram.New(1, int64(longestTrip), 3),
	}
	if s.Rate > 0 {
		a.every = time.Second / time.Duration(s.Rate)
	}
	if err := a.next(); err != nil {
		return measured{}, err
	}
	if err := e.Receive(ctx, a.handle); !errors.Is(err, errDone) {
		return measured{}, err
	}
	return a.measured(), nil
}

// An asker has one message under way at a time. Times count from the first
// answer: the other process may take a while to start.
type asker struct {
	base        time.Time
	warmup, end time.Duration
	every       time.Duration // between two departures; 0: at once
	message     []byte
	post        func([]byte) error
	number      uint64        // of the message under way
	left, back  time.Duration // when it left; when its answer came
	trips       *hdrhistogram.Histogram
}

// handle takes an answer. The next message leaves before the trip is recorded,
// so that recording takes no time from anybody.
func (a *asker) handle(m skybus.Message) error {
	if a.number == 1 {
		a.base, a.left = time.Now(), 0
	}
	a.back = time.Since(a.base)
	left := a.left
	if n := number(m.Data); n != a.number || m.Seq != a.number {
		return outOfOrder(m, a.number, n)
	}
	if a.back > a.end && a.trips.TotalCount() > 0 {
		return errDone
	}
	if err := a.next(); err != nil {
		return err
	}
	if left < a.warmup {
		return nil
	}
	return a.trips.RecordValue(int64(min(a.back-left, longestTrip)))
}

// next sends the next message when its time has come. It left when the answer to
// the last one came, unless there is a rate.
func (a *asker) next() error {
	a.left = a.back
	a.number++
	if a.every > 0 && a.number > 1 {
		time.Sleep(time.Duration(a.number)*a.every - a.back)
		a.left = time.Since(a.base)
	}
	stamp(a.message, a.number)
	return a.post(a.message)
}

func (a *asker) measured() measured {
	h := a.trips
	return measured{
		PerSecond: float64(h.TotalCount()) / (a.back - a.warmup).Seconds(),
		P50:       h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
}
