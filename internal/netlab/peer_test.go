// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable makes a copy of the test binary a peer on one of the hosts.
const roleVariable = "SKYBUS_NETLAB_ROLE"

const (
	port = ":4100"

	// patience is far more than anything here takes, and hush how long a peer
	// listens before it says that nothing comes.
	patience = 90 * time.Second
	hush     = 300 * time.Millisecond
)

func TestMain(m *testing.M) {
	roles := map[string]func() error{"server": server, "client": client, "idle": idle}
	name, ok := os.LookupEnv(roleVariable)
	if !ok {
		os.Exit(m.Run())
	}
	if err := roles[name](); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// idle waits until it is killed. It says which process it is.
func idle() error {
	fmt.Println(os.Getpid())
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// server sends back what it gets, from any number of connections, and says each
// line that it gets first.
func server() error {
	l, err := net.Listen("tcp4", port)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for r := bufio.NewReader(c); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if len(line) < 80 { // not of those that are only many
					fmt.Printf("got %s", line)
				}
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		}()
	}
}

// A caller is what a client does with its one connection.
type caller struct {
	c *net.TCPConn
	r *bufio.Reader
}

// client does what it is told, line by line, and answers with a line each.
func client() error {
	p := caller{}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, rest, _ := strings.Cut(in.Text(), " ")
		answer, err := "", error(nil)
		switch verb {
		case "dial":
			answer, err = p.dial(rest, patience)
		case "try":
			answer, err = p.dial(rest, hush)
		case "say":
			answer, err = "said", p.say(rest)
		case "hear":
			answer, err = p.hear(patience)
		case "hush":
			answer, err = p.hear(hush)
		case "stream":
			answer, err = p.stream()
		case "info":
			answer, err = p.info()
		}
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(answer)
	}
	return nil
}

func (p *caller) dial(address string, limit time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp4", address, limit)
	if err != nil {
		return "", err
	}
	p.c = c.(*net.TCPConn)
	p.r = bufio.NewReader(c)
	return "dialed", nil
}

func (p *caller) say(line string) error {
	_, err := io.WriteString(p.c, line+"\n")
	return err
}

// hear returns the next line that comes, or that none has come.
func (p *caller) hear(limit time.Duration) (string, error) {
	if err := p.c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	line, err := p.r.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) && line == "" {
		return "nothing", nil
	}
	return "heard " + strings.TrimSuffix(line, "\n"), err
}

// streamSize is how much stream sends: enough that each fault happens.
const streamSize = 1 << 20

// stream sends many bytes and compares those that come back.
func (p *caller) stream() (string, error) {
	sent, line := &bytes.Buffer{}, make([]byte, 256)
	for rng := rand.New(rand.NewPCG(1, 2)); sent.Len() < streamSize; {
		for i := range line {
			line[i] = byte('a' + rng.IntN(26))
		}
		sent.Write(line)
		sent.WriteByte('\n')
	}
	start := time.Now()
	wrote := make(chan error, 1)
	go func() {
		_, err := p.c.Write(sent.Bytes())
		wrote <- err
	}()
	if err := p.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	got := make([]byte, sent.Len())
	if _, err := io.ReadFull(p.r, got); err != nil {
		return "", err
	}
	if err := <-wrote; err != nil {
		return "", err
	}
	if !bytes.Equal(got, sent.Bytes()) {
		return "", errors.New("other bytes came back")
	}
	return time.Since(start).String(), nil
}

// info returns what the kernel knows of the connection, as JSON.
func (p *caller) info() (string, error) {
	raw, err := p.c.SyscallConn()
	if err != nil {
		return "", err
	}
	var info *unix.TCPInfo
	err = errors.Join(raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}), err)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(info)
	return string(text), err
}

// A peer is a process of the test on one of the hosts.
type peer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	pid int
}

// start starts a peer, which the lab's end kills.
func start(t *testing.T, l *Lab, host, role string) *peer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := l.Command(host, self)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	c.Stdout, c.Stderr = w, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(c.Wait())
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		out.Close()
		<-ended
	})
	return &peer{t: t, in: in, out: bufio.NewReader(out), pid: c.Process.Pid}
}

// line is the next line that the peer says.
func (p *peer) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("a peer says nothing more: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ask tells the peer something and returns what it says to that.
func (p *peer) ask(words string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.in, words+"\n"); err != nil {
		p.t.Fatalf("ask %q: %v", words, err)
	}
	return p.line()
}

// want asks, and the answer has to be this one.
func (p *peer) want(words, answer string) {
	p.t.Helper()
	if got := p.ask(words); got != answer {
		p.t.Errorf("%s: got %q, want %q", words, got, answer)
	}
}

// info returns what the kernel knows of a client's connection.
func (p *peer) info() (info unix.TCPInfo) {
	p.t.Helper()
	text := p.ask("info")
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		p.t.Fatalf("info: %v: %s", err, text)
	}
	return info
}
