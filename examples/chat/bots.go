// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/talk"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
)

// A load is bots that talk, and check what they hear.
type load struct {
	gates    []string
	bots     int
	rooms    int           // they are in, one each
	every    time.Duration // between two messages of a bot
	talk     time.Duration // how long they do
	patience time.Duration // for the last confirmations
}

func (l *load) flags(f *flag.FlagSet) {
	f.IntVar(&l.bots, "n", 200, "how many bots")
	f.IntVar(&l.rooms, "in", 4, "in how many rooms, lobby among them")
	f.DurationVar(&l.every, "every", time.Second, "`TIME` between two messages of a bot")
	f.DurationVar(&l.talk, "for", 10*time.Second, "`TIME` for which they talk")
	f.DurationVar(&l.patience, "patience", 30*time.Second, "`TIME` for the last confirmations")
}

// A verdict is what the bots have found.
type verdict struct {
	bots, said, saved int
	refused           int
	heard             uint64
	again, caught     uint64
	resumed           uint64
	sessions          int
	p50, p99, worst   time.Duration // from a message said to the same heard
	missing           int           // messages that were called saved, and are not in the history
	behind            int           // bots that have not heard the last message of their room
	faults            talk.Faults
}

// promises returns what does not hold.
func (v *verdict) promises() error {
	var errs []error
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{uint64(v.missing), "messages that were called saved are not in the history"},
		{uint64(v.said - v.saved - v.refused), "messages were accepted by nobody, or not saved in time"},
		{uint64(v.refused), "messages were refused"},
		{uint64(v.behind), "bots have not heard all that was said"},
		{v.faults.Doubled, "messages came twice"},
		{v.faults.Gaps, "times messages were left out"},
		{v.faults.Changed, "messages came back as others"},
		{v.faults.Malformed, "packets were none"},
	} {
		if p.n > 0 {
			errs = append(errs, fmt.Errorf("%d %s", p.n, p.what))
		}
	}
	return errors.Join(errs...)
}

func (v *verdict) print(w io.Writer) {
	fmt.Fprintf(w, "%d bots said %d messages, %d are saved; they heard %d, each once and in order\n", v.bots, v.said, v.saved, v.heard)
	fmt.Fprintf(w, "from said to heard: p50 %v, p99 %v, at most %v\n", v.p50.Round(10*time.Microsecond), v.p99.Round(10*time.Microsecond), v.worst.Round(time.Millisecond))
	fmt.Fprintf(w, "sessions %d, resumed %d times; %d messages came again, flagged; %d by history\n", v.sessions, v.resumed, v.again, v.caught)
	if err := v.promises(); err != nil {
		fmt.Fprintf(w, "NOT KEPT:\n%v\n", err)
	} else {
		fmt.Fprintln(w, "all promises kept: nothing lost, nothing twice, nothing out of order")
	}
}

// A bot is a talker with its connection.
type bot struct {
	*talk.Talker
	link *talk.Link
	room string
}

// run has the bots talk, calls during in a goroutine of its own when all are in their rooms, and judges.
func (l *load) run(ctx context.Context, during func() error) (v verdict, err error) {
	bots, err := l.enter(ctx)
	defer func() {
		for _, b := range bots {
			b.link.Close()
		}
	}()
	if err != nil {
		return v, err
	}
	disturbed := make(chan error, 1)
	go func() { disturbed <- during() }()
	l.chatter(ctx, bots)
	if err := <-disturbed; err != nil {
		return v, err
	}
	wait, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	for _, b := range bots {
		// Who runs out of patience is judged as it is.
		_ = b.Until(wait, func(s *talk.State) bool { return s.Unsaved() == 0 })
	}
	last := lasts(bots)
	for _, b := range bots {
		_ = b.Until(wait, func(s *talk.State) bool { return s.Rooms[b.room].Last >= last[b.room] })
	}
	v = judge(bots)
	for _, b := range bots {
		if s := b.State(); s.Rooms[b.room].Last < last[b.room] {
			v.behind++
		}
	}
	v.missing, err = l.audit(ctx, bots)
	return v, err
}

// enter connects all bots, and returns when they are in their rooms.
func (l *load) enter(ctx context.Context) (bots []*bot, err error) {
	for i := range l.bots {
		b := &bot{Talker: talk.New(fmt.Sprintf("bot-%d", i+1)), room: "lobby"}
		if r := i % l.rooms; r > 0 {
			b.room = fmt.Sprintf("bots-%d", r)
		}
		if b.link, err = talk.Connect(ctx, l.gates[i%len(l.gates)], b.Talker); err != nil {
			return bots, fmt.Errorf("bot %d: %w", i+1, err)
		}
		bots = append(bots, b)
		b.Join(b.room)
	}
	for _, b := range bots {
		if err := b.Until(ctx, func(s *talk.State) bool { return s.Rooms[b.room].Joined }); err != nil {
			return bots, err
		}
	}
	return bots, nil
}

