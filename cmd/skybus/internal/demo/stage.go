// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

// A process is one that the demonstration has started.
type process interface {
	PID() int
	Done() <-chan struct{} // closed when it has ended
	Err() error            // waits for the end; nil after a clean one
	Kill()                 // with SIGKILL; returns when it is gone
	Stop(patience time.Duration) error
}

// A stage is what each part of the demonstration plays on: processes that
// exchange messages, their ledgers, and a clock.
type stage struct {
	ctx context.Context
	o   *Options
	*ledgers
	key   int
	roots map[string]string  // of the domain that each process is in
	parts map[string]process // those that run
	kills map[string]int
	start time.Time     // of this part; Options.began is that of the whole
	tick  time.Duration // between two lines of progress
	cut   bool          // the link between two hosts is
	last  progress
	shown *ServicesSummary // nil before
}

func newStage(ctx context.Context, o *Options, l *ledgers, key int) *stage {
	return &stage{
		ctx: ctx, o: o, ledgers: l, key: key, roots: map[string]string{}, parts: map[string]process{}, kills: map[string]int{},
		start: time.Now(), tick: min(time.Second, o.Duration/6),
	}
}

// run plays acts, one after the other, until one fails.
func run(acts ...func() error) error {
	for _, act := range acts {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) elapsed() time.Duration { return time.Since(s.start) }

// part returns a part of the duration.
func (s *stage) part(f float64) time.Duration { return time.Duration(f * float64(s.o.Duration)) }

// until lets things run until a time, and shows the progress.
func (s *stage) until(at time.Duration) error {
	for {
		next := s.last.at + s.tick
		if err := s.sleep(min(at, next) - s.elapsed()); err != nil {
			return err
		}
		if s.elapsed() >= next {
			if err := s.progress(); err != nil {
				return err
			}
		}
		if s.elapsed() >= at {
			return nil
		}
	}
}

// sleep waits, unless ctx ends or a process does, which nobody has killed.
func (s *stage) sleep(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		if err := s.alive(); err != nil {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(min(left, aliveEvery)):
		}
	}
}

// alive says if ctx has ended, or a process by itself.
func (s *stage) alive() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	for role := range s.parts {
		select {
		case <-s.done(role):
			return s.died(role)
		default:
		}
	}
	return nil
}

// done is nil, which nothing is ever received from, for a process that does not run.
func (s *stage) done(role string) <-chan struct{} {
	if p := s.parts[role]; p != nil {
		return p.Done()
	}
	return nil
}

func (s *stage) died(role string) error {
	if err := s.parts[role].Err(); err != nil {
		return fmt.Errorf("the %s ended by itself: %w", role, err)
	}
	return fmt.Errorf("the %s ended by itself", role)
}

// wait polls until something is so.
func (s *stage) wait(limit time.Duration, what string, so func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		if ok, err := so(); ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v", what, limit)
		}
		if err := s.sleep(pollEvery); err != nil {
			return err
		}
	}
}

// raise starts a part.
func (s *stage) raise(role string, rate int) error {
	p, err := child.Start(s.o.Part, spec{Role: role, Root: s.roots[role], Key: s.key, Ledgers: s.dir, Rate: rate})
	if err != nil {
		return err
	}
	s.parts[role] = p
	if s.kills[role] == 0 {
		s.say("%s pid %d", role, p.PID())
	}
	return nil
}

// kill kills a process with SIGKILL and returns its number.
func (s *stage) kill(role string) (pid int) {
	p := s.parts[role]
	delete(s.parts, role)
	p.Kill()
	s.kills[role]++
	return p.PID()
}

func (s *stage) killAll() {
	for role, p := range s.parts {
		delete(s.parts, role)
		p.Kill()
	}
}

// stop asks a process to end.
func (s *stage) stop(role string) error {
	p := s.parts[role]
	delete(s.parts, role)
	if err := p.Stop(patience); err != nil {
		return fmt.Errorf("the %s did not end well: %w", role, err)
	}
	return nil
}

// drain stops the producer and waits until nothing is on its way: left counts
// the messages that are in lanes.
func (s *stage) drain(left func() uint64) error {
	if err := s.stop(producer); err != nil {
		return err
	}
	s.say("producer stopped")
	var last uint64
	idle := 0 // polls without progress
	return s.wait(draining, "all messages received", func() (bool, error) {
		now, err := readSeen(s.seen)
		if idle++; now.first != last {
			idle, last = 0, now.first
		}
		// Looking into a lane in full use takes long: only then.
		return idle > 20 && left() == 0, err
	})
}

// keep goes on slowly after the summary, so that the user can try commands.
// When ctx ends, finish plays what comes after that.
func (s *stage) keep(finish ...func() error) error {
	if err := s.raise(producer, keepRate); err != nil {
		return err
	}
	s.say("it goes on at %d messages a second until Ctrl-C", keepRate)
	s.tick = keepTick
	if err := s.until(1 << 62); s.ctx.Err() == nil {
		return err
	}
	s.ctx = context.WithoutCancel(s.ctx) // two seconds more
	return run(finish...)
}

// explain adds what the daemons have logged to an error that they may have caused.
func (s *stage) explain(err error) error {
	if err == nil || s.ctx.Err() != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(s.parts)) {
		if d, ok := s.parts[role].(*daemon); ok {
			err = fmt.Errorf("%w\n%s logs: %s", err, role, d.log.text())
		}
	}
	return err
}

// end says how the part ended, if the summary has not. It returns an error only
// if ctx has ended before.
func (s *stage) end(v *Verdict, kept bool, err error) error {
	switch {
	case err == nil && kept:
		s.say("stopped; the domain is removed")
	case err != nil && s.ctx.Err() != nil:
		s.say("interrupted; the processes are stopped and the domain is removed")
		return err
	case err != nil:
		s.printf("FAIL: %v\n", err)
		v.fail(err.Error())
	}
	return nil
}
