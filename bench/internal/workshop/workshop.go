// SPDX-License-Identifier: Apache-2.0

// Package workshop gets the programs that are measured: it builds the ones written here, and installs what
// they need where it may. What cannot be had is an error that says why; the bench then goes on without it.
//
// Debian packages are installed only by root, and only if they are missing. Libraries of Go, Java and Rust
// come through those languages' own clients, into their usual caches. Everything built is below Out.
package workshop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is something that can be run and measured.
type Program struct {
	Command []string
	Version string
	Ours    bool // it takes no --dir
}

// Shop builds programs, each once.
type Shop struct {
	Root   string // the bench module
	Out    string // where things are built
	Skybus string // path of the skybus binary; empty: build it; "none": measure without
	Log    io.Writer

	made    map[string]made
	updated bool // the package lists are fresh
}

type made struct {
	program Program
	err     error
}

// Get returns a program by its name in the plan. Asking again costs nothing.
func (s *Shop) Get(ctx context.Context, name string) (Program, error) {
	if m, ok := s.made[name]; ok {
		return m.program, m.err
	}
	build, ok := recipes[name]
	if !ok {
		return Program{}, fmt.Errorf("no recipe for %q", name)
	}
	p, err := build(ctx, s)
	if err != nil {
		s.say("%s: left out: %v", name, err)
	} else {
		s.say("%s: %s", name, p.Version)
	}
	if s.made == nil {
		s.made = map[string]made{}
	}
	s.made[name] = made{p, err}
	return p, err
}

func (s *Shop) say(format string, args ...any) { fmt.Fprintf(s.Log, format+"\n", args...) }

func (s *Shop) out(elem ...string) string {
	return filepath.Join(append([]string{s.Out}, elem...)...)
}

func (s *Shop) source(elem ...string) string {
	return filepath.Join(append([]string{s.Root}, elem...)...)
}

// run runs a command in dir and returns what it prints. Its error carries the end of its complaints.
func (s *Shop) run(ctx context.Context, dir string, env []string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(complaints.String() + out.String())
		if said == "" {
			return "", fmt.Errorf("%s: %w", filepath.Base(command[0]), err)
		}
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(command[0]), err, tail(said, 600))
	}
	return strings.TrimSpace(out.String()), nil
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "... " + s[len(s)-n:]
}

// need makes a command available, from a Debian package if it is missing.
func (s *Shop) need(ctx context.Context, command, pkg string) error {
	have := func() bool { _, err := exec.LookPath(command); return err == nil }
	return s.install(ctx, have, pkg)
}

// needHeader makes a C header available.
func (s *Shop) needHeader(ctx context.Context, header, pkg string) error {
	have := func() bool {
		_, err := s.run(ctx, s.Root, nil, "g++", "-E", "-include", header, "-x", "c++", os.DevNull)
		return err == nil
	}
	return s.install(ctx, have, pkg)
}

// install gets a Debian package unless what it brings is there already.
func (s *Shop) install(ctx context.Context, have func() bool, pkg string) error {
	if have() {
		return nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is missing: install the package %s (Debian's name)", pkg, pkg)
	}
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	if !s.updated {
		s.say("updating the package lists")
		if _, err := s.run(ctx, s.Root, quiet, apt, "update", "-qq"); err != nil {
			return err
		}
		s.updated = true
	}
	s.say("installing %s", pkg)
	if _, err := s.run(ctx, s.Root, quiet, apt, "install", "-y", "-qq", pkg); err != nil {
		return err
	}
	if !have() {
		return fmt.Errorf("%s is installed and still not usable", pkg)
	}
	return nil
}

// fresh says whether target is newer than every source.
func fresh(target string, sources ...string) bool {
	t, err := os.Stat(target)
	if err != nil {
		return false
	}
	for _, path := range sources {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().After(t.ModTime()) {
			return false
		}
	}
	return true
}
