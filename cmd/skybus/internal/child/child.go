// SPDX-License-Identifier: Apache-2.0

// Package child runs this program again, as one part of a demonstration or a
// measurement that needs processes of its own.
//
// The parent starts a part with the arguments by which the program recognises it,
// and hands it a specification; the part takes it up with Begin:
//
//	p, err := child.Start([]string{"demo", "part"}, spec)   // the parent
//	ctx, err := child.Begin(&spec)                          // the part
//
// A part ends when its parent says so, and when its parent is gone, however that
// happened: its standard input ends then. Keys pressed in the terminal are the
// parent's business.
package child

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// errorText is how much of what a part writes to its standard error is kept.
const errorText = 4 << 10

// A Process is a part that runs, or has run.
type Process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   bytes.Buffer // complete when done is closed
	errs  head
	began time.Time
	ended time.Time
	done  chan struct{}
	err   error // how it ended, valid when done is closed
}

// Start runs this program with args and hands spec, as JSON, to its Begin.
func Start(args []string, spec any) (*Process, error) {
	line, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("start a part: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a part: %w", err)
	}
	p := &Process{cmd: exec.Command(exe, args...), done: make(chan struct{}), began: time.Now()}
	p.cmd.Args[0] = os.Args[0] // a program of several names goes by this one
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = &p.out, &p.errs, time.Second
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a part: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a part: %w", err)
	}
	_, _ = p.stdin.Write(append(line, '\n')) // that it died already, Err says
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.ended = time.Now()
	if err != nil && len(p.errs.text()) > 0 {
		err = fmt.Errorf("%w: %s", err, p.errs.text())
	}
	p.err = err
	close(p.done)
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end and returns nil if that was an exit with status 0,
// otherwise how it ended and what it said.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill kills the process as kill -9 does and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop asks the process to end and waits for that; it is killed when it has not
// ended in time. It returns what Err returns.
func (p *Process) Stop(patience time.Duration) error {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.Kill()
	}
	return p.Err()
}

// Result waits for the end and reads what the process printed, JSON, into v.
func (p *Process) Result(v any) error {
	if err := p.Err(); err != nil {
		return err
	}
	if err := json.Unmarshal(p.out.Bytes(), v); err != nil {
		return fmt.Errorf("what the part printed: %w", err)
	}
	return nil
}

// Busy waits for the end and returns how many processors the process kept busy
// over its life.
func (p *Process) Busy() float64 {
	<-p.done
	st := p.cmd.ProcessState
	return (st.UserTime() + st.SystemTime()).Seconds() / p.ended.Sub(p.began).Seconds()
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex // guards kept
	kept []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, b[:min(len(b), errorText-len(h.kept))]...)
	return len(b), nil
}

func (h *head) text() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.TrimSpace(h.kept)
}
