// SPDX-License-Identifier: Apache-2.0

// Package run measures: it runs the implementations of a case one after the other, round by round, so that
// whatever else the machine does falls on all of them alike, and keeps every value.
package run

import (
	"bytes"
	"context"
	"errors"
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
	Pin      bool
	Log      io.Writer

	help map[string]string
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
			line, err := r.once(ctx, programs[i], c, all[i].Impl)
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

// once measures one implementation once, in a directory of its own, and removes what it leaves behind.
func (r *Runner) once(ctx context.Context, p workshop.Program, c plan.Case, impl plan.Impl) (result.Line, error) {
	dir, err := os.MkdirTemp(memory, "skybus-bench-")
	if err != nil {
		return result.Line{}, err
	}
	defer os.RemoveAll(dir)
	args, err := r.args(ctx, p, c, impl, dir)
	if err != nil {
		return result.Line{}, err
	}
	// Programs bound themselves at 20 s past their end; this is for the one that does not.
	ctx, cancel := context.WithTimeout(ctx, 2*r.Duration+30*time.Second)
	defer cancel()
	output, err := execute(ctx, dir, append(slices.Clone(p.Command), args...))
	if err != nil {
		return result.Line{}, err
	}
	return result.Parse(output, c.Size, c.Mode)
}

// args completes an implementation's flags. Ours gets --batch only if its help names it: without, it
// publishes as many together as the plan says by default.
func (r *Runner) args(ctx context.Context, p workshop.Program, c plan.Case, impl plan.Impl, dir string) ([]string, error) {
	args := slices.Clone(impl.Args)
	args = append(args, "--size", strconv.Itoa(c.Size), "--duration", r.Duration.String(), "--json")
	if !p.Ours {
		args = append(args, "--dir", dir)
	} else if i := slices.Index(args, "--batch"); i >= 0 && !r.knows(ctx, p, impl, "-batch") {
		args = slices.Delete(args, i, i+2)
	}
	if r.Pin {
		if p.Ours && !r.knows(ctx, p, impl, "-pin") {
			return nil, errors.New("-pin is for all or none, and this binary has no --pin")
		}
		args = append(args, "--pin")
	}
	return args, nil
}

// knows says whether our command's help names a flag.
func (r *Runner) knows(ctx context.Context, p workshop.Program, impl plan.Impl, flag string) bool {
	if r.help == nil {
		r.help = map[string]string{}
	}
	words := slices.Clone(impl.Args)
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }); i >= 0 {
		words = words[:i]
	}
	key := strings.Join(append(slices.Clone(p.Command), words...), " ")
	if _, known := r.help[key]; !known {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		command := append(slices.Clone(p.Command), append(words, "--help")...)
		text, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() // some exit 2 after help
		r.help[key] = string(text)
	}
	return strings.Contains(r.help[key], flag)
}

// execute runs a command in a process group of its own, so that its second process cannot outlive it.
func execute(ctx context.Context, dir string, command []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of the group, if anything
		sweep(cmd.Process.Pid)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: stopped: %w", filepath.Base(command[0]), ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(command[0]), err, lastLine(complaints.String()))
	}
	return out.Bytes(), nil
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

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
