// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// A verdict is what the judge has found out about one lane: numbers of messages.
type verdict struct {
	Accepted uint64 // were accepted from the sender
	Came     uint64 // came, once or more often
	Again    uint64 // came again, flagged

	Lost       uint64 // were accepted, did not come, and nobody says why
	Doubled    uint64 // came again unflagged
	Disorder   uint64 // came first after a later one, unflagged
	Torn       uint64 // were not what was sent
	Reported   uint64 // were accepted and did not come, and the bus reported the gap
	Excused    uint64 // were taken for good by a receiver that was then killed
	Beyond     uint64 // came though they were never accepted
	Renumbered uint64 // had another sequence than number

	First string // the first fault, in words
}

// faults reports whether the bus broke its word in any way. A gap that is
// reported counts: nothing in these tests gives cause for one.
func (v *verdict) faults() bool {
	return v.Lost+v.Doubled+v.Disorder+v.Torn+v.Reported+v.Beyond+v.Renumbered > 0
}

// A span is a row of numbers that were passed over, in a lane.
type span struct {
	from, to uint64
	starts   int // lives of the receiver that began since the message before
}

// What is known of a message.
const (
	markCame = 1 << iota
	markReported
)

// A laneJudge judges one lane.
type laneJudge struct {
	verdict
	marks    []byte // of each number
	last     uint64 // the highest number that came
	lastLife int    // of the receiver, when that came
	gaps     []span
}

// A judge reads one receiver's log.
type judge struct {
	lanes  map[addr.Addr]*laneJudge // by source
	recv   bool                     // the receiver takes for good
	life   int                      // of the receiver
	broken string                   // a line that makes no sense unless a life begins with the next
}

// newJudge returns a judge of a receiver with lanes from these sources.
func newJudge(recv bool, sources ...addr.Addr) *judge {
	j := &judge{recv: recv, lanes: map[addr.Addr]*laneJudge{}}
	for _, src := range sources {
		j.lanes[src] = &laneJudge{}
	}
	return j
}

