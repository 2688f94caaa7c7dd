// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// Watch looks at the file at each interval, and loads it when it was changed or
// replaced. It returns nil when ctx is done, and an error at once if the interval
// is not positive.
//
// A look costs one system call. It sees a change by the time of the file, its
// size and which file it is, and takes it up when the look after it finds the
// same: after one to two intervals, and not while somebody goes on writing. A
// file that is away for one look, as an editor may have it, is no error yet.
// Errors keep the version before, go to [OnError], and are what [File.Err]
// returns. A file just changed is read again until two seconds are over, since
// its time may not show a second change.
//
// The path may be a symbolic link, and be pointed elsewhere.
func (f *File[T]) Watch(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		return optionError(f.path, "watch every %v, want more than 0", every)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var w watch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.report(f.opts.onError, f.look(&w))
		}
	}
}

// look looks at the file once.
func (f *File[T]) look(w *watch) seen {
	info, err := os.Stat(f.path)
	if !w.sameAsBefore(info, err) {
		return seen{unknown: true}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.awayLocked(systemError(f.path, err))
		return seen{err: f.err, key: f.errKey}
	}
	if f.settled && sameState(f.info, info) {
		return seen{unknown: true}
	}
	if _, err = f.loadLocked(); err == nil {
		return seen{}
	}
	return seen{err: err, key: f.errKey}
}

// seen is what a look found: a file that is loaded, an error, or nothing to say.
type seen struct {
	unknown bool
	err     error
	key     string // what the error is of
}

// watch is what a Watch knows from its looks before.
type watch struct {
	info     fs.FileInfo
	err      error
	reported string
}

// sameAsBefore reports whether two looks in a row saw the same.
func (w *watch) sameAsBefore(info fs.FileInfo, err error) bool {
	before, beforeErr := w.info, w.err
	w.info, w.err = info, err
	if err != nil || beforeErr != nil {
		return err != nil && beforeErr != nil && err.Error() == beforeErr.Error()
	}
	return before != nil && sameState(before, info)
}

// report passes an error on, once.
func (w *watch) report(onError func(error), s seen) {
	if s.unknown || s.key == w.reported {
		return
	}
	w.reported = s.key
	if s.err != nil && onError != nil {
		onError(s.err)
	}
}
