// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/actor/actortest"
	"github.com/skybus-io/skybus/internal/testutil"
)

const output = `5 players have come 5000 times
INCR without a key: true
`

func TestOutput(t *testing.T) {
	testutil.NoLeaks(t)
	var b strings.Builder
	if err := run(&b, ""); err != nil {
		t.Fatal(err)
	}
	if want := output + "the server has had 1 connection\n"; b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

// TestOutputWithRedis is TestOutput with a real server, where there is one.
func TestOutputWithRedis(t *testing.T) {
	testutil.NoLeaks(t)
	var b strings.Builder
	if err := run(&b, realRedis(t)); err != nil {
		t.Fatal(err)
	}
	if b.String() != output {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), output)
	}
}

// realRedis starts a server at a socket of its own, and ends it with the test.
func realRedis(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "redis") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if nc, err := net.Dial("unix", socket); err == nil {
			nc.Close()
			return "unix:" + socket
		}
	}
	t.Fatal("redis-server does not listen")
	return ""
}

// services starts a client of the server at an address; "": of one of its own.
func services(t *testing.T, at string) (rt *actor.Runtime, redis, own actor.PID) {
	t.Helper()
	testutil.NoLeaks(t)
	rt = actortest.New(t, actor.Config{})
	var err error
	if at == "" {
		if own, err = rt.Start(t.Context(), actor.Spec{New: newServer}); err != nil {
			t.Fatal(err)
		}
		if at, err = actor.AskRuntime[string](t.Context(), rt, own, where{}); err != nil {
			t.Fatal(err)
		}
	}
	if redis, err = rt.Start(t.Context(), actor.Spec{New: newClient(at)}); err != nil {
		t.Fatal(err)
	}
	return rt, redis, own
}

// TestCommands asks the small server, and a real one if there is one, the same: they answer the same.
func TestCommands(t *testing.T) {
	t.Run("small", func(t *testing.T) { commands(t, "") })
	t.Run("real", func(t *testing.T) { commands(t, realRedis(t)) })
}

func commands(t *testing.T, at string) {
	rt, redis, _ := services(t, at)
	binary := "\r\n$5\r\n\x00\xff" + strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		command Command
		want    any
		err     string
	}{
		{Command{"PING"}, "PONG", ""},
		{Command{"ECHO", ""}, "", ""},
		{Command{"GET", "nothing"}, nil, ""},
		{Command{"SET", "k", binary}, "OK", ""},
		{Command{"get", "k"}, binary, ""},
		{Command{"INCR", "n"}, int64(1), ""},
		{Command{"INCR", "n"}, int64(2), ""},
		{Command{"INCR", "k"}, nil, "ERR value is not an integer or out of range"},
		{Command{"MGET", "n", "nothing", "k"}, []any{"2", nil, binary}, ""},
		{Command{"DEL", "n", "k", "nothing"}, int64(2), ""},
		{Command{"INCR"}, nil, "ERR wrong number of arguments for 'incr' command"},
		{Command{"NONSENSE", "x"}, nil, "ERR unknown command"},
		{Command{}, nil, "an empty command"},
	} {
		got, err := rt.Call(t.Context(), redis, test.command)
		text := fmt.Sprint(err)
		if !reflect.DeepEqual(got, test.want) || (err != nil) != (test.err != "") || !strings.Contains(text, test.err) && err != nil {
			t.Errorf("%.50q: got %.50v, %v, want %.50v, %q", test.command, got, err, test.want, test.err)
		}
	}
}

