// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// logKept is how many bytes of a daemon's log an error shows.
const logKept = 2 << 10

// A daemon is a relay daemon that runs, or has run.
type daemon struct {
	cmd   *exec.Cmd
	log   tail
	began time.Time
	ended time.Time
	done  chan struct{}
	err   error // how it ended, valid when done is closed
}

// startDaemon runs path with args.
func startDaemon(path string, args []string) (*daemon, error) {
	d := &daemon{cmd: exec.Command(path, args...), began: time.Now(), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.WaitDelay = &d.log, &d.log, time.Second
	endWithParent(d.cmd)
	started := make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that started a process for the
		// parent's: it has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			d.wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	return d, nil
}

func (d *daemon) wait() {
	d.err = d.cmd.Wait()
	d.ended = time.Now()
	close(d.done)
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// stop asks the daemon to end, and kills it when it does not in time. It returns
// an error if the end was not a clean one.
func (d *daemon) stop(patience time.Duration) error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-d.done:
	case <-time.After(patience):
		d.kill()
		return fmt.Errorf("the daemon did not end %v after SIGTERM%s", patience, d.said())
	}
	if d.err != nil {
		return fmt.Errorf("the daemon ended: %w%s", d.err, d.said())
	}
	return nil
}

func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.done
}

// alive returns an error if the daemon has ended.
func (d *daemon) alive() error {
	select {
	case <-d.done:
		if d.err == nil {
			return fmt.Errorf("the daemon ended%s", d.said())
		}
		return fmt.Errorf("the daemon ended: %w%s", d.err, d.said())
	default:
		return nil
	}
}

// said is the end of the log, to be put behind an error.
func (d *daemon) said() string {
	text := d.log.text()
	if text == "" {
		return ""
	}
	return "; its log ends: " + text
}

// busy waits for the end and returns how many processors the daemon kept busy
// over its life.
func (d *daemon) busy() float64 {
	<-d.done
	st := d.cmd.ProcessState
	return (st.UserTime() + st.SystemTime()).Seconds() / d.ended.Sub(d.began).Seconds()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards kept
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - logKept; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}

// both joins what two things have to say, each with its host's name.
func both(what func(i int) error) error {
	var list []error
	for i, host := range hostNames {
		if err := what(i); err != nil {
			list = append(list, fmt.Errorf("host %s: %w", host, err))
		}
	}
	return errors.Join(list...)
}
