// SPDX-License-Identifier: Apache-2.0

// Package run measures: it runs the implementations of a case one after the other, round by round, so that
// whatever else the machine does falls on all of them alike, and keeps every value.
package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/result"
	"github.com/skybus-io/skybus/bench/internal/workshop"
)

// memory is where shared memory has its files.
const memory = "/dev/shm"

// Runner runs plans.
type Runner struct {
	Get      func(ctx context.Context, program string) (workshop.Program, error)
	Rounds   int
	Duration time.Duration
	Pin      string        // CPUs of the two processes, "0,1"; empty: not pinned
	Patience time.Duration // left to wait for a calm machine and to repeat what was disturbed; 0: take what comes
	Log      io.Writer

	Measured  int // measurements taken
	Disturbed int // of them with others busy, although they were tried again
}

// Series is what one implementation of a case gave.
type Series struct {
	Impl  plan.Impl
	Lines []result.Line // one a round
	Err   error         // why it was left out or has failed; then Lines do not count
}

// Values returns one metric of every round.
func (s Series) Values(m plan.Metric) (values []float64) {
	if s.Err != nil {
		return nil
	}
	for _, l := range s.Lines {
		values = append(values, m.Of(l))
	}
	return values
}

// Median returns the middle value, or the mean of the middle two. It is NaN-free: no values give 0.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	mid := len(v) / 2
	if len(v)%2 == 1 {
		return v[mid]
	}
	return (v[mid-1] + v[mid]) / 2
}

// Case runs all implementations of c in every round. Only a cancelled context is an error: what fails is
// noted in its series, and left out of the rounds that follow.
func (r *Runner) Case(ctx context.Context, c plan.Case) ([]Series, error) {
	all := make([]Series, len(c.Impls))
	programs := make([]workshop.Program, len(c.Impls))
	for i, impl := range c.Impls {
		all[i].Impl = impl
		programs[i], all[i].Err = r.Get(ctx, impl.Program)
	}
	for round := range r.Rounds {
		for i := range all {
			if all[i].Err != nil {
				continue
			}
			line, err := r.calmly(ctx, programs[i], c, all[i].Impl)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				all[i].Err = fmt.Errorf("round %d: %w", round+1, err)
				fmt.Fprintf(r.Log, "%s: %s failed: %v\n", c.Key(), all[i].Impl.Name, all[i].Err)
				continue
			}
			all[i].Lines = append(all[i].Lines, line)
		}
	}
	return all, ctx.Err()
}

const (
	attempts    = 3                // how often a disturbed measurement is tried
	longestWait = 30 * time.Second // before one measurement
)

// calmly measures one implementation once, and again if others used the machine meanwhile.
func (r *Runner) calmly(ctx context.Context, p workshop.Program, c plan.Case, impl plan.Impl) (line result.Line, err error) {
	r.Measured++
	for attempt := 1; ; attempt++ {
		r.Patience -= awaitCalm(ctx, min(r.Patience, longestWait))
		w := watch()
		var own time.Duration
		line, own, err = r.once(ctx, p, c, impl)
		if err != nil || !w.found(own) {
			return line, err
		}
		if attempt == attempts || r.Patience <= 0 {
			r.Disturbed++
			return line, nil
		}
		r.Patience -= time.Since(w.began)
	}
}

// once measures one implementation once, in a directory of its own, and removes what it leaves behind. own
// is the processor time of the program and of the second process that it has waited for.
func (r *Runner) once(ctx context.Context, p workshop.Program, c plan.Case, impl plan.Impl) (l result.Line, own time.Duration, err error) {
	dir, err := os.MkdirTemp(memory, "skybus-bench-")
	if err != nil {
		return l, 0, err
	}
	defer os.RemoveAll(dir)
	// Programs bound themselves at 20 s past their end; this is for the one that does not.
	ctx, cancel := context.WithTimeout(ctx, 2*r.Duration+30*time.Second+c.StartUp)
	defer cancel()
	output, own, err := execute(ctx, dir, append(slices.Clone(p.Command), r.args(p, c, impl, dir)...))
	if err != nil {
		return l, own, err
	}
	l, err = result.Parse(output, c.Size, c.Mode)
	return l, own, err
}

// args completes an implementation's flags.
func (r *Runner) args(p workshop.Program, c plan.Case, impl plan.Impl, dir string) []string {
	args := slices.Clone(impl.Args)
	args = append(args, "--size", strconv.Itoa(c.Size), "--duration", r.Duration.String(), "--json")
	if !p.Ours {
		args = append(args, "--dir", dir)
	}
	if r.Pin != "" {
		args = append(args, "--pin", r.Pin)
	}
	return args
}

// execute runs a command in a process group of its own, so that its second process cannot outlive it. What
// it prints goes to files: a pipe would stay open as long as that second process has it.
func execute(ctx context.Context, dir string, command []string) (output []byte, own time.Duration, err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		return nil, 0, err
	}
	defer out.Close()
	complaints, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return nil, 0, err
	}
	defer complaints.Close()
	cmd.Stdout, cmd.Stderr = out, complaints
	err = cmd.Run()
	if cmd.ProcessState != nil {
		own = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group, if anything
		sweep(cmd.Process.Pid)
	}
	switch {
	case ctx.Err() != nil: // on top of whatever error the kill has made
		return nil, own, fmt.Errorf("%s: stopped: %w", filepath.Base(command[0]), ctx.Err())
	case err != nil:
		return nil, own, fmt.Errorf("%s: %w: %s", filepath.Base(command[0]), err, lastLine(complaints.Name()))
	}
	output, err = os.ReadFile(out.Name())
	return output, own, err
}

// sweep removes files that a program names after its own process id because it cannot choose their place.
func sweep(pid int) {
	left, err := filepath.Glob(filepath.Join(memory, fmt.Sprintf("skybus-bench-%d-*", pid)))
	if err != nil {
		return // the pattern is a constant
	}
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}

// lastLine returns the last line of a file: programs end with what went wrong.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	s := strings.TrimSpace(string(text))
	return s[strings.LastIndexByte(s, '\n')+1:]
}