// TestRepliesGoToWhoHasAsked has many ask at once, some of whom give up, and some that only send.
func TestRepliesGoToWhoHasAsked(t *testing.T) {
	rt, redis, own := services(t, "")
	const askers, each = 20, 100
	errs := make(chan error, askers)
	for i := range askers {
		go func() {
			for j := range each {
				want := fmt.Sprintf("%d.%d %s", i, j, strings.Repeat("x", (i*j)%5000))
				ctx, cancel := context.WithCancel(context.Background())
				switch i {
				case 0:
					cancel()
				case 1:
					time.AfterFunc(100*time.Microsecond, cancel)
				case 2:
					if err := rt.Send(ctx, redis, Command{"ECHO", want}); err != nil {
						errs <- err
						cancel()
						return
					}
				}
				got, err := rt.Call(ctx, redis, Command{"ECHO", want})
				cancel()
				if got != want && (i > 1 || !errors.Is(err, context.Canceled)) {
					errs <- fmt.Errorf("asker %d: got %.50v, %w, want %.50s", i, got, err, want)
					return
				}
			}
			errs <- nil
		}()
	}
	for range askers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n, err := actor.AskRuntime[int](t.Context(), rt, own, conns{}); n != 1 || err != nil {
		t.Errorf("%d connections, %v, want 1", n, err)
	}
}

// gone asks a client whether it knows that its server has hung up.
type gone struct{}

// TestServerGoesAway has a server that hangs up: what was under way fails, and the next command dials again.
func TestServerGoesAway(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	testutil.NoLeaks(t)
	rt := actortest.New(t, actor.Config{})
	r, m := &client{address: ln.Addr().String()}, new(actor.Mux)
	actor.On(m, r.command)
	actor.Serve(m, func(*actor.Context, gone) (bool, error) { return r.n == nil || r.n.Err() != nil, nil })
	redis, err := rt.Start(t.Context(), actor.Spec{New: func() actor.Handler { return m }})
	if err != nil {
		t.Fatal(err)
	}
	accept := func(want, answer string) net.Conn {
		nc, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return nil
		}
		b := make([]byte, len(want))
		if _, err := io.ReadFull(nc, b); err != nil || string(b) != want {
			t.Errorf("the server has read %q, %v", b, err)
		}
		_, _ = io.WriteString(nc, answer)
		return nc
	}
	const ping = "*1\r\n$4\r\nPING\r\n"
	for _, test := range []struct {
		answer string
		want   error
	}{
		{"", io.EOF},
		{"+PO", io.ErrUnexpectedEOF},
		{"$4\r\nPO", io.ErrUnexpectedEOF},
		{"HTTP/1.0 400\r\n", errProtocol},
		{"+PONG\r\n", nil}, // and hangs up while nobody asks
		{"+PONG\r\n", nil},
	} {
		done := make(chan error, 1)
		go func() {
			_, err := rt.Call(context.Background(), redis, Command{"PING"})
			done <- err
		}()
		nc := accept(ping, test.answer)
		if test.want == nil {
			if err := <-done; err != nil {
				t.Errorf("after %q: %v", test.answer, err)
			}
		}
		nc.Close()
		if test.want != nil {
			if err := <-done; !errors.Is(err, test.want) {
				t.Errorf("after %q: %v, want %v", test.answer, err, test.want)
			}
		}
		for end := time.Now().Add(90 * time.Second); ; time.Sleep(time.Millisecond) {
			known, err := actor.AskRuntime[bool](t.Context(), rt, redis, gone{})
			if known {
				break
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("after %q: the client does not see that the server has hung up: %v", test.answer, err)
			}
		}
	}
}

// TestStopWaitsForReplies stops the client while it has asked.
func TestStopWaitsForReplies(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	rt, redis, _ := services(t, ln.Addr().String())
	done := make(chan error, 1)
	go func() {
		v, err := rt.Call(context.Background(), redis, Command{"PING"})
		if v != "PONG" && err == nil {
			err = fmt.Errorf("got %v", v)
		}
		done <- err
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, 14)); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- rt.Stop(context.Background(), redis) }()
	for {
		if i, _ := rt.Info(redis); i.State == "draining" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(nc, "+PONG\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-done, <-stopped); err != nil {
		t.Error(err)
	}
}
