// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

const (
	tailPause  = 5 * time.Millisecond // between two looks at lanes that were quiet
	tailSearch = time.Second          // between two searches for lanes, if their number stays the same
	tailBatch  = 64                   // messages of one lane before the next has its turn
	tailTries  = 100                  // to open a lane that changes all the time
)

const tailHelp = `tail shows the messages of the lane from SRC to DST, or of all lanes that begin or
end at ADDR. It takes none, binds nothing and maps the lanes read-only: sender and
receiver cannot notice it. What they handle faster than tail looks it says it has
missed.

Without --follow it shows what waits now. With --follow it goes on until it is
interrupted, with the time at which it saw each message.

Text output is one line a message: source, destination, sequence, size, and the
payload with unprintable bytes escaped; "again" marks a message that is delivered
a second time. --json writes one object a line.`

// tailing is one run of tail.
type tailing struct {
	*app
	d       *skybus.Domain
	printer *printer
	args    []string
	keep    func(channel.LaneInfo) bool
	follow  bool
	fresh   bool // only what is sent from now on
	began   time.Time
	known   int // lanes of the domain at the last search
	watches map[channel.Pair]*watched
	order   []*watched
	buf     []byte
}

// watched is one lane that tail looks at.
type watched struct {
	*channel.Watch // nil once it has failed

	pair    channel.Pair
	created time.Time
	seen    uint64 // sequence shown last, or given up
	end     uint64 // without --follow: the sequence behind the last to be shown
}

