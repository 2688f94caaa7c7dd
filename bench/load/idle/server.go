// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
)

// server is the process that is measured; see load/server.hpp.
type server struct {
	cmd *exec.Cmd
	in  io.Closer
	to  io.Writer
	out *bufio.Reader
	at  string
}

func start(program, as, dir string) *server {
	s := &server{cmd: exec.Command(program, as, gateserver.Echo, dir)}
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := s.cmd.StdinPipe()
	peer.Must("pipe", err)
	out, err := s.cmd.StdoutPipe()
	peer.Must("pipe", err)
	peer.Must("start the server", s.cmd.Start())
	s.in, s.to, s.out = in, in, bufio.NewReader(out)
	at, ok := strings.CutPrefix(s.line(), "ready ")
	if !ok {
		peer.Die("the server does not say where it listens")
	}
	s.at = at
	return s
}

func (s *server) line() string {
	l, err := s.out.ReadString('\n')
	peer.Must("hear from the server", err)
	return strings.TrimSpace(l)
}

func (s *server) stop() {
	_ = s.in.Close()
	peer.Must("wait for the server", s.cmd.Wait())
}

// memory is what a process keeps, in bytes.
type memory struct {
	managed   float64 // heap and stacks in use
	anonymous float64 // in memory, for itself
}

// memory collects what is not in use, and looks.
func (s *server) memory() (m memory) {
	_, err := io.WriteString(s.to, "memory\n")
	peer.Must("ask the server", err)
	for _, field := range strings.Fields(s.line()) {
		name, text, _ := strings.Cut(field, "=")
		if name == "heap" || name == "stack" {
			v, err := strconv.ParseFloat(text, 64)
			peer.Must("read "+field, err)
			m.managed += v
		}
	}
	m.anonymous = anonymous(s.cmd.Process.Pid)
	return m
}

func anonymous(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	peer.Must("look at the server", err)
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	var kilobytes float64
	_, err = fmt.Sscan(rest, &kilobytes)
	peer.Must("find RssAnon", err)
	return kilobytes * 1024
}
