// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// noLeaks fails the test if goroutines, namespaces or processes of its labs stay.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		err := goleak.Find(before)
		for end := time.Now().Add(patience); err != nil && time.Now().Before(end); { // they have time to end
			err = goleak.Find(before)
		}
		if err != nil {
			t.Error(err)
		}
		if left := spaces(t); len(left) > 0 {
			t.Errorf("namespaces are left: %q", left)
		}
	})
}

// spaces lists the namespaces that this process has made.
func spaces(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(fmt.Sprintf("%s/skybus-%d-*", namespaces, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// pair makes a lab of hosts a and b with a server on b and a client on a that
// are connected.
func pair(t *testing.T) (l *Lab, client, server *peer) {
	t.Helper()
	noLeaks(t)
	l = New(t, "a", "b")
	server = start(t, l, "b", "server")
	if line := server.line(); line != "listening" {
		t.Fatalf("the server says %q", line)
	}
	client = start(t, l, "a", "client")
	client.want("dial "+l.Address("b")+port, "dialed")
	client.echoes(server, "hello")
	return l, client, server
}

// echoes: a line goes there and back.
func (p *peer) echoes(server *peer, line string) {
	p.t.Helper()
	p.want("say "+line, "said")
	if got := server.line(); got != "got "+line {
		p.t.Errorf("the server says %q", got)
	}
	p.want("hear", "heard "+line)
}

// TestHosts: addresses, processes that are the program itself, files that all see.
func TestHosts(t *testing.T) {
	noLeaks(t)
	l := New(t, "a", "b")
	if a, b := l.Address("a"), l.Address("b"); a != "10.77.0.1" || b != "10.77.0.2" {
		t.Errorf("the addresses are %s and %s", a, b)
	}
	p := start(t, l, "a", "idle")
	if line := p.line(); line != fmt.Sprint(p.pid) {
		t.Errorf("the process that was started is %d, the program %s", p.pid, line)
	}
	path := filepath.Join(t.TempDir(), "file")
	if text, err := l.Command("b", "sh", "-c", "echo here >"+path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "here\n" {
		t.Errorf("a host wrote %q: %v", text, err)
	}
	var exit *exec.ExitError
	if err := l.Command("a", "sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("a program that ends with 7: %v", err)
	}
	if err := l.Command("a", "/no/such/program").Run(); err == nil {
		t.Error("a program that is not there was run")
	}
	if err := l.Command("a", "no-such-program-in-the-path").Run(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestHostsAreApart: each has its own loopback, and what listens on one is not
// to be had on another.
func TestHostsAreApart(t *testing.T) {
	l, _, server := pair(t)
	other := start(t, l, "a", "client")
	if got := other.ask("dial 127.0.0.1" + port); !strings.Contains(got, "refused") {
		t.Errorf("a's loopback: %q", got)
	}
	if got := other.ask("dial " + l.Address("a") + port); !strings.Contains(got, "refused") {
		t.Errorf("a's own address: %q", got)
	}
	local := start(t, l, "b", "client")
	local.want("dial 127.0.0.1"+port, "dialed")
	local.echoes(server, "on the same host")
}

// TestTwoLabs: two of the same names do not see each other.
func TestTwoLabs(t *testing.T) {
	l, _, _ := pair(t)
	other := New(t, "a", "b")
	if l.Address("b") != other.Address("b") {
		t.Fatal("the labs have different addresses")
	}
	c := start(t, other, "a", "client")
	if got := c.ask("dial " + other.Address("b") + port); !strings.Contains(got, "refused") {
		t.Errorf("the other lab's b: %q", got)
	}
}

// TestPartition: nothing comes, nothing is closed, and after it the same
// connection brings what was sent meanwhile.
func TestPartition(t *testing.T) {
	for _, host := range []string{"a", "b"} {
		t.Run(host, func(t *testing.T) {
			l, client, server := pair(t)
			l.Partition(host)
			client.want("say meanwhile", "said")
			client.want("hush", "nothing")
			late := start(t, l, "a", "client")
			if got := late.ask("try " + l.Address("b") + port); !strings.Contains(got, "timeout") {
				t.Errorf("a new connection: %q", got)
			}
			l.Heal(host)
			if got := server.line(); got != "got meanwhile" {
				t.Errorf("the server says %q", got)
			}
			client.want("hear", "heard meanwhile")
			client.echoes(server, "afterwards")
		})
	}
}

// TestOneWay: what the host sends is dropped, what is sent to it arrives.
func TestOneWay(t *testing.T) {
	l, client, server := pair(t)
	l.OneWay("b")
	client.want("say to b", "said")
	if got := server.line(); got != "got to b" {
		t.Errorf("the server says %q", got)
	}
	client.want("hush", "nothing")
	l.Heal("b")
	client.want("hear", "heard to b")

	l.OneWay("a")
	client.want("say to b again", "said")
	client.want("hush", "nothing")
	l.Partition("a")
	l.OneWay("b") // both
	client.want("hush", "nothing")
	l.Heal("b")
	l.Heal("a")
	client.want("hear", "heard to b again")
	if got := server.line(); got != "got to b again" {
		t.Errorf("the server says %q", got)
	}
}

// TestCut: two hosts lose each other, and each has the third one.
func TestCut(t *testing.T) {
	noLeaks(t)
	l := New(t, "a", "b", "c")
	b := start(t, l, "b", "server")
	b.line()
	a, c := start(t, l, "a", "client"), start(t, l, "c", "client")
	for _, client := range []*peer{a, c} {
		client.want("dial "+l.Address("b")+port, "dialed")
		client.echoes(b, "hello")
	}
	l.Cut("a", "b")
	a.want("say one", "said")
	a.want("hush", "nothing")
	c.echoes(b, "two")
	other := start(t, l, "c", "server")
	other.line()
	second := start(t, l, "a", "client")
	second.want("dial "+l.Address("c")+port, "dialed")
	second.echoes(other, "three")
	l.Heal("b")
	if got := b.line(); got != "got one" {
		t.Errorf("the server says %q", got)
	}
	a.want("hear", "heard one")
}

// TestNetem: bytes come as they were sent, and the kernel has seen what was done
// to the packets on their way.
func TestNetem(t *testing.T) {
	l, client, _ := pair(t)
	stream := func(words string) time.Duration {
		t.Helper()
		l.Netem("b", strings.Fields(words)...)
		answer := client.ask("stream")
		took, err := time.ParseDuration(answer)
		if err != nil {
			t.Fatalf("%s: %s", words, answer)
		}
		return took
	}
	// A good wire loses nothing. The kernel also sends again what the wire, a part of this program, brings late because it had no turn.
	sentAgain := func() uint32 { return client.info().Total_retrans }
	for end := time.Now().Add(patience); ; {
		before := sentAgain()
		stream("")
		after := sentAgain()
		if after == before {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a good wire: %d packets were sent again in the last stream", after-before)
		}
	}
	good := sentAgain()
	stream("loss 3%")
	if after := sentAgain(); after == good {
		t.Error("loss: nothing was sent again")
	}
	stream("duplicate 50%")
	if after := client.info(); after.Dsack_dups == 0 {
		t.Errorf("duplicate: %+v", after)
	}
	before := client.info().Rcv_ooopack
	stream("delay 3ms reorder 25%")
	if after := client.info(); after.Rcv_ooopack == before {
		t.Errorf("reorder: %+v", after)
	}
	if took, least := stream("rate 16mbit limit 5000"), streamSize*8*time.Second/16e6; took < least {
		t.Errorf("%d bytes took %v, want at least %v", streamSize, took, least)
	}
	if took := stream("delay 20ms"); took < 40*time.Millisecond {
		t.Errorf("there and back took %v, want at least 40ms", took)
	}
	l.Calm("b")
	client.want("say at last", "said")
	client.want("hear", "heard at last")
}

// TestNetemEverything: all at once, at both ends.
func TestNetemEverything(t *testing.T) {
	l, client, _ := pair(t)
	for _, host := range []string{"a", "b"} {
		l.Netem(host, "loss", "1%", "delay", "2ms", "1ms", "reorder", "25%", "duplicate", "1%", "rate", "50mbit")
	}
	if answer := client.ask("stream"); strings.HasPrefix(answer, "error") {
		t.Error(answer)
	}
	l.Calm("a")
	l.Calm("b")
	client.want("say at last", "said")
	client.want("hear", "heard at last")
}

// A fakeTest is a test that may fail, or be skipped, without an end of the real one.
type fakeTest struct {
	testing.TB
	fatal, skip string
	cleanups    []func()
}

// ended is how a fakeTest leaves the code that was tested.
type ended struct{}

func (f *fakeTest) Helper()                   {}
func (f *fakeTest) Cleanup(fn func())         { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTest) Fatalf(s string, a ...any) { f.fatal = fmt.Sprintf(s, a...); panic(ended{}) }
func (f *fakeTest) Skipf(s string, a ...any)  { f.skip = fmt.Sprintf(s, a...); panic(ended{}) }
func (f *fakeTest) run(body func(testing.TB)) {
	defer func() {
		if r := recover(); r != nil && r != any(ended{}) {
			panic(r)
		}
		for _, fn := range slices.Backward(f.cleanups) {
			fn()
		}
	}()
	body(f)
}

// TestNothingIsLeft: a test that fails half way leaves no process and no
// namespace behind, also none that started others or does not want to end.
func TestNothingIsLeft(t *testing.T) {
	noLeaks(t)
	probe(t)
	var c *exec.Cmd
	f := &fakeTest{TB: t}
	f.run(func(t testing.TB) {
		l := New(t, "a", "b")
		c = l.Command("a", "sh", "-c", "trap '' TERM INT HUP; sleep 1000 & sleep 1000 & wait")
		if err := c.Start(); err != nil {
			t.Fatalf("%v", err)
		}
		h := l.host("a")
		for pids, err := h.pids(); len(pids) < 3; pids, err = h.pids() {
			if err != nil {
				t.Fatalf("%v", err)
			}
			time.Sleep(time.Millisecond)
		}
		l.Netem("a", "delay", "1h")
		l.Partition("b")
		t.Fatalf("half way")
	})
	if f.fatal != "half way" {
		t.Errorf("the test failed with %q", f.fatal)
	}
	if left := spaces(t); len(left) > 0 {
		t.Errorf("namespaces are left: %q", left)
	}
	_ = c.Wait()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("the process has ended by %v", status)
	}
}

// probe skips the test where there are no labs.
func probe(t *testing.T) {
	t.Helper()
	if err := usable(); err != nil {
		unavailable(t, err)
	}
}

// TestMistakes end the test and leave nothing behind, wherever they happen.
func TestMistakes(t *testing.T) {
	noLeaks(t)
	probe(t)
	tests := []struct {
		name string
		do   func(t testing.TB)
		want string
	}{
		{"two of a name", func(t testing.TB) { New(t, "a", "a") }, `host "a": want a name of its own`},
		{"a bad name", func(t testing.TB) { New(t, "a", "../b") }, `host "../b": want a name of its own`},
		{"no name", func(t testing.TB) { New(t, "") }, `host "": want`},
		{"too many", func(t testing.TB) { New(t, make([]string, maxHosts+1)...) }, "a lab of 251 hosts: want at most 250"},
		{"an unknown host", func(t testing.TB) { New(t, "a", "b").Partition("c") }, `no host "c": want one of a, b`},
		{"a host that cannot be cut", func(t testing.TB) { New(t, "a").Cut("a", "b") }, `no host "b": want one of a`},
		{"a command nowhere", func(t testing.TB) { New(t, "a").Command("x", "true") }, `no host "x"`},
		{"words that cannot be read", func(t testing.TB) { New(t, "a").Netem("a", "loss", "much") }, `loss: "much": want 0% to 100%`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeTest{TB: t}
			f.run(test.do)
			if !strings.Contains(f.fatal, test.want) {
				t.Errorf("the test failed with %q, want %q", f.fatal, test.want)
			}
		})
	}
}

// TestUnavailable: skipped, but not where nobody would notice.
func TestUnavailable(t *testing.T) {
	noLeaks(t)
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		t.Setenv("PATH", t.TempDir()) // no command ip
		f := &fakeTest{TB: t}
		f.run(func(t testing.TB) { New(t, "a") })
		if skipped, failed := f.skip != "", f.fatal != ""; skipped == failed || failed != (ci != "") {
			t.Errorf("CI=%q: failed %q, skipped %q", ci, f.fatal, f.skip)
		}
	}
}
