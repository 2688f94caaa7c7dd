// SPDX-License-Identifier: Apache-2.0

//go:build linux

package killtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	roleVariable = "SKYBUS_TEST_ROLE"
	argsVariable = "SKYBUS_TEST_ARGS"
)

// A Role is what a child process does. args is what Start was given, as JSON;
// Args reads it. An error fails the test.
type Role func(args []byte) error

// Main runs the role that this process was started in and then ends it. In the
// test's own process it returns at once.
func Main(roles map[string]Role) {
	name, ok := os.LookupEnv(roleVariable)
	if !ok {
		return
	}
	role := roles[name]
	if role == nil {
		fmt.Fprintf(os.Stderr, "no role is called %q\n", name)
		os.Exit(2)
	}
	if err := role([]byte(os.Getenv(argsVariable))); err != nil {
		fmt.Fprintf(os.Stderr, "%s %d: %v\n", name, os.Getpid(), err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Args reads a role's arguments.
func Args[T any](args []byte) (v T, err error) {
	err = json.Unmarshal(args, &v)
	return v, err
}

// A Process is a child of the test. One goroutine may use it. It ends with the
// test at the latest, and with the test's process, however that ends.
type Process struct {
	In  io.WriteCloser // its standard input
	Out *bufio.Reader  // its standard output, for answers

	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  *os.File // what it writes to standard error; the file has no name
	over bool
}

// A StartOption changes how a process is started.
type StartOption func(*exec.Cmd)

// Env adds a variable to the child's environment.
func Env(name, value string) StartOption {
	return func(c *exec.Cmd) { c.Env = append(c.Env, name+"="+value) }
}

// Attr lets f change the attributes of the process: namespaces, users.
func Attr(f func(*syscall.SysProcAttr)) StartOption {
	return func(c *exec.Cmd) { f(c.SysProcAttr) }
}

// TryStart starts this binary in a role.
func TryStart(t testing.TB, role string, args any, opts ...StartOption) (*Process, error) {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	p := &Process{t: t, name: role}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(self)
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, argsVariable+"="+string(text))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, o := range opts {
		o(p.cmd)
	}
	if err := p.start(); err != nil {
		if p.log != nil {
			p.log.Close()
		}
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	t.Cleanup(p.Kill)
	return p, nil
}

// Start is TryStart for what must work.
func Start(t testing.TB, role string, args any, opts ...StartOption) *Process {
	t.Helper()
	p, err := TryStart(t, role, args, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Process) start() (err error) {
	if p.log, err = os.CreateTemp("", "skybus-log-"); err != nil {
		return err
	}
	if err := os.Remove(p.log.Name()); err != nil {
		return err
	}
	p.cmd.Stderr = p.log
	if p.In, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.Out = bufio.NewReader(out)
	return p.cmd.Start()
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends sig to the process and to no other. After SIGSTOP it returns when the process has stopped, which takes a
// moment where it runs on another processor.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%s: signal %v: %v", p.name, sig, err)
	}
	for sig == syscall.SIGSTOP && !p.stands() {
		time.Sleep(time.Millisecond)
	}
}

// stands reports whether no thread of the process runs: all have stopped, or it is gone.
func (p *Process) stands() bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		state := text[bytes.LastIndexByte(text, ')')+1:] // behind the name, which may have any bytes
		if len(state) > 1 && !bytes.ContainsRune([]byte("TtZX"), rune(state[1])) {
			return false
		}
	}
	return true
}

// Kill ends the process by SIGKILL and waits until it is gone. It does nothing
// when the process has been waited for.
func (p *Process) Kill() {
	if p.over {
		return
	}
	p.Signal(syscall.SIGKILL)
	_ = p.Wait()
}

// Wait waits until the process is gone. It returns nil if it ended well or was
// killed, and otherwise an error with what it has written to standard error.
func (p *Process) Wait() error {
	if p.over {
		return nil
	}
	p.over = true
	err := p.cmd.Wait()
	text := make([]byte, 64<<10)
	n, _ := p.log.ReadAt(text, 0)
	p.log.Close()
	if err == nil || p.Killed() {
		return nil
	}
	return fmt.Errorf("%s: %w\n%s", p.name, err, text[:n])
}

// Killed reports whether the process, which is gone, was ended by SIGKILL.
func (p *Process) Killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Gone reports, without waiting, whether the process has ended by itself. It
// then still wants Wait.
func (p *Process) Gone() bool {
	if p.over {
		return true
	}
	// Not by its state in /proc: the first thread of a process in exec is a zombie there for as long as the others take to end.
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.PID(), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil && !errors.Is(err, unix.EINTR) || info.Signo != 0
}

// Line reads the next line of the process's standard output, without its end.
func (p *Process) Line() string {
	p.t.Helper()
	s, err := p.Out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%s: no answer: %v\n%v", p.name, err, p.Wait())
	}
	return strings.TrimSuffix(s, "\n")
}

// Tell writes a line to the process's standard input.
func (p *Process) Tell(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.In, line+"\n"); err != nil {
		p.t.Fatalf("%s: tell %q: %v\n%v", p.name, line, err, p.Wait())
	}
}