// read reads the log. It returns an error if the log cannot be what a receiver
// wrote, so that nothing can be said about its lanes.
func (j *judge) read(r io.Reader) error {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		if err := j.line(in.Text()); err != nil {
			return fmt.Errorf("line %d of the log: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return nil // what is broken at the very end was being written when the receiver died
}

func (j *judge) line(text string) error {
	if text == "" {
		return nil
	}
	e, err := parseEntry(text)
	switch {
	case err != nil && j.broken == "":
		j.broken = text // its writer was killed, if a life begins now
		return nil
	case err != nil:
		return err
	case e.kind == kindStart:
		j.life++
		j.broken = ""
		return nil
	case j.broken != "":
		return fmt.Errorf("want the start of a life after the broken line %q", j.broken)
	case j.life == 0:
		return errors.New("want the start of a life first")
	}
	l := j.lanes[e.src]
	if l == nil {
		return fmt.Errorf("a message from %v, which sends nothing to this receiver", e.src)
	}
	switch e.kind {
	case kindMessage:
		l.message(&e, j.life)
	case kindTorn:
		l.torn(&e, j.life)
	case kindGap:
		return l.gap(&e)
	}
	return nil
}

// fault counts a fault and keeps the words of the first one.
func (l *laneJudge) fault(counter *uint64, n uint64, format string, args ...any) {
	if l.First == "" {
		l.First = fmt.Sprintf(format, args...)
	}
	*counter += n
}

// most bounds the numbers, so that a wrong one does not take all memory.
const most = 1 << 32

// mark returns the mark of a number.
func (l *laneJudge) mark(n uint64) *byte {
	for uint64(len(l.marks)) <= n {
		l.marks = append(l.marks, 0)
	}
	return &l.marks[n]
}

// message judges a message that came.
func (l *laneJudge) message(e *entry, life int) {
	n := e.number
	if n == 0 || n >= most {
		l.fault(&l.Beyond, 1, "message number %d came, numbers begin at 1", n)
		return
	}
	if e.seq != n {
		l.fault(&l.Renumbered, 1, "message %d came as number %d of the lane", n, e.seq)
	}
	came := l.came(n)
	switch {
	case came && e.flagged:
		l.Again++
	case came:
		l.fault(&l.Doubled, 1, "message %d came again without a flag, after %d", n, l.last)
	case n < l.last && !e.flagged:
		l.fault(&l.Disorder, 1, "message %d came after %d", n, l.last)
	}
	l.accept(n, life)
}

// torn judges what came in place of a message: the lane's sequence says which.
func (l *laneJudge) torn(e *entry, life int) {
	l.fault(&l.Torn, 1, "message %d is torn: %s", e.seq, e.text)
	if e.seq > 0 && e.seq < most {
		l.accept(e.seq, life)
	}
}

// accept notes that a number came.
func (l *laneJudge) accept(n uint64, life int) {
	*l.mark(n) |= markCame
	if n <= l.last {
		return
	}
	if n > l.last+1 {
		l.gaps = append(l.gaps, span{l.last + 1, n - 1, life - max(l.lastLife, 1)})
	}
	l.last, l.lastLife = n, life
}

// gap notes that the bus says what will not come.
func (l *laneJudge) gap(e *entry) error {
	if e.number == 0 || e.number > e.seq || e.seq >= most {
		return fmt.Errorf("a gap from %d to %d: want numbers from 1, the first not above the last", e.number, e.seq)
	}
	for n := e.number; n <= e.seq; n++ {
		*l.mark(n) |= markReported
	}
	return nil
}

func (l *laneJudge) came(n uint64) bool { return *l.mark(n)&markCame != 0 }

// verdict ends the judging of one lane, of which so many messages were accepted.
// excuses is how often the receiver was killed with a message in its hand, at
// most; those that the lane needs are taken away.
func (j *judge) verdict(src addr.Addr, accepted uint64, excuses *uint64) verdict {
	l := j.lanes[src]
	l.Accepted = accepted
	if accepted > l.last {
		l.gaps = append(l.gaps, span{l.last + 1, accepted, j.life - max(l.lastLife, 1)})
	}
	if l.last > accepted {
		l.fault(&l.Beyond, l.last-accepted, "message %d came, %d were accepted", l.last, accepted)
	}
	for n := uint64(1); n <= l.last; n++ {
		if l.came(n) {
			l.Came++
		}
	}
	for _, s := range l.gaps {
		l.missing(s, excuses)
	}
	return l.verdict
}

// missing judges numbers that were passed over.
func (l *laneJudge) missing(s span, excuses *uint64) {
	lost, reported, first := uint64(0), uint64(0), uint64(0)
	for n := s.from; n <= min(s.to, l.Accepted); n++ {
		switch mark := *l.mark(n); {
		case mark&markCame != 0:
		case mark&markReported != 0:
			reported++
		default:
			if lost++; first == 0 {
				first = n
			}
		}
	}
	excused := min(lost, uint64(max(s.starts, 0)), *excuses)
	*excuses -= excused
	l.Excused += excused
	if reported > 0 {
		l.fault(&l.Reported, reported, "%d messages between %d and %d did not come, which the bus says", reported, s.from, s.to)
	}
	if lost > excused {
		l.fault(&l.Lost, lost-excused, "%d messages from %d on did not come", lost-excused, first)
	}
}

// judgeReceiver judges all lanes of a receiver, in the order of sources.
func (j *judge) judgeReceiver(sources []addr.Addr, accepted func(addr.Addr) uint64) []verdict {
	excuses := uint64(0)
	if j.recv && j.life > 1 {
		excuses = uint64(j.life - 1)
	}
	var list []verdict
	for _, src := range sources {
		list = append(list, j.verdict(src, accepted(src), &excuses))
	}
	return list
}

// String says what is wrong, or how much was right.
func (v verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d accepted, %d came, %d again", v.Accepted, v.Came, v.Again)
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{v.Lost, "lost"}, {v.Doubled, "doubled"}, {v.Disorder, "out of order"}, {v.Torn, "torn"}, {v.Reported, "in reported gaps"},
		{v.Beyond, "never accepted"}, {v.Renumbered, "renumbered"}, {v.Excused, "taken by receivers that were killed"},
	} {
		if x.n > 0 {
			fmt.Fprintf(&b, ", %d %s", x.n, x.what)
		}
	}
	if v.First != "" {
		fmt.Fprintf(&b, "; first: %s", v.First)
	}
	return b.String()
}
