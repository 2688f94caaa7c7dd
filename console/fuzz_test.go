// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/skybus-io/skybus/actor"
)

// A script is a connection whose other side has sent all it will, and reads all.
type script struct {
	io.Reader
	out    bytes.Buffer
	closed bool
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { s.closed = true; return nil }
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "near"} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "far"} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// answers is how many answers a text gets, the greeting among them.
func answers(text string, longest int) int {
	n, l := 1, newLines(strings.NewReader(text), longest)
	for first := true; ; {
		line, err := l.next()
		var long *lineTooLong
		switch {
		case errors.As(err, &long):
			n++
		case err != nil:
			return n
		case strings.Trim(line, blanks) == "":
		default:
			n++
			if strings.Trim(line, blanks) == "exit" || first && isHTTP(line) {
				return n
			}
			first = false
		}
	}
}

// FuzzConnection feeds a connection with bytes: each line has one answer, and what
// goes out is text that cannot drive a terminal.
func FuzzConnection(f *testing.F) {
	for _, text := range []string{
		"list\nexit\n", "stat\r\nstat :1\r\ntask stack\r\n", "\xff\xfb\x01help\r\x00", "call echo {\"a\": [1]}\ncall echo \"OK\\nERROR\"\n",
		"prompt on\n\nping echo\nprompt off\n", "GET / HTTP/1.1\r\n\r\n", "send echo 1e999\nkill echo\nstop echo\n", "cmd SETENV a b\ncmd GETENV a\nsay 'a b' \"c\n",
		"timeout 1ms\nprofile on\nnames .e\nnetstat\nmem\ngc", "say \x1b]0;x\a\nlaunch echo x\n", strings.Repeat("y", 300) + "\nexit",
	} {
		f.Add(text)
	}
	const name = "fuzzed console"
	f.Fuzz(func(t *testing.T, text string) {
		rt := actor.New(actor.Config{Workers: 1})
		defer rt.Close()
		echo := actor.Spec{Name: "echo", New: actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) })}
		if _, err := rt.Spawn(echo); err != nil {
			t.Fatal(err)
		}
		rt.Factory("echo", func(string) (actor.Spec, error) { return echo, nil })
		say := func(_ context.Context, w io.Writer, args []string) error {
			_, err := io.WriteString(w, strings.Join(args, "\n"))
			return err
		}
		k, err := New(rt, Config{Name: name, MaxLine: 256, MaxOutput: 4096, Commands: []Command{{"say", "", say}}})
		if err != nil {
			t.Fatal(err)
		}
		s := &script{Reader: strings.NewReader(text)}
		k.newConn(s, s.LocalAddr()).serve(t.Context())
		out := s.out.String()
		if !s.closed || !utf8.ValidString(out) {
			t.Fatalf("%q: closed %v, %q", text, s.closed, out)
		}
		got := 0
		for line := range strings.Lines(strings.ReplaceAll(out, name+"> ", "")) {
			line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
			if isStatus(line) {
				got++
			}
			if clean(line, true) != line {
				t.Errorf("%q: the line %q went out", text, line)
			}
		}
		if want := answers(text, 256); got != want {
			t.Errorf("%q: %d answers, want %d: %q", text, got, want, out)
		}
	})
}
