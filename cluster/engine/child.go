// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 10 * time.Second
	steady     = time.Minute      // a server that has run for so long is started again soon
	patience   = 10 * time.Second // with a server that is asked to end
)

// A child is a server process, started again whenever it ends. Any goroutine may call its methods.
type child struct {
	program []string
	prepare func(ctx context.Context) (file string, err error) // called before each start
	log     *slog.Logger
	stop    context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex // guards the following
	pid  int        // 0: it does not run
	last error      // why
}

func startChild(program []string, prepare func(context.Context) (string, error), l *slog.Logger) *child {
	ctx, stop := context.WithCancel(context.Background())
	k := &child{program: program, prepare: prepare, log: l, stop: stop, done: make(chan struct{})}
	go k.run(ctx)
	return k
}

// end has the server end, and waits for it.
func (k *child) end() {
	k.stop()
	<-k.done
}

// running returns the process's number, 0 with an error that may be nil if it does not run.
func (k *child) running() (pid int, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid, k.last
}

func (k *child) set(pid int, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pid, k.last = pid, why
}

func (k *child) run(ctx context.Context) {
	defer close(k.done)
	runtime.LockOSThread() // the child is killed when the thread ends that has started it
	defer runtime.UnlockOSThread()
	backoff := minBackoff
	for {
		began := time.Now()
		err := k.once(ctx)
		k.set(0, err)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			backoff = minBackoff
		}
		k.log.Error("the engine does not run; it is started again", "in", backoff, "error", err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// once runs the server until it ends. It always returns an error.
func (k *child) once(ctx context.Context) error {
	file, err := k.prepare(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, k.program[0], append(k.program[1:len(k.program):len(k.program)], "--config-file", file)...)
	cmd.SysProcAttr = sys.Child()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience // then it is killed
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		return errors.Join(err, r.Close())
	}
	k.set(cmd.Process.Pid, nil)
	k.log.Info("the engine is started", "pid", cmd.Process.Pid, "program", k.program[0])
	said := make(chan string, 1)
	go func() { said <- relayLog(ctx, r, k.log) }()
	err = cmd.Wait()
	last := <-said
	r.Close()
	if ctx.Err() != nil {
		k.log.Info("the engine has ended", "pid", cmd.Process.Pid)
		return ctx.Err()
	}
	if err == nil {
		err = errors.New("it has ended by itself")
	}
	if last != "" {
		err = fmt.Errorf("%w; it said last: %s", err, last)
	}
	return err
}

// maxLine is how much of a line of a server's log is kept, in bytes.
const maxLine = 16 << 10

// relayLog passes a server's log on, until that ends, and returns the last of its lines. What a server
// complains of while it is asked to end, when ctx is over, concerns nobody.
func relayLog(ctx context.Context, r io.Reader, l *slog.Logger) (last string) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, long, err := in.ReadLine()
		if line = bytes.TrimSpace(line); len(line) > 0 {
			last = relayLine(line, l, ctx.Err() != nil)
		}
		for long && err == nil { // what is left of it
			_, long, err = in.ReadLine()
		}
		if err != nil {
			return last
		}
	}
}

// idle are warnings of each start that are of no concern here: nobody uses HTTP, and there are no users.
var idle = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"simple token is not cryptographically signed":                                         true,
}

// relayLine passes a line on, and returns what it says.
func relayLine(line []byte, l *slog.Logger, ending bool) string {
	said := map[string]any{}
	text := ""
	if json.Unmarshal(line, &said) == nil {
		text, _ = said["msg"].(string)
	}
	if text == "" {
		l.Warn("the engine says", "text", string(line))
		return string(line)
	}
	if idle[text] {
		return text
	}
	level := slog.LevelWarn
	switch said["level"] {
	case "debug", "info":
		level = slog.LevelInfo
	case "error", "dpanic", "panic", "fatal":
		level = slog.LevelError
	}
	if ending {
		level = slog.LevelInfo
	}
	var args []any
	for _, key := range slices.Sorted(maps.Keys(said)) {
		switch key {
		case "msg", "level", "ts", "caller", "stacktrace":
		default:
			args = append(args, key, fmt.Sprint(said[key]))
		}
	}
	l.Log(context.Background(), level, "the engine says", append([]any{"text", text}, args...)...)
	if why, ok := said["error"]; ok {
		text += fmt.Sprintf(": %v", why)
	}
	return text
}
