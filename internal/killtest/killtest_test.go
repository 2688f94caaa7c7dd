// SPDX-License-Identifier: Apache-2.0

//go:build linux

package killtest_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/killtest"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{
		"parrot": func(args []byte) error {
			greeting, err := killtest.Args[string](args)
			fmt.Println(greeting)
			for in := bufio.NewScanner(os.Stdin); in.Scan(); {
				fmt.Println(in.Text())
			}
			return err
		},
		"failing": func([]byte) error { return errors.New("it failed") },
		"marking": func(args []byte) error {
			path, err := killtest.Args[string](args)
			if err != nil {
				return err
			}
			r, err := killtest.OpenReceived(path, 1, 100)
			if err != nil {
				return err
			}
			if err := r.Mark(0, 1, false, false); err != nil {
				return err
			}
			fmt.Println("marked")
			select {}
		},
	})
	os.Exit(m.Run())
}

func received(t *testing.T) *killtest.Received {
	t.Helper()
	r, err := killtest.OpenReceived(filepath.Join(t.TempDir(), "received"), 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// TestMarkFindsWhatMayNotBe: the numbers of one lane, + for a flag.
func TestMarkFindsWhatMayNotBe(t *testing.T) {
	tests := []struct {
		name    string
		numbers string
		gaps    bool
		want    string // of the last number
	}{
		{"in order", "1 2 3", false, ""},
		{"again, flagged", "1 2 1+ 2+ 3", false, ""},
		{"first time, flagged", "1+ 2", false, ""},
		{"again, unflagged", "1 2 2", false, "comes again without a flag"},
		{"again, unflagged, after a flag", "1+ 1", false, "comes again without a flag"},
		{"a gap", "1 3", false, "a gap"},
		{"a gap at the start", "2", false, "a gap"},
		{"a gap where messages may die", "1 3 4", true, ""},
		{"again, where messages may die", "1 3 3", true, "comes again without a flag"},
		{"out of order", "1 3 2", true, "out of order"},
		{"number 0", "0", false, "has room for 1 to 100"},
		{"beyond the ledger", "101", true, "has room for 1 to 100"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := received(t)
			words := strings.Fields(test.numbers)
			for i, word := range words {
				digits, flagged := strings.CutSuffix(word, "+")
				var n uint64
				if _, err := fmt.Sscan(digits, &n); err != nil {
					t.Fatal(err)
				}
				err := r.Mark(1, n, flagged, test.gaps)
				if want := test.want; want == "" || i < len(words)-1 {
					if err != nil {
						t.Errorf("%s: %v", word, err)
					}
				} else if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got the error %v, want one with %q", word, err, want)
				}
			}
			if r.Last(0) != 0 {
				t.Error("another lane was marked")
			}
		})
	}
}

func TestTally(t *testing.T) {
	r := received(t)
	for _, n := range []uint64{1, 2, 4, 5, 6} {
		if err := r.Mark(0, n, false, true); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := r.Mark(0, 2, true, true); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := r.Tally(0, 5), (killtest.Tally{Messages: 4, Missing: 1, Again: 1, Beyond: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := r.Tally(0, 8), (killtest.Tally{Messages: 5, Missing: 3, Again: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestResume(t *testing.T) {
	s, err := killtest.OpenSent(filepath.Join(t.TempDir(), "sent"), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Attempt(1, 5)
	s.Accept(1, 3)
	for last, ok := range map[uint64]bool{2: false, 6: false} {
		if err := s.Resume(1, last); (err == nil) != ok {
			t.Errorf("%d: %v", last, err)
		}
	}
	if err := s.Resume(1, 4); err != nil || s.Accepted(1) != 4 || s.Attempted(1) != 5 || s.Accepted(0) != 0 {
		t.Errorf("accepted %d of %d: %v", s.Accepted(1), s.Attempted(1), err)
	}
}

func TestPayloadsDiffer(t *testing.T) {
	const most = 1000
	sizes := map[int]bool{}
	for n := uint64(1); n <= 500; n++ {
		p := killtest.Payload(7, 3, n, most)
		sizes[len(p)] = true
		if err := killtest.CheckPayload(p, 7, 3, n, most); err != nil || len(p) > most {
			t.Fatalf("%d bytes: %v", len(p), err)
		}
		if len(p) < 8 {
			continue
		}
		if killtest.CheckPayload(p, 7, 3, n+1, most) == nil || killtest.CheckPayload(p, 7, 4, n, most) == nil {
			t.Errorf("message %d is like another one", n)
		}
		torn := append([]byte(nil), p...)
		torn[len(p)-1]++
		if err := killtest.CheckPayload(torn, 7, 3, n, most); err == nil || !strings.Contains(err.Error(), "is torn") {
			t.Errorf("a torn message gives %v", err)
		}
	}
	if len(sizes) < 50 {
		t.Errorf("%d sizes", len(sizes))
	}
}

func TestProcessAnswersAndIsKilled(t *testing.T) {
	p := killtest.Start(t, "parrot", "hello")
	if line := p.Line(); line != "hello" {
		t.Errorf("it says %q", line)
	}
	p.Tell("again")
	if line := p.Line(); line != "again" {
		t.Errorf("it says %q", line)
	}
	p.Signal(syscall.SIGSTOP)
	if p.Gone() {
		t.Error("a stopped process is gone")
	}
	p.Kill()
	if !p.Killed() || !p.Gone() || syscall.Kill(p.PID(), 0) == nil {
		t.Error("it lives")
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestProcessThatFails(t *testing.T) {
	p := killtest.Start(t, "failing", nil)
	for end := time.Now().Add(90 * time.Second); !p.Gone() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "it failed") || p.Killed() {
		t.Errorf("got the error %v", err)
	}
	good := killtest.Start(t, "parrot", "")
	good.In.Close()
	if err := good.Wait(); err != nil || good.Killed() {
		t.Errorf("a good end gives %v", err)
	}
}

// TestLedgerOutlivesItsWriter: what was marked is there, however the process ended.
func TestLedgerOutlivesItsWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	p := killtest.Start(t, "marking", path)
	p.Line()
	p.Kill()
	r, err := killtest.OpenReceived(path, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Last(0) != 1 || r.Tally(0, 1).Messages != 1 {
		t.Error("the mark is gone")
	}
}
