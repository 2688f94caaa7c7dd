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
)

const (
	patience  = time.Minute     // for a process that starts or stops, or a link that comes up
	draining  = 2 * time.Minute // for all messages that are on their way
	pollEvery = time.Millisecond
	// aliveEvery is how often it is looked whether all processes are there.
	aliveEvery = 50 * time.Millisecond
	keepRate   = 1000 // messages a second after the summary
	keepTick   = 5 * time.Second
	shortest   = time.Second
	slowest    = 100
)

// Options say how to run the demonstration.
type Options struct {
	Root     string        // folder for the domains; default: /dev/shm
	Key      int           // of the domains, which must not exist; 0: free ones
	Duration time.Duration // until the producer is stopped, in each part
	Rate     int           // messages a second; 0: as fast as it goes
	Hosts    int           // 1: one host only; 2: then two hosts; 0: two if their daemon is there
	Daemon   string        // the relay daemon's binary; default: skybusd next to this program's own
	Keep     bool          // go on after the last summary until ctx ends
	Out      io.Writer     // for people: progress, summary, verdict
	Program  string        // how the user calls this program
	Part     []string      // arguments that make this program call Part

	began time.Time
}

// A Verdict says whether all promises were kept.
type Verdict struct {
	Pass   bool     `json:"pass"`
	Broken []string `json:"broken"` // the promises that were not kept
}

func (v *Verdict) fail(why ...string) { v.Pass, v.Broken = false, append(v.Broken, why...) }

// A Summary is what came out: of the part on one host, and in TwoHosts of the one
// that goes from one to another. The verdict is on both.
type Summary struct {
	Audit
	ConsumerKills int              `json:"consumer_kills"`
	ProducerKills int              `json:"producer_kills"`
	Seconds       float64          `json:"seconds"`
	P50           int64            `json:"p50_ns"`             // from before Send to the consumer's handler
	P99           int64            `json:"p99_ns"`             // with what waited for a consumer that was down
	Services      *ServicesSummary `json:"services,omitempty"` // nil where TwoHosts has them, or messages had gone wrong
	Verdict
	TwoHosts *HostsSummary `json:"two_hosts,omitempty"` // nil where it was not shown
	Skipped  string        `json:"skipped,omitempty"`   // why not, if it was not for Options.Hosts
}

// Run shows the bus at work. It returns an error when the demonstration could
// not begin, or ctx ended before the summary; whatever else goes wrong is in the
// summary, as a promise that was not kept. Nothing is left of the domains and the
// processes.
func Run(ctx context.Context, o Options) (sum Summary, err error) {
	if err := o.Check(); err != nil {
		return sum, err
	}
	o.began, o.Root = time.Now(), cmp.Or(o.Root, channel.DefaultRoot)
	daemon, missing := o.daemon()
	two := o.Hosts != 1 && missing == nil
	if sum, err = oneHost(ctx, &o, !two); err != nil || o.Hosts == 1 {
		return sum, err
	}
	if !two {
		o.skip(&sum, missing)
		return sum, nil
	}
	hosts, err := twoHosts(ctx, &o, daemon)
	if err != nil {
		return sum, err
	}
	sum.TwoHosts = &hosts
	for _, why := range hosts.Broken {
		sum.fail("two hosts: " + why)
	}
	return sum, nil
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	if o.Duration < shortest {
		return fmt.Errorf("duration %v: want %v or more", o.Duration, shortest)
	}
	if o.Rate != 0 && o.Rate < slowest {
		return fmt.Errorf("rate %d: want %d messages a second or more, or 0 for as fast as it goes", o.Rate, slowest)
	}
	if o.Hosts < 0 || o.Hosts > 2 {
		return fmt.Errorf("hosts %d: want 1 or 2", o.Hosts)
	}
	if o.Daemon != "" && o.Hosts != 1 {
		_, err := o.daemon()
		return err
	}
	return nil
}

// skip says why there are no two hosts. Only who has asked for them takes that
// for a failure.
func (o *Options) skip(sum *Summary, missing error) {
	sum.Skipped = missing.Error()
	o.say("two hosts: skipped, %v", missing)
	o.sayHowToBuild()
	if o.Hosts == 2 {
		sum.fail("two hosts: " + missing.Error())
		o.printf("\nFAIL: two hosts were asked for\n")
	}
}

func (o *Options) sayHowToBuild() {
	o.say("In the source tree, \"make demo\" builds both programs; or build it with \"go build ./cmd/skybusd\", and name it with --skybusd PATH.")
}

// oneHost plays the part on one host. final: the demonstration ends with it.
func oneHost(ctx context.Context, o *Options, final bool) (sum Summary, err error) {
	p, err := newPlace(o.Root, o.Key)
	if err != nil {
		return sum, err
	}
	s := &show{stage: newStage(ctx, o, p.ledgers, p.key), place: p, final: final}
	s.roots[producer], s.roots[consumer] = p.root, p.root
	err = s.play(&sum)
	s.killAll()
	return sum, s.end(&sum.Verdict, final && o.Keep, errors.Join(err, p.remove()))
}

// A show is the part on one host.
type show struct {
	*stage
	place *place
	final bool // no other part comes after it
}

// play is the script: its times are parts of the duration.
func (s *show) play(sum *Summary) error {
	s.say("domain %d in %s: %s sends to %s, %s", s.key, s.place.root, producerAddr, consumerAddr, s.o.pace())
	err := run(
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
		func() error { return s.drain(s.waiting) },
		func() error { return s.judge(sum) },
	)
	if err == nil && s.final {
		err = s.services(&sum.Verdict, &sum.Services, s.place.domain, nil)
	}
	if err != nil {
		return err
	}
	if s.final {
		s.next()
	}
	if s.final && s.o.Keep {
		return s.keep(func() error { return s.drain(s.waiting) }, func() error { return s.judge(sum) }, func() error { return s.stop(consumer) })
	}
	return s.stop(consumer)
}

func (o *Options) pace() string {
	if o.Rate == 0 {
		return "as fast as it goes"
	}
	return messages(uint64(o.Rate)) + " a second"
}
