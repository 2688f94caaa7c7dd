// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

func init() {
	children["holder"] = holder
	children["counter"] = counter
}

// holder takes the lock of an address, says so and waits; with a third argument
// it starts a process of its own before, and says its PID.
func holder(args []string) error {
	l, err := OpenLocks(args[0], false, Keep)
	if err != nil {
		return err
	}
	a, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return err
	}
	ok, err := l.TryBind(uint32(a))
	if err != nil || !ok {
		return fmt.Errorf("bind %d: %v, %w", a, ok, err)
	}
	pid := os.Getpid()
	if len(args) > 2 {
		heir := exec.Command("sleep", "600")
		if err := heir.Start(); err != nil {
			return err
		}
		pid = heir.Process.Pid
	}
	fmt.Println(pid)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// hurried makes a child end at once: one that looks for races lingers for a second.
func hurried(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// newLocks makes a lock file, and opens it as another process would.
func newLocks(t *testing.T) (path string, l *Locks) {
	t.Helper()
	path = filepath.Join(testutil.Dir(t), "lock")
	return path, openLocks(t, path, true)
}

func openLocks(t *testing.T, path string, create bool) *Locks {
	t.Helper()
	l := must(OpenLocks(path, create, Keep))(t)
	t.Cleanup(l.Close)
	return l
}

func wantBind(t *testing.T, l *Locks, a uint32, want bool) {
	t.Helper()
	if ok := must(l.TryBind(a))(t); ok != want {
		t.Fatalf("bind %d: %v, want %v", a, ok, want)
	}
}

func wantBound(t *testing.T, l *Locks, a uint32, want bool) {
	t.Helper()
	if ok := must(l.Bound(a))(t); ok != want {
		t.Fatalf("%d is bound: %v, want %v", a, ok, want)
	}
}

func TestLocksOfOneProcess(t *testing.T) {
	path, l := newLocks(t)
	other := openLocks(t, path, false)
	const highest = 1<<32 - 1
	for _, a := range []uint32{0, 1, highest} {
		wantBound(t, l, a, false)
		wantBind(t, l, a, true)
		for _, l := range []*Locks{l, other} {
			wantBind(t, l, a, false)
			wantBound(t, l, a, true)
		}
		other.Unbind(a) // not its own
		wantBound(t, other, a, true)
		l.Unbind(a)
		l.Unbind(a)
		wantBound(t, other, a, false)
		wantBind(t, other, a, true)
		other.Unbind(a)
	}
}

// To ask never takes anything, however often somebody asks meanwhile.
func TestBoundDisturbsNobody(t *testing.T) {
	path, l := newLocks(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, asker := range []*Locks{l, openLocks(t, path, false)} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, errOne := asker.Bound(7)
				_, _, errAny := asker.AnyBound(0)
				if errOne != nil || errAny != nil {
					t.Error(errOne, errAny)
					return
				}
			}
		})
	}
	for range 2000 {
		wantBind(t, l, 7, true)
		l.Unbind(7)
	}
	close(stop)
	wg.Wait()
}

func TestAnyBound(t *testing.T) {
	path, l := newLocks(t)
	other := openLocks(t, path, false)
	want := func(from, addr uint32, held bool) {
		t.Helper()
		a, ok, err := l.AnyBound(from)
		check(t, err)
		if ok != held || held && a != addr {
			t.Errorf("from %d: %d, %v, want %d, %v", from, a, ok, addr, held)
		}
	}
	check(t, other.Change()) // the change lock is no address
	want(0, 0, false)
	wantBind(t, l, 5, true)
	wantBind(t, l, 6, true) // the kernel makes one lock of both
	want(0, 5, true)
	want(6, 6, true)
	want(7, 0, false)
	other.Changed()
	l.Unbind(5)
	l.Unbind(6)
	wantBind(t, other, 1<<32-1, true)
	want(0, 1<<32-1, true)
	other.Close()
	want(0, 0, false)
}