// chatter has each bot say something each l.every, spread evenly, for l.talk; what is late for that, for the machine is busy, is said as well.
func (l *load) chatter(ctx context.Context, bots []*bot) {
	tick := time.NewTicker(max(l.every/time.Duration(len(bots)), 50*time.Microsecond))
	defer tick.Stop()
	at := func(d time.Duration) int { return int(d * time.Duration(len(bots)) / l.every) }
	for begin, said := time.Now(), 0; said < at(l.talk); {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := at(min(time.Since(begin), l.talk)); said < due; said++ {
			b := bots[said%len(bots)]
			b.Say(b.room, line())
		}
	}
}

// line returns something to say.
func line() string {
	words := []string{"a", "gate", "hums", "while", "rooms", "count", "their", "words", "and", "nothing", "is", "lost", "today", "巴士", "很快"}
	text := ""
	for range 3 + rand.IntN(6) {
		text += words[rand.IntN(len(words))] + " "
	}
	return text[:len(text)-1]
}

// lasts returns the number of the last message of each room, as those know that have said it.
func lasts(bots []*bot) map[string]uint64 {
	last := map[string]uint64{}
	for _, b := range bots {
		s := b.State()
		for i := range s.Own {
			last[s.Own[i].Room] = max(last[s.Own[i].Room], s.Own[i].N)
		}
	}
	return last
}

func judge(bots []*bot) (v verdict) {
	var delays []time.Duration
	for _, b := range bots {
		s := b.State()
		v.bots++
		v.heard += s.Counts.Messages
		v.again += s.Counts.Again
		v.caught += s.Counts.Caught
		v.sessions += s.Counts.Sessions
		v.resumed += b.link.Resumed()
		v.faults.Add(s.Faults)
		for i := range s.Own {
			v.said++
			switch o := &s.Own[i]; {
			case o.Failed != "":
				v.refused++
			case o.Saved:
				v.saved++
				delays = append(delays, o.Delay)
			}
		}
	}
	if n := len(delays); n > 0 {
		slices.Sort(delays)
		v.p50, v.p99, v.worst = delays[n/2], delays[n*99/100], delays[n-1]
	}
	return v
}

// audit reads the whole history of each room, and counts what was called saved and is not there with its number and text.
func (l *load) audit(ctx context.Context, bots []*bot) (missing int, err error) {
	byRoom := map[string]map[uint64]wire.Message{}
	for _, b := range bots {
		if byRoom[b.room] != nil {
			continue
		}
		if byRoom[b.room], err = history(ctx, cmp.Or(b.link.Gate(), l.gates[0]), b.room); err != nil {
			return 0, fmt.Errorf("history of %s: %w", b.room, err)
		}
	}
	for _, b := range bots {
		s := b.State()
		for i := range s.Own {
			o := &s.Own[i]
			if m := byRoom[o.Room][o.N]; o.Saved && (m.C != o.C || m.Text != o.Text) {
				missing++
			}
		}
	}
	return missing, nil
}

// history returns all messages of a room by their numbers, as a new client gets them from the store.
func history(ctx context.Context, gate, room string) (map[uint64]wire.Message, error) {
	t := talk.New("auditor")
	pages := make(chan *wire.Event, 16)
	t.Events = func(e *wire.Event) {
		if e.T == wire.Joined || e.T == wire.History || e.T == wire.Error {
			pages <- e
		}
	}
	link, err := talk.Connect(ctx, gate, t)
	if err != nil {
		return nil, err
	}
	defer link.Close()
	t.Join(room)
	all := map[uint64]wire.Message{}
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case e := <-pages:
			if e.T == wire.Error {
				return nil, errors.New(e.Why)
			}
			before := uint64(0)
			for _, m := range e.Messages {
				all[m.N] = m
				before = cmp.Or(before, m.N)
			}
			if before <= 1 {
				return all, nil
			}
			t.Ask(&wire.Request{T: wire.History, Room: room, Before: before, Limit: wire.MaxPage})
		}
	}
}

func bots(ctx context.Context, args []string) error {
	var l load
	f := newFlags("bots")
	l.flags(f)
	gates := f.String("gate", "127.0.0.1:7080", "`ADDRESSES` of gates, with commas between")
	if err := errors.Join(f.Parse(args), noArgs(f)); err != nil {
		return err
	}
	l.gates = splitList(*gates)
	if l.bots < 1 || l.rooms < 1 || l.every <= 0 || len(l.gates) == 0 {
		return fmt.Errorf("want -n and -in from 1, -every above 0, and a -gate")
	}
	v, err := l.run(ctx, func() error { return nil })
	if err != nil {
		return err
	}
	v.print(os.Stdout)
	return v.promises()
}
