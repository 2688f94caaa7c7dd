// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/skybus-io/skybus/channel"
)

func (s *show) printf(format string, args ...any) { fmt.Fprintf(s.o.Out, format, args...) }

// say writes a line with the time since the start.
func (s *show) say(format string, args ...any) {
	s.printf("[%4.1fs] %s\n", s.elapsed().Seconds(), fmt.Sprintf(format, args...))
}

// progress is what was there at the last line of progress.
type progress struct {
	at   time.Duration
	sent sentState
	seen seenState
}

// progress says what has happened since it was last called.
func (s *show) progress() error {
	now := progress{at: s.elapsed()}
	var err error
	if now.sent, err = readSent(s.sent); err != nil {
		return err
	}
	if now.seen, err = readSeen(s.seen); err != nil {
		return err
	}
	was := s.last
	s.last = now
	per := func(n uint64) string { return grouped(uint64(float64(n) / (now.at - was.at).Seconds())) }
	d := now.seen.delays.since(&was.seen.delays)
	s.say("%9s sent/s %7s KB/s %9s received/s   %s%s", per(now.sent.accepted-was.sent.accepted),
		per((now.sent.bytes-was.sent.bytes)/1000), per(now.seen.first-was.seen.first), latency(&d), s.down())
	return nil
}

func latency(d *delays) string {
	if d.total() == 0 {
		return "nothing received"
	}
	return fmt.Sprintf("latency %s, p99 %s, max %s", short(d.quantile(0.5)), short(d.quantile(0.99)), short(d.quantile(1)))
}

// down names the process that is down.
func (s *show) down() string {
	for _, role := range []string{producer, consumer} {
		if s.parts[role] == nil {
			return "   (" + role + " down)"
		}
	}
	return ""
}

// report writes the summary and the verdict.
func (s *show) report(sum *Summary) {
	s.printf("\n")
	for _, l := range []struct {
		what string
		n    uint64
	}{
		{"messages sent", sum.Sent}, {"received", sum.Received}, {"lost", sum.Lost}, {"duplicated", sum.Duplicated},
		{"torn", sum.Torn}, {"out of order", sum.OutOfOrder}, {"seen again, flagged as such", sum.Redelivered},
		{"consumer killed with -9", uint64(sum.ConsumerKills)}, {"producer killed with -9", uint64(sum.ProducerKills)},
	} {
		s.printf("%-30s %12s\n", l.what, grouped(l.n))
	}
	s.printf("%-30s %12s\n", "latency, median", short(time.Duration(sum.P50)))
	s.printf("%-30s %12s\n\n", "latency, 99% (with waiting)", short(time.Duration(sum.P99)))
	if sum.Pass {
		s.printf("PASS: nothing lost, nothing duplicated, nothing torn, all in order, with %d kills in mid-stream\n\n",
			sum.ConsumerKills+sum.ProducerKills)
	} else {
		s.printf("FAIL: %s\n\n", strings.Join(sum.Broken, "; "))
	}
}

// next says what can be tried on the domain.
func (s *show) next() {
	key := fmt.Sprintf(" -k %d", s.key)
	if s.root != channel.DefaultRoot {
		key += " --root " + s.root
	}
	program := s.o.Program
	if !s.o.Keep {
		s.printf("Next: %s demo --keep leaves it running. Then, in another terminal:\n", program)
	} else {
		s.printf("Next, in another terminal:\n")
	}
	s.printf("  %s top%s\n", program, key)
	s.printf("  %s tail%s %s %s\n", program, key, producerAddr, consumerAddr)
	s.printf("  %s stat%s\n\n", program, key)
}
