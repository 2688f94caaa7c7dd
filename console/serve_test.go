// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// pipes is a listener for connections in memory, which bubbles of synctest know.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	fail   error // of Accept, unless it is nil
	tries  int
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	if p.tries++; p.fail != nil {
		return nil, p.fail
	}
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr {
	c, _ := net.Pipe()
	return c.LocalAddr()
}

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// inBubble runs f with a console that serves pipes, in virtual time.
func inBubble(t *testing.T, cfg Config, f func(t *testing.T, k *Console, rt *actor.Runtime, ln *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Outside = true
		k, rt := newConsole(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ln, served := newPipes(), make(chan error)
		go func() { served <- k.Serve(ctx, ln) }()
		f(t, k, rt, ln)
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(k.attachments()); n > 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// dialogue writes a text and returns what comes until the connection ends.
func dialogue(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	wrote := make(chan struct{})
	go func() {
		_, _ = io.WriteString(c, text) // it may be cut off
		close(wrote)
	}()
	out, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	_ = c.Close()
	<-wrote
	return string(out)
}

// afterGreeting is what follows the greeting.
func afterGreeting(text string) string {
	_, rest, _ := strings.Cut(text, "OK\n")
	return rest
}

func TestDialogues(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ name, text, want string }{
		{"netcat", "timeout\nexit\n", "5s\nOK\nOK\n"},
		{"telnet", "timeout\r\nexit\r\n", "5s\r\nOK\r\nOK\r\n"},
		{"empty lines", "\n  \n\ntimeout\nexit\n", "5s\nOK\nOK\n"},
		{"a prompt", "prompt on\n\ntimeout\nprompt off\n\nexit\n", "OK\nskybus> skybus> 5s\nOK\nskybus> OK\nOK\n"},
		{"telnet that negotiates", "\xff\xfd\x03timeout\r\nexit\r\n", "5s\r\nOK\r\nskybus> OK\r\n"},
		{"a long line", long + "\ntimeout\nexit\n", "ERROR the line is longer than 32 bytes\n5s\nOK\nOK\n"},
		{"no text", "a\xc3b\n\x1b[A\nexit\n", "ERROR the line is no UTF-8: want text\nERROR the line has the control character '\\x1b' at byte 0: want text\nOK\n"},
		{"a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "ERROR a web browser, or what speaks HTTP, is not served\r\n"},
		{"a web page", "POST /kill HTTP/1.0\r\n\r\nkill :1\r\n", "ERROR a web browser, or what speaks HTTP, is not served\r\n"},
		{"no web page", "timeout\ncall x HTTP/1.1\nexit\n", "5s\nOK\nERROR call: name \"x\": no such service; want a name or a PID such as :1f\nOK\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config{MaxLine: 32}, func(t *testing.T, _ *Console, _ *actor.Runtime, ln *pipes) {
				if got := afterGreeting(dialogue(t, ln.dial(), c.text)); got != c.want {
					t.Errorf("%q: %q, want %q", c.text, got, c.want)
				}
			})
		})
	}
}

// readAnswer reads the lines up to the last one of an answer.
func readAnswer(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || isStatus(strings.TrimSuffix(line, "\n")) {
			return b.String()
		}
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	inBubble(t, Config{Idle: time.Minute}, func(t *testing.T, _ *Console, _ *actor.Runtime, ln *pipes) {
		began := time.Now()
		c := ln.dial()
		r := bufio.NewReader(c)
		readAnswer(t, r)
		time.Sleep(59 * time.Second)
		if _, err := io.WriteString(c, "timeout\n"); err != nil {
			t.Fatal(err)
		}
		readAnswer(t, r)
		for range 3 { // a line that comes in pieces is one line
			time.Sleep(15 * time.Second)
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if got := readAnswer(t, r); got != "ERROR no line came for 1m0s: the connection ends\n" {
			t.Errorf("%q", got)
		}
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("it goes on: %v", err)
		}
		if got := time.Since(began); got != 119*time.Second {
			t.Errorf("it ended after %v, want 59 s and a minute", got)
		}
	})
}

func TestIdleNever(t *testing.T) {
	inBubble(t, Config{Idle: -1}, func(t *testing.T, _ *Console, _ *actor.Runtime, ln *pipes) {
		c := ln.dial()
		defer c.Close()
		r := bufio.NewReader(c)
		readAnswer(t, r)
		time.Sleep(1000 * time.Hour)
		if _, err := io.WriteString(c, "timeout\n"); err != nil || readAnswer(t, r) != "5s\nOK\n" {
			t.Errorf("it does not go on: %v", err)
		}
	})
}

