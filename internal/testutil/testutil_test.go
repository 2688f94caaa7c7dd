// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fakeTest records what is reported to it, and runs its cleanups when asked.
type fakeTest struct {
	testing.TB
	logs, errors []string
	cleanups     []func()
}

func (f *fakeTest) Helper()                    {}
func (f *fakeTest) Name() string               { return "TestFake" }
func (f *fakeTest) Logf(s string, args ...any) { f.logs = append(f.logs, fmt.Sprintf(s, args...)) }
func (f *fakeTest) Errorf(s string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(s, args...))
}
func (f *fakeTest) Error(args ...any)            { f.errors = append(f.errors, fmt.Sprint(args...)) }
func (f *fakeTest) Fatalf(s string, args ...any) { f.Errorf(s, args...) }
func (f *fakeTest) Cleanup(fn func())            { f.cleanups = append(f.cleanups, fn) }

func (f *fakeTest) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

func TestSeedIsReplayed(t *testing.T) {
	t.Setenv(SeedVariable, "")
	first := &fakeTest{TB: t}
	seed := Seed(first)
	if again := Seed(first); again != seed {
		t.Errorf("one test got the seeds %d and %d", seed, again)
	}
	hint := fmt.Sprintf("%s=%d", SeedVariable, seed)
	if len(first.logs) != 1 || !strings.Contains(first.logs[0], hint) {
		t.Errorf("logged %q, want one line with %q", first.logs, hint)
	}
	first.end()
	if other := Seed(&fakeTest{TB: t}); other == seed {
		t.Errorf("two tests got the seed %d", seed)
	}
	t.Setenv(SeedVariable, fmt.Sprint(seed))
	if other := Seed(&fakeTest{TB: t}); other != seed {
		t.Errorf("replayed %d as %d", seed, other)
	}
	t.Setenv(SeedVariable, "0xff")
	if other := Seed(&fakeTest{TB: t}); other != 255 {
		t.Errorf("took 0xff for %d", other)
	}
	t.Setenv(SeedVariable, "many")
	bad := &fakeTest{TB: t}
	Seed(bad)
	if len(bad.errors) != 1 {
		t.Errorf("a seed that is no number gave the errors %q", bad.errors)
	}
}

func TestRandYieldsTheSameNumbersTwice(t *testing.T) {
	a, b := Rand(t), Rand(t)
	for range 100 {
		if x, y := a.Uint64(), b.Uint64(); x != y {
			t.Fatalf("%d and %d", x, y)
		}
	}
}

func TestDirIsRemoved(t *testing.T) {
	f := &fakeTest{TB: t}
	dir := Dir(f)
	if err := os.WriteFile(filepath.Join(dir, "lane"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(dir) != sharedMemory {
		t.Skipf("%s cannot be written to: the directory is one of the test", sharedMemory)
	}
	f.end()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if len(f.errors) > 0 {
		t.Errorf("reported %q", f.errors)
	}
}

func TestDirWithoutSharedMemory(t *testing.T) {
	dir := dirIn(t, filepath.Join(t.TempDir(), "missing"), 0)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("no directory: %v", err)
	}
}

func TestDirReportsWhatStaysElsewhere(t *testing.T) {
	f, top := &fakeTest{TB: t}, t.TempDir()
	mkdir(t, top, "skybus-old")
	dirIn(f, top, 20*time.Millisecond)
	mkdir(t, top, "skybus-1000")
	mkdir(t, top, "skybus-test-of-another-process")
	mkdir(t, top, "unrelated")
	f.end()
	if len(f.errors) != 1 || !strings.Contains(f.errors[0], filepath.Join(top, "skybus-1000")) {
		t.Errorf("reported %q, want skybus-1000 alone", f.errors)
	}
}

func TestDirWaitsForWhatIsGoing(t *testing.T) {
	f, top := &fakeTest{TB: t}, t.TempDir()
	dirIn(f, top, settleTime)
	passing := mkdir(t, top, "skybus-passing")
	gone := time.AfterFunc(50*time.Millisecond, func() { _ = os.Remove(passing) })
	defer gone.Stop()
	f.end()
	if len(f.errors) > 0 {
		t.Errorf("reported %q, which went away", f.errors)
	}
}

func mkdir(t *testing.T, top, name string) string {
	t.Helper()
	path := filepath.Join(top, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNoLeaksReportsAGoroutine(t *testing.T) {
	f := &fakeTest{TB: t}
	defer func(was time.Duration) { leakPatience = was }(leakPatience)
	leakPatience = 0
	NoLeaks(f)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		<-stop
		close(stopped)
	}()
	f.end()
	close(stop)
	<-stopped
	if len(f.errors) != 1 {
		t.Errorf("reported %q, want one leak", f.errors)
	}
}

func TestNoLeaksIsContent(t *testing.T) {
	NoLeaks(t)
	done := make(chan struct{})
	go close(done)
	<-done
}

func TestClock(t *testing.T) {
	NoLeaks(t)
	began := time.Now() // before the clock: it may be ahead of this goroutine
	c := StartClock()
	for c.ticks.Load() < 10 {
		time.Sleep(clockTick)
	}
	counted := c.Stop()
	if took := time.Since(began); counted < 10*clockTick || counted > took {
		t.Errorf("counted %v of %v", counted, took)
	}
}
