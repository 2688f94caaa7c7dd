// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// Watchers and Look beside a stream that does not wait for them. What they read
// may be overwritten meanwhile: that is what R12 is about, and what the race
// detector reports.
func TestWatchersBesideALiveStreamReturnWholeRecords(t *testing.T) {
	if raceEnabled {
		t.Skip("reads bytes while they are overwritten, and throws them away")
	}
	seed := testutil.Seed(t)
	records := streamRecords() / 10
	for _, size := range []int{1 << 10, 1 << 14} {
		r := region(t, size, 1)
		var group sync.WaitGroup
		for _, f := range []func() error{
			func() error { return watchAll(r, seed, false) },
			func() error { return watchAll(r, seed, true) },
			func() error { return lookAll(r) },
		} {
			group.Go(func() {
				if err := f(); err != nil {
					t.Error(err)
				}
			})
		}
		stream(t, r, seed, records)
		group.Wait()
	}
}

// watchAll compares what a watcher sees with what the seed says.
func watchAll(r Region, seed uint64, fromTail bool) error {
	w, err := NewWatcher(r, fromTail)
	if err != nil {
		return err
	}
	src := source{seed: seed, max: MaxPayload(r.Size())}
	var buf []byte
	for next := w.Seq(); ; {
		rec, missed, ok, err := w.Next(buf)
		switch {
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil:
			return err
		case !ok:
			runtime.Gosched()
			continue
		case rec.Seq != next+missed:
			return fmt.Errorf("record %d where %d was expected, %d missed", rec.Seq, next, missed)
		}
		if err := src.check(rec.Seq, rec.Data); err != nil {
			return err
		}
		next, buf = rec.Seq+1, rec.Data
	}
}

// lookAll demands that what Look says is possible, and only grows.
func lookAll(r Region) error {
	var last State
	for !last.Closed {
		s, err := Look(r)
		if errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		if s.NextSeq < last.NextSeq || s.Tail < last.Tail || s.Released < last.Released || s.Claimed > s.Tail || s.NextSeq != s.HeadSeq+s.Records {
			return fmt.Errorf("state %+v after %+v", s, last)
		}
		last = s
		runtime.Gosched()
	}
	return nil
}
