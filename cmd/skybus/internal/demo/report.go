// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/skybus-io/skybus/channel"
)

func (o *Options) printf(format string, args ...any) { fmt.Fprintf(o.Out, format, args...) }

// say writes a line with the time since the demonstration began.
func (o *Options) say(format string, args ...any) {
	o.printf("[%4.1fs] %s\n", time.Since(o.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *stage) printf(format string, args ...any) { s.o.printf(format, args...) }

func (s *stage) say(format string, args ...any) { s.o.say(format, args...) }

// progress is what was there at the last line of progress.
type progress struct {
	at   time.Duration
	sent sentState
	seen seenState
}

// progress says what has happened since it was last called.
func (s *stage) progress() error {
	now := progress{at: s.elapsed()}
	var err error
	if now.sent, now.seen, err = s.read(); err != nil {
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

// down names what is down: a process of this part, or the link.
func (s *stage) down() string {
	for _, role := range roles {
		if s.roots[role] != "" && s.parts[role] == nil {
			return "   (" + role + " down)"
		}
	}
	if s.cut {
		return "   (link cut)"
	}
	return ""
}

// nothing begins what was promised of the messages.
const nothing = "nothing lost, nothing duplicated, nothing torn, all in order, with "

// A figure is a line of a summary.
type figure struct {
	what string
	n    uint64
}

// table writes a summary: what became of the messages, further figures, and how
// long messages were on their way.
func (s *stage) table(a *Audit, p50, p99 int64, further ...figure) {
	s.printf("\n")
	for _, f := range append([]figure{
		{"messages sent", a.Sent}, {"received", a.Received}, {"lost", a.Lost}, {"duplicated", a.Duplicated},
		{"torn", a.Torn}, {"out of order", a.OutOfOrder}, {"seen again, flagged as such", a.Redelivered},
	}, further...) {
		s.printf("%-30s %12s\n", f.what, grouped(f.n))
	}
	s.printf("%-30s %12s\n", "latency, median", short(time.Duration(p50)))
	s.printf("%-30s %12s\n\n", "latency, 99% (with waiting)", short(time.Duration(p99)))
}

// verdict writes it; kept says what the promises were, and what they were kept with.
func (s *stage) verdict(v *Verdict, kept string) {
	if v.Pass {
		s.printf("PASS: %s\n\n", kept)
	} else {
		s.printf("FAIL: %s\n\n", strings.Join(v.Broken, "; "))
	}
}

// inTerminal writes commands, for another terminal.
func (s *stage) inTerminal(commands ...string) {
	if s.o.Keep {
		s.printf("Next, in another terminal:\n")
	} else {
		s.printf("Next: %s demo --keep leaves it running. Then, in another terminal:\n", s.o.Program)
	}
	for _, c := range commands {
		s.printf("  %s %s\n", s.o.Program, c)
	}
	s.printf("\n")
}

// domainFlags name a domain on a command line.
func domainFlags(root string, key int) string {
	if root == channel.DefaultRoot {
		return fmt.Sprintf("-k %d", key)
	}
	return fmt.Sprintf("-k %d --root %s", key, root)
}
