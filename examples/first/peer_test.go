// SPDX-License-Identifier: Apache-2.0

package first

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A peer is what the test talks with in lines: a program, or a connection. It ends with the test at the latest.
type peer struct {
	name  string
	in    io.WriteCloser
	lines chan string // what it says; closed at its end
	end   func()      // may be called again
}

// start starts a program of the page on the bus of this place.
func (p *place) start(t *testing.T, name string, args ...string) *peer {
	t.Helper()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Env = append(os.Environ(), "SKYBUS_ROOT="+p.root)
	complaints := new(bytes.Buffer)
	cmd.Stderr = complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return newPeer(t, name+" "+strings.Join(args, " "), in, out, func() {
		_ = cmd.Process.Kill()
	}, func() {
		_ = cmd.Wait()
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("%s %q has said:\n%s", name, args, complaints)
		}
	})
}

// connect connects with a gate, as nc does.
func connect(t *testing.T, gate string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", gate)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, "client", c, c, func() { _ = c.Close() }, func() {})
}

// newPeer reads out until that ends. kill brings that about, and after is called behind it.
func newPeer(t *testing.T, name string, in io.WriteCloser, out io.Reader, kill, after func()) *peer {
	t.Helper()
	p := &peer{name: name, in: in, lines: make(chan string)}
	gone, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			select {
			case p.lines <- lines.Text():
			case <-gone:
				return
			}
		}
	}()
	ended := false
	p.end = func() {
		if ended {
			return
		}
		ended = true
		kill()
		close(gone)
		<-read
		after()
	}
	t.Cleanup(p.end)
	return p
}

func (p *peer) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// expect fails the test unless p says these lines next.
func (p *peer) expect(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got, ok := <-p.lines; !ok || got != want {
			t.Fatalf("%s: %.80q (there: %v), want %q", p.name, got, ok, want)
		}
	}
}

// until returns the next line that is as it should be; those before do not matter.
func (p *peer) until(t *testing.T, is func(string) bool) string {
	t.Helper()
	for line := range p.lines {
		if is(line) {
			return line
		}
	}
	t.Fatalf("%s has ended", p.name)
	return ""
}

// address returns where a gate lets clients in: its first line says so.
func (p *peer) address(t *testing.T) string {
	t.Helper()
	at, ok := strings.CutPrefix(p.until(t, func(string) bool { return true }), "clients: ")
	if !ok {
		t.Fatalf("%s does not say where it listens", p.name)
	}
	return at
}
