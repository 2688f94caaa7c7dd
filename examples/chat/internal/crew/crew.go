// SPDX-License-Identifier: Apache-2.0

// Package crew starts the processes of the chat as children of one, starts
// those again that die, and ends them all.
//
// A child runs the same program with other arguments. It says "ready" and what
// else there is to say on a line when it is, and ends when its standard input does: also when
// its parent is killed, no child is left.
package crew

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	firstPause = 100 * time.Millisecond // before a child is started again, doubled each time
	mostPause  = 5 * time.Second
	healthy    = 10 * time.Second // a child that has lived so long begins with the first pause again
	grace      = 5 * time.Second  // for a child to end by itself
)

// A Crew is a set of children. Any goroutine may use it.
type Crew struct {
	log     *slog.Logger
	program string
	out     io.Writer // the children's standard error
	grace   time.Duration
	mu      sync.Mutex
	members map[string]*member
	order   []*member // as they were started
}

type member struct {
	quit   context.Context // it is to end
	cancel context.CancelFunc
	over   chan struct{} // it has, for good

	args  []string
	said  string
	cmd   *exec.Cmd // nil: it is not there at the moment
	ready chan struct{}
	lives int
}

// New returns a crew without members. program is what its children run, out gets what they log: a file, or what several goroutines may write to.
func New(program string, out io.Writer, log *slog.Logger) *Crew {
	return &Crew{log: log, program: program, out: out, grace: grace, members: map[string]*member{}}
}

// Start starts a child and returns what it has said behind "ready". From then on it is started again whenever it
// ends, with next as arguments if that is not nil.
func (c *Crew) Start(name string, args, next []string) (said string, err error) {
	m := &member{args: args, ready: make(chan struct{}), over: make(chan struct{})}
	m.quit, m.cancel = context.WithCancel(context.Background())
	c.mu.Lock()
	_, taken := c.members[name]
	if !taken {
		c.members[name] = m
		c.order = append(c.order, m)
	}
	c.mu.Unlock()
	if taken {
		return "", fmt.Errorf("start %s: there is one already", name)
	}
	ended, err := c.run(m)
	if err != nil {
		close(m.over)
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	if next != nil {
		c.Again(name, next)
	}
	said = m.said
	go func() {
		defer close(m.over)
		c.watch(name, m, ended)
	}()
	return said, nil
}

// Again has a child be started with other arguments the next time.
func (c *Crew) Again(name string, args []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.members[name]; m != nil {
		m.args = args
	}
}

// run starts the process once and returns when it is ready. ended yields how it ended.
func (c *Crew) run(m *member) (ended func() error, err error) {
	c.mu.Lock()
	cmd := exec.Command(c.program, m.args...)
	c.mu.Unlock()
	cmd.Stderr = c.out
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(m.quit, func() { in.Close() })
	ended = func() error {
		_, _ = io.Copy(c.out, out)
		err := m.wait(cmd, c.grace)
		stop()
		in.Close()
		return err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	said, ok := strings.CutPrefix(strings.TrimSpace(line), "ready")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("it says %q, want ready", line), ended())
	}
	c.mu.Lock()
	m.cmd, m.said = cmd, strings.TrimSpace(said)
	m.lives++
	close(m.ready)
	c.mu.Unlock()
	return ended, nil
}

// wait waits for the end of a process, and kills it if that takes long although it was told to.
func (m *member) wait(cmd *exec.Cmd, grace time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-m.quit.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return errors.Join(fmt.Errorf("it did not end within %v and was killed", grace), cmd.Process.Kill(), <-done)
	}
}

// watch starts a child again whenever it ends.
func (c *Crew) watch(name string, m *member, ended func() error) {
	pause, began := firstPause, time.Now()
	for {
		err := ended()
		c.mu.Lock()
		m.gone()
		c.mu.Unlock()
		for {
			if m.quit.Err() != nil {
				return
			}
			if time.Since(began) > healthy {
				pause = firstPause
			}
			c.log.Warn("a process has ended and is started again", "name", name, "err", err, "in", pause)
			select {
			case <-m.quit.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, mostPause)
			began = time.Now()
			if ended, err = c.run(m); err == nil {
				break
			}
		}
	}
}

// Kill kills a child as kill -9 does. It is started again.
func (c *Crew) Kill(name string) (pid int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[name]
	if m == nil || m.cmd == nil {
		return 0, fmt.Errorf("kill %s: there is no such process at the moment", name)
	}
	p := m.cmd.Process
	m.gone()
	return p.Pid, p.Kill()
}

// gone notes that the process is not there.
func (m *member) gone() {
	if m.cmd != nil {
		m.cmd, m.ready = nil, make(chan struct{})
	}
}

// Ready waits until a child is there, and returns its process and how often it was started.
func (c *Crew) Ready(ctx context.Context, name string) (pid, lives int, err error) {
	for {
		c.mu.Lock()
		m := c.members[name]
		if m == nil {
			c.mu.Unlock()
			return 0, 0, fmt.Errorf("there is no %s", name)
		}
		if m.cmd != nil {
			pid, lives = m.cmd.Process.Pid, m.lives
			c.mu.Unlock()
			return pid, lives, nil
		}
		ready := m.ready
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		case <-ready:
		}
	}
}

// Close ends all children, those first that were started last, and returns when they are gone.
func (c *Crew) Close() {
	c.mu.Lock()
	order := c.order
	c.mu.Unlock()
	for _, m := range slices.Backward(order) {
		m.cancel()
		<-m.over
	}
}

// Child is the other side: it says ready, and returns when the parent wants the process to end, or is gone.
func Child(ctx context.Context, said string) error {
	if _, err := fmt.Println("ready", said); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}