func newTailCommand(a *app) *cobra.Command {
	t := &tailing{app: a, watches: map[channel.Pair]*watched{}}
	var output string
	cmd := &cobra.Command{
		Use:   "tail {SRC DST | ADDR}",
		Short: "Look at messages as they go by, without taking any",
		Long:  tailHelp,
		Example: `  skybus tail -k 1000 0.0.0.2                     what waits for it and from it
  skybus tail -k 1000 0.0.0.1 0.0.0.2 --follow    all that goes by`,
		Args:              takes(1, 2, "SRC DST or ADDR"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if t.fresh && !t.follow {
				return usagef("--new wants --follow")
			}
			if t.printer, err = a.newPrinter(output, true, t.follow); err != nil {
				return err
			}
			return t.run(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with what is sent, until interrupted")
	cmd.Flags().BoolVar(&t.fresh, "new", false, "leave out what waits already")
	outputFlag(cmd, &output)
	return cmd
}

func (t *tailing) run(ctx context.Context, args []string) (err error) {
	if t.d, err = t.openExisting(); err != nil {
		return err
	}
	defer t.d.Close()
	t.printer.format, t.args = t.d.FormatAddr, args
	if t.keep, err = chosen(t.d, args); err != nil {
		return err
	}
	defer t.closeAll()
	t.began = time.Now()
	if err := t.search(t.fresh); err != nil {
		return err
	}
	if !t.follow {
		return t.showWaiting()
	}
	return t.followAll(ctx)
}

// search opens the lanes that are new, lets go of those that were removed, and
// tells of what was missed in the others.
func (t *tailing) search(fromTail bool) error {
	if err := gone(t.d); err != nil {
		return err
	}
	t.known = t.d.Table().Info().Lanes
	lanes := readLanes(t.d, t.keep)
	if err := found(t.d, lanes, t.args); err != nil && !t.follow {
		return err
	}
	there := map[channel.Pair]bool{}
	for i := range lanes {
		l := &lanes[i]
		there[l.pair()] = true
		w := t.watches[l.pair()]
		if w == nil || !w.created.Equal(l.Created) {
			w = t.open(l, fromTail)
		}
		if err := t.giveUp(w, l.HeadSeq); err != nil {
			return err
		}
	}
	t.forget(there)
	return nil
}

// open begins to look at a lane. One that cannot be opened is reported, and done
// with.
func (t *tailing) open(l *lane, fromTail bool) *watched {
	w := &watched{pair: l.pair(), created: l.Created, end: l.NextSeq, seen: unknown}
	switch {
	case fromTail && l.NextSeq > 0:
		w.seen = l.NextSeq - 1
	case l.Created.After(t.began):
		w.seen = 0
	}
	var err error
	for range tailTries {
		if w.Watch, err = t.d.Table().Watch(w.pair, fromTail); !errors.Is(err, ring.ErrBusy) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		w.Watch = nil
		t.fail(w, err)
	}
	if old := t.watches[w.pair]; old != nil {
		old.close()
	}
	t.watches[w.pair] = w
	return w
}

// unknown is the sequence seen last where nothing was seen yet: what was taken
// before is not missed.
const unknown = ^uint64(0)

// giveUp tells of the messages before the one at the head that were taken
// unseen. A lane that could not be read has no head.
func (t *tailing) giveUp(w *watched, head uint64) error {
	missed := head - 1 - w.seen
	switch {
	case head == 0 || w.seen != unknown && head <= w.seen+1:
		return nil
	case w.seen == unknown:
		missed = 0
	}
	w.seen = head - 1
	if missed == 0 {
		return nil
	}
	return t.printer.missed(w.pair.Src, w.pair.Dst, missed)
}

// forget drops the lanes that are gone and puts the others in order.
func (t *tailing) forget(there map[channel.Pair]bool) {
	t.order = t.order[:0]
	for p, w := range t.watches {
		if !there[p] {
			w.close()
			delete(t.watches, p)
			continue
		}
		t.order = append(t.order, w)
	}
	sortPairs(t.order, func(w *watched) channel.Pair { return w.pair })
}

func (t *tailing) closeAll() {
	for _, w := range t.watches {
		w.close()
	}
}

func (w *watched) close() {
	if w.Watch != nil {
		w.Close()
		w.Watch = nil
	}
}

// showWaiting shows what each lane held when it was opened.
func (t *tailing) showWaiting() error {
	var failed error
	for _, w := range t.order {
		for more := true; more; {
			rec, ok, err := t.next(w)
			if err != nil {
				return err
			}
			more = ok && rec.Seq+1 < w.end
		}
		if w.Watch == nil {
			failed = errShown
		}
	}
	return failed
}

func (t *tailing) followAll(ctx context.Context) error {
	searched := time.Now()
	for ctx.Err() == nil {
		busy, err := t.round()
		if err != nil {
			return err
		}
		if time.Since(searched) > tailSearch || t.d.Table().Info().Lanes != t.known {
			if err := t.search(false); err != nil {
				return err
			}
			searched = time.Now()
		}
		if !busy {
			_ = pause(ctx, tailPause) // the loop asks ctx itself
		}
	}
	return t.search(false) // tells what was missed since
}

// round shows some messages of each lane; busy tells that there may be more.
func (t *tailing) round() (busy bool, err error) {
	for _, w := range t.order {
		for range tailBatch {
			_, ok, err := t.next(w)
			if err != nil {
				return false, err
			}
			if !ok {
				break
			}
			busy = true
		}
	}
	return busy, nil
}

// next shows the next message of a lane, if there is one. Damage ends the lane,
// not the others; an error is one of the output.
func (t *tailing) next(w *watched) (rec ring.Record, ok bool, err error) {
	if w.Watch == nil {
		return rec, false, nil
	}
	rec, _, ok, err = w.Next(t.buf)
	if err != nil {
		t.fail(w, err)
		return rec, false, nil
	}
	if !ok {
		return rec, false, nil
	}
	if err := t.giveUp(w, rec.Seq); err != nil {
		return rec, false, err
	}
	w.seen = rec.Seq
	t.buf = rec.Data
	m := skybus.Message{Src: w.pair.Src, Dst: w.pair.Dst, Seq: rec.Seq, Redelivered: rec.Flags&ring.FlagRedel != 0, Data: rec.Data}
	return rec, true, t.printer.print(m, rec.Flags&ring.FlagGap != 0)
}

func (t *tailing) fail(w *watched, err error) {
	t.warnf("%s: %s", t.d.Table().FormatPair(w.pair), printable(fmt.Sprint(err)))
	w.close()
}