func TestLockIsExclusiveBetweenProcesses(t *testing.T) {
	path, l := newLocks(t)
	cmd, _ := start(t, "holder", path, "9")
	wantBind(t, l, 9, false)
	wantBound(t, l, 9, true)
	wantBind(t, l, 8, true)
	if a, held, err := openLocks(t, path, false).AnyBound(9); err != nil || !held || a != 9 {
		t.Errorf("bound from 9 on: %d, %v, %v", a, held, err)
	}
	kill(cmd)
	eventually(t, "free after its holder's death", func() bool { return must(l.TryBind(9))(t) })
	second := hurried(child("holder", path, "9"))
	second.Stderr = nil
	if out, err := second.Output(); err == nil {
		t.Errorf("another process got the lock as well: %q", out)
	}
}

// What the holder has started outlives it and has not inherited the lock.
func TestLockIsNotInherited(t *testing.T) {
	path, l := newLocks(t)
	cmd, line := start(t, "holder", path, "9", "with heir")
	heir := must(strconv.Atoi(line))(t)
	defer func() { _ = syscall.Kill(heir, syscall.SIGKILL) }()
	wantBound(t, l, 9, true)
	kill(cmd)
	eventually(t, "free after its holder's death", func() bool { return must(l.TryBind(9))(t) })
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", heir)); err != nil {
		t.Errorf("the holder's child is gone, so the test shows nothing: %s, %v", exe, err)
	}
}

const (
	countAt = 256 // in the segment: a number that only holders of the change lock touch
	rounds  = 200
)

// count adds one to a number in a way that loses some if two do it at once.
func count(l *Locks, s *Segment) error {
	for i := range rounds {
		if err := l.Change(); err != nil {
			return err
		}
		b := s.Mem()[countAt:]
		n := binary.LittleEndian.Uint64(b)
		if i%16 == 0 {
			time.Sleep(10 * time.Microsecond) // somebody else's turn, if the lock let them
		}
		binary.LittleEndian.PutUint64(b, n+1)
		l.Changed()
	}
	return nil
}

func counter(args []string) error {
	l, err := OpenLocks(args[0], false, Keep)
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := Open(args[1], testMagic, false)
	if err != nil {
		return err
	}
	defer s.Close()
	return count(l, s)
}

func TestChangeExcludes(t *testing.T) {
	path, l := newLocks(t)
	s := newSegment(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := count(l, s); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			if err := hurried(child("counter", path, s.Path())).Run(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := binary.LittleEndian.Uint64(s.Mem()[countAt:]); n != 5*rounds {
		t.Errorf("counted to %d, want %d", n, 5*rounds)
	}
}

func TestChangeWaits(t *testing.T) {
	path, l := newLocks(t)
	other := openLocks(t, path, false)
	check(t, l.Change())
	got := make(chan error, 1)
	go func() { got <- other.Change() }()
	select {
	case err := <-got:
		t.Fatalf("two have the change lock: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	l.Changed()
	check(t, <-got)
	other.Changed()
}

func TestCurrent(t *testing.T) {
	path, l := newLocks(t)
	want := func(l *Locks, want bool) {
		t.Helper()
		if ok := must(l.Current())(t); ok != want {
			t.Errorf("current: %v, want %v", ok, want)
		}
	}
	want(l, true)
	check(t, os.Rename(path, path+"-old"))
	want(l, false)
	fresh := openLocks(t, path, true)
	want(l, false)
	want(fresh, true)
	check(t, os.Rename(path, path+"-new"))
	check(t, os.Rename(path+"-old", path))
	want(l, true)
	want(fresh, false)
}

func TestLocksAfterClose(t *testing.T) {
	path, l := newLocks(t)
	other := openLocks(t, path, false)
	wantBind(t, l, 3, true)
	l.Close()
	wantBound(t, other, 3, false)
	if _, err := l.TryBind(4); err == nil {
		t.Error("closed locks can bind")
	}
	if err := l.Change(); err == nil {
		t.Error("closed locks can be changed")
	}
	if _, err := OpenLocks(path+"-not-there", false, Keep); !os.IsNotExist(err) {
		t.Errorf("got the error %v", err)
	}
}
