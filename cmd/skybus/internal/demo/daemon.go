// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// daemonName is what the relay daemon's binary is called.
const daemonName = "skybusd"

// logKept is how many bytes of a daemon's log are kept: the last ones.
const logKept = 2 << 10

// daemon returns the path of the relay daemon's binary, or where it is missing.
func (o *Options) daemon() (string, error) {
	path := o.Daemon
	if path == "" {
		exe, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("%s: find out where this program is: %w", daemonName, err)
		}
		path = filepath.Join(filepath.Dir(exe), daemonName)
	}
	if filepath.Base(path) == path {
		path = "." + string(filepath.Separator) + path // a file, not something in PATH
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("there is no %s at %s: %w", daemonName, path, bare(err))
	}
	return path, nil
}

// bare is what is wrong with a program, without its path.
func bare(err error) error {
	var program *exec.Error
	if errors.As(err, &program) {
		err = program.Err
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		err = file.Err
	}
	return err
}

// A daemon is a relay daemon that runs, or has run. It is a process.
type daemon struct {
	cmd  *exec.Cmd
	log  tail
	done chan struct{}
	err  error // how it ended, valid when done is closed
}

// startDaemon runs the binary at path.
func startDaemon(path string, args []string) (*daemon, error) {
	d := &daemon{cmd: exec.Command(path, args...), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.WaitDelay = &d.log, &d.log, time.Second
	bindToParent(d.cmd)
	started := make(chan error)
	go func() {
		// To the kernel the parent is the thread that has started the process: it
		// has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := d.cmd.Start()
		if started <- err; err == nil {
			d.err = d.cmd.Wait()
			close(d.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	return d, nil
}

// PID returns the number of the process.
func (d *daemon) PID() int { return d.cmd.Process.Pid }

// Done is closed when the process has ended.
func (d *daemon) Done() <-chan struct{} { return d.done }

// Err waits for the end and returns nil if that was an exit with status 0,
// otherwise how it ended, and the end of its log.
func (d *daemon) Err() error {
	<-d.done
	if text := d.log.text(); d.err != nil && text != "" {
		return fmt.Errorf("%w; its log ends: %s", d.err, text)
	}
	return d.err
}

// Kill kills the process as kill -9 does and waits until it is gone.
func (d *daemon) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.done
}

// Stop asks the daemon to end in good order and waits for that; it is killed when
// it has not ended in time. It returns what Err returns.
func (d *daemon) Stop(patience time.Duration) error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-d.done:
	case <-time.After(patience):
		d.Kill()
	}
	return d.Err()
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
