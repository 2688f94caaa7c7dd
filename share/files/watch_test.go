// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const every = time.Second

// A watched file is looked at every second of virtual time, half a second after
// each of which the test acts.
type watched struct {
	t    *testing.T
	path string
	f    *File[int]

	mu   sync.Mutex
	errs []error
}

// watching runs a test with a file n.json of the number 1, long unchanged.
func watching(t *testing.T, test func(w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, path: file(t, "n.json", "1")}
		date(t, w.path, time.Now().Add(-time.Hour))
		w.f = load[int](t, w.path, OnError(w.report))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.f.Watch(ctx, every) }()
		time.Sleep(every / 2)
		test(w)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
}

func (w *watched) report(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

// looks lets a number of looks pass, and wants the table to have a version with
// a value after them, and errors to have been reported.
func (w *watched) looks(n, version, value, errs int) {
	w.t.Helper()
	time.Sleep(time.Duration(n) * every)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.f.Table().Load()
	if v.Number() != uint64(version) || v.Value() != value || len(w.errs) != errs {
		w.t.Errorf("version %d is %d, with %d errors %v; want %d, %d, %d", v.Number(), v.Value(), len(w.errs), w.errs, version, value, errs)
	}
}

// old writes the file anew and gives it a time long ago, one that is not that of
// the file before.
func (w *watched) old(text string, put func(testing.TB, string, string)) {
	w.t.Helper()
	put(w.t, w.path, text)
	date(w.t, w.path, time.Now().Add(-30*time.Minute))
}

func TestWatchSeesChanges(t *testing.T) {
	watching(t, func(w *watched) {
		w.looks(3, 1, 1, 0)
		w.old("22", write)
		w.looks(1, 1, 1, 0) // it might still be written to
		w.looks(1, 2, 22, 0)
		w.old("33", replace)
		w.looks(2, 3, 33, 0)
		w.looks(10, 3, 33, 0)
	})
}

func TestWatchWaitsForTheWriter(t *testing.T) {
	watching(t, func(w *watched) {
		for n := range 5 {
			write(t, w.path, "123"[:1+n%3])
			date(t, w.path, time.Now().Add(-time.Duration(n+1)*time.Minute))
			w.looks(1, 1, 1, 0)
		}
		w.looks(1, 2, 12, 0)
	})
}

func TestWatchReportsEachBadContentOnce(t *testing.T) {
	watching(t, func(w *watched) {
		w.old("x", replace)
		w.looks(5, 1, 1, 1)
		w.old("x", replace) // another file of the same content
		w.looks(5, 1, 1, 1)
		if !errors.Is(w.f.Err(), ErrSyntax) {
			t.Errorf("the file has the error %v", w.f.Err())
		}
		w.old(`"y"`, replace)
		w.looks(5, 1, 1, 2)
		w.old("2", replace)
		w.looks(5, 2, 2, 2)
		if w.f.Err() != nil {
			t.Errorf("the file has the error %v", w.f.Err())
		}
		w.old("x", replace)
		w.looks(5, 2, 2, 3)
		wantError(t, w.errs[0], ErrSyntax, 1, w.path)
		wantError(t, w.errs[1], ErrValue, 1, w.path)
		wantError(t, w.errs[2], ErrSyntax, 1, w.path)
	})
}

func TestWatchOfAFileThatIsAway(t *testing.T) {
	watching(t, func(w *watched) {
		away := filepath.Join(filepath.Dir(w.path), "away")
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		move(w.path, away)
		w.looks(1, 1, 1, 0) // an editor may be at work
		move(away, w.path)
		w.looks(3, 1, 1, 0)
		move(w.path, away)
		w.looks(5, 1, 1, 1)
		wantError(t, w.errs[0], fs.ErrNotExist, 0, w.path)
		wantError(t, w.f.Err(), fs.ErrNotExist, 0, w.path)
		move(away, w.path)
		w.looks(3, 1, 1, 1)
		if w.f.Err() != nil {
			t.Errorf("the file is back and has the error %v", w.f.Err())
		}
	})
}

// A second change within the step of the file system's clock shows in nothing
// but the content.
func TestWatchReadsAFreshFileAgain(t *testing.T) {
	watching(t, func(w *watched) {
		now := time.Now()
		write(t, w.path, "2")
		date(t, w.path, now.Add(every)) // a second before it is read
		w.looks(2, 2, 2, 0)
		write(t, w.path, "3")
		date(t, w.path, now.Add(every))
		w.looks(1, 3, 3, 0)
		w.looks(2, 3, 3, 0)
		write(t, w.path, "4")
		date(t, w.path, now.Add(every)) // by now nobody who writes gets that time
		w.looks(3, 3, 3, 0)
	})
}

// A fresh file is read at each look, and judged once.
func TestWatchJudgesABadContentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t, "n.json", "1")
		date(t, path, time.Now().Add(-time.Hour))
		var judged atomic.Int32
		f := load[int](t, path, Validate(func(n int) error {
			if judged.Add(1); n < 1 {
				return errHP
			}
			return nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		write(t, path, "0")
		date(t, path, time.Now())
		if err := f.Watch(ctx, 100*time.Millisecond); err != nil {
			t.Error(err)
		}
		if n := judged.Load(); n != 2 || !errors.Is(f.Err(), errHP) {
			t.Errorf("judged %d times, want 2 for two contents; %v", n, f.Err())
		}
	})
}

func TestWatchFollowsALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "n.json")
	point := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		write(t, path, text)
		if err := os.Symlink(path, link+"~"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"~", link); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		point("first", "1")
		f := load[int](t, link)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Watch(ctx, every) }()
		time.Sleep(every / 2)
		point("second", "2")
		time.Sleep(2 * every)
		synctest.Wait()
		if n := f.Table().Get(); n != 2 {
			t.Errorf("got %d, want 2", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWatchWithoutAnInterval(t *testing.T) {
	f := load[int](t, file(t, "n.json", "1"))
	wantError(t, f.Watch(t.Context(), 0), ErrOption, 0, "watch every 0s, want more than 0")
}
