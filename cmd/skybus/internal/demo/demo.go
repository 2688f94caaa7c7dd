// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cmd/skybus/internal/child"
)

const (
	patience  = 10 * time.Second // for a process that starts or stops, or messages that are on their way
	pollEvery = time.Millisecond
	keepRate  = 1000 // messages a second after the summary
	keepTick  = 5 * time.Second
	shortest  = time.Second
	slowest   = 100
)

// Options say how to run the demonstration.
type Options struct {
	Root     string        // folder for the domain; default: /dev/shm
	Key      int           // of the domain, which must not exist; 0: a free one
	Duration time.Duration // until the producer is stopped
	Rate     int           // messages a second; 0: as fast as it goes
	Keep     bool          // go on after the summary until ctx ends
	Out      io.Writer     // for people: progress, summary, verdict
	Program  string        // how the user calls this program
	Part     []string      // arguments that make this program call Part
}

// A Summary is what came out.
type Summary struct {
	Audit
	ConsumerKills int      `json:"consumer_kills"`
	ProducerKills int      `json:"producer_kills"`
	Seconds       float64  `json:"seconds"`
	P50           int64    `json:"p50_ns"` // from before Send to the consumer's handler
	P99           int64    `json:"p99_ns"` // with what waited for a consumer that was down
	Pass          bool     `json:"pass"`
	Broken        []string `json:"broken"` // the promises that were not kept
}

// Run shows the bus at work. It returns an error when the demonstration could
// not begin, or ctx ended before the summary; whatever else goes wrong is in the
// summary, as a promise that was not kept. Nothing is left of the domain and the
// processes.
func Run(ctx context.Context, o Options) (sum Summary, err error) {
	if err := o.Check(); err != nil {
		return sum, err
	}
	p, err := newPlace(cmp.Or(o.Root, channel.DefaultRoot), o.Key)
	if err != nil {
		return sum, err
	}
	s := &show{ctx: ctx, o: o, place: p, parts: map[string]*child.Process{}, kills: map[string]int{}, start: time.Now(), tick: min(time.Second, o.Duration/6)}
	err = s.play(&sum)
	s.killAll()
	return sum, s.end(&sum, errors.Join(err, p.remove()))
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	if o.Duration < shortest {
		return fmt.Errorf("duration %v: want %v or more", o.Duration, shortest)
	}
	if o.Rate != 0 && o.Rate < slowest {
		return fmt.Errorf("rate %d: want %d messages a second or more, or 0 for as fast as it goes", o.Rate, slowest)
	}
	return nil
}

// end says how it ended if the summary has not.
func (s *show) end(sum *Summary, err error) error {
	switch {
	case err == nil && s.o.Keep:
		s.say("stopped; the domain is removed")
	case err != nil && s.ctx.Err() != nil:
		s.say("interrupted; the processes are stopped and the domain is removed")
		return err
	case err != nil:
		s.printf("FAIL: %v\n", err)
		sum.Pass, sum.Broken = false, append(sum.Broken, err.Error())
	}
	return nil
}

// A show is one demonstration.
type show struct {
	ctx context.Context
	o   Options
	*place
	parts map[string]*child.Process // those that run
	start time.Time
	kills map[string]int
	tick  time.Duration // between two lines of progress
	last  progress
}

// play is the script: its times are parts of the duration.
func (s *show) play(sum *Summary) error {
	s.say("domain %d in %s: %s sends to %s, %s", s.key, s.root, producerAddr, consumerAddr, s.pace())
	for _, act := range []func() error{
		func() error { return s.raise(consumer, s.o.Rate) },
		func() error { return s.raise(producer, s.o.Rate) },
		func() error { return s.until(s.part(0.25)) },
		s.killConsumer,
		func() error { return s.until(s.elapsed() + s.part(0.06)) },
		s.killConsumerAgain,
		s.restartConsumer,
		func() error { return s.until(s.part(0.6)) },
		s.killProducer,
		func() error { return s.until(s.elapsed() + s.part(0.04)) },
		s.restartProducer,
		func() error { return s.until(s.part(1)) },
		s.drain,
		func() error { return s.judge(sum) },
	} {
		if err := act(); err != nil {
			return err
		}
	}
	s.next()
	if s.o.Keep {
		return s.keep(sum)
	}
	return s.stop(consumer)
}

func (s *show) pace() string {
	if s.o.Rate == 0 {
		return "as fast as it goes"
	}
	return messages(uint64(s.o.Rate)) + " a second"
}

func (s *show) elapsed() time.Duration { return time.Since(s.start) }

// part returns a part of the duration.
func (s *show) part(f float64) time.Duration { return time.Duration(f * float64(s.o.Duration)) }

// until lets things run until a time, and shows the progress.
func (s *show) until(at time.Duration) error {
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
func (s *show) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-done(s.parts[producer]):
		return s.died(producer)
	case <-done(s.parts[consumer]):
		return s.died(consumer)
	case <-timer.C:
		return nil
	}
}

func done(p *child.Process) <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.Done()
}

func (s *show) died(role string) error {
	if err := s.parts[role].Err(); err != nil {
		return fmt.Errorf("the %s ended by itself: %w", role, err)
	}
	return fmt.Errorf("the %s ended by itself", role)
}

// wait polls until something is so.
func (s *show) wait(what string, so func() (bool, error)) error {
	for limit := time.Now().Add(patience); ; {
		if ok, err := so(); ok || err != nil {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s: not within %v", what, patience)
		}
		if err := s.sleep(pollEvery); err != nil {
			return err
		}
	}
}

// raise starts a process.
func (s *show) raise(role string, rate int) error {
	p, err := child.Start(s.o.Part, spec{Role: role, Root: s.root, Key: s.key, Ledgers: s.ledgers, Rate: rate})
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
func (s *show) kill(role string) (pid int) {
	p := s.parts[role]
	delete(s.parts, role)
	p.Kill()
	s.kills[role]++
	return p.PID()
}

func (s *show) killAll() {
	for role, p := range s.parts {
		delete(s.parts, role)
		p.Kill()
	}
}

// stop asks a process to end.
func (s *show) stop(role string) error {
	p := s.parts[role]
	delete(s.parts, role)
	if err := p.Stop(patience); err != nil {
		return fmt.Errorf("the %s did not end well: %w", role, err)
	}
	return nil
}