// TestSlowReaders: one who does not read is cut off, and others notice nothing.
func TestSlowReaders(t *testing.T) {
	inBubble(t, Config{Patience: 3 * time.Second}, func(t *testing.T, k *Console, rt *actor.Runtime, ln *pipes) {
		start(t, rt)
		began := time.Now()
		slow := ln.dial()
		defer slow.Close()
		readAnswer(t, bufio.NewReader(slow))
		if _, err := io.WriteString(slow, "list\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		quick := ln.dial()
		r := bufio.NewReader(quick)
		readAnswer(t, r)
		for range 10 {
			if _, err := io.WriteString(quick, "call echo 1\n"); err != nil || readAnswer(t, r) != "1\nOK\n" {
				t.Fatalf("another connection: %v", err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("others waited for %v", took)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(k.attachments()); n != 2 {
			t.Errorf("after 2 s there are %d connections, want 2", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if list := k.attachments(); len(list) != 1 || !strings.HasPrefix(list[0].Note, "#2, ") {
			t.Errorf("after 4 s there are %+v, want the quick one", list)
		}
		_ = quick.Close()
	})
}

func TestServeEndsCommandsOfTheProgram(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, k *Console, _ *actor.Runtime, ln *pipes) {
		wait := func(ctx context.Context, _ io.Writer, _ []string) error {
			<-ctx.Done()
			time.Sleep(time.Second) // Serve waits for it
			return ctx.Err()
		}
		if err := k.Register("wait", "", wait); err != nil {
			t.Fatal(err)
		}
		c := ln.dial()
		defer c.Close()
		readAnswer(t, bufio.NewReader(c))
		if _, err := io.WriteString(c, "wait\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if list := k.attachments(); len(list) != 1 || list[0].State != "runs wait" {
			t.Errorf("netstat: %+v", list)
		}
	})
}

func TestServeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newConsole(t, Config{Outside: true})
		ln, began := newPipes(), time.Now()
		ln.fail = errors.New("too many open files")
		if err := k.Serve(t.Context(), ln); !errors.Is(err, ln.fail) {
			t.Errorf("%v, want %v", err, ln.fail)
		}
		if took := time.Since(began); ln.tries != 11 || took < 5*time.Second {
			t.Errorf("it tried %d times in %v, want 11 with growing pauses", ln.tries, took)
		}
	})
}

func TestServeThatIsOverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newConsole(t, Config{Outside: true})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := k.Serve(ctx, newPipes()); err != nil {
			t.Error(err)
		}
		ln := newPipes()
		_ = ln.Close()
		if err := k.Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener that is closed: %v", err)
		}
	})
}

// patience is for commands that a slow machine is to have time for.
const patience = 90 * time.Second

// TestManyConnections has connections, services and commands come and go at once.
func TestManyConnections(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	k, rt := newConsole(t, Config{MaxConns: 50, Timeout: patience})
	start(t, rt)
	ln, err := k.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- k.Serve(ctx, ln) }()
	rt.Factory("echo", func(string) (actor.Spec, error) {
		return actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) })}, nil
	})
	var all sync.WaitGroup
	for i := range 50 {
		order := rng.Perm(8)
		all.Go(func() { talk(t, k, ln.Addr().String(), i, order) })
	}
	all.Wait()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if got := len(rt.Services()); got != 5 {
		t.Errorf("%d services are left, want the 5 of the beginning", got)
	}
}

// talk launches a service, calls and kills it, with other commands between.
func talk(t *testing.T, k *Console, address string, i int, order []int) {
	c, err := Dial(t.Context(), address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	do := func(line string) string {
		out, err := c.Do(t.Context(), line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		return out
	}
	pid := do("launch echo")
	others := []string{"list", "stat", "task stack", "names", "netstat", "help", "ping " + pid, "stat " + pid}
	for _, n := range order {
		do(others[n])
		if want := fmt.Sprint(i, " and ", n); do("call "+pid+" "+want) != want {
			t.Errorf("connection %d got another one's answer", i)
		}
	}
	name := fmt.Sprint("mine-", i)
	if err := k.Register(name, "", func(_ context.Context, w io.Writer, args []string) error {
		_, err := fmt.Fprintln(w, args[0], i)
		return err
	}); err != nil {
		t.Error(err)
	}
	if got, want := do(name+" hi"), fmt.Sprint("hi ", i); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
	do("stop " + pid)
}

func TestTooManyConnections(t *testing.T) {
	testutil.NoLeaks(t)
	k, _ := newConsole(t, Config{MaxConns: 2})
	address, first := open(t, k)
	dial(t, address)
	var answer *AnswerError
	if _, err := Dial(t.Context(), address); !errors.As(err, &answer) || answer.Text != "there are 2 connections already, which is the most: netstat lists them" {
		t.Errorf("the third: %v", err)
	}
	if _, err := first.Do(t.Context(), "exit"); err != nil {
		t.Fatal(err)
	}
	for len(k.attachments()) == 2 {
		time.Sleep(time.Millisecond)
	}
	dial(t, address)
}
