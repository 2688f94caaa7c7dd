// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const (
	relayKey  = 2000 // of the route tables: each host has a folder of its own
	relayPort = 4100
	tailSize  = 4 << 10 // bytes of a daemon's log that a failure shows
)

// A Site is a host of a Bus.
type Site struct {
	Name  string // as New wants it
	Root  string // folder of its domain, which is its own
	Addrs string // addresses that live there: 0.0.1.*
}

// A Bus is a lab whose hosts are joined by the relay daemon, each with a domain of its own
// under the same key. One goroutine at a time may use what starts and ends daemons.
type Bus struct {
	*Lab
	Daemons []*Daemon // of the sites, in their order
}

// NewBus makes a lab of the sites and starts the daemons, which speak without TLS. source is the folder of
// the daemon's command, as seen from the test's: it is built first. What New says of skipping
// holds.
func NewBus(t testing.TB, source string, key int, sites ...Site) *Bus {
	t.Helper()
	var names []string
	for _, s := range sites {
		names = append(names, s.Name)
	}
	b := &Bus{Lab: New(t, names...)}
	program := build(t, source)
	for i, s := range sites {
		args := []string{
			"--root", s.Root, "-k", fmt.Sprint(key), "--relay-key", fmt.Sprint(relayKey), "--host", s.Name,
			"--listen", b.endpoint(s.Name), "--log", "text", "--insecure",
		}
		for j, peer := range sites {
			if i != j {
				args = append(args, "--peer", peer.Name+"="+b.endpoint(peer.Name), "--route", peer.Addrs+"="+peer.Name)
			}
		}
		d := &Daemon{t: t, lab: b.Lab, host: s.Name, program: program, args: args, log: filepath.Join(t.TempDir(), "log")}
		t.Cleanup(d.end)
		d.Start()
		b.Daemons = append(b.Daemons, d)
	}
	return b
}

// build builds a command. One that cannot be built fails the test: it is the project's own.
func build(t testing.TB, source string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), filepath.Base(source))
	if text, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, text)
	}
	return path
}

// endpoint is where a host's daemon listens.
func (b *Bus) endpoint(host string) string {
	return fmt.Sprintf("%s:%d", b.Address(host), relayPort)
}

// A Daemon is the relay daemon of a host, in all its lives. One goroutine at a time may use it. It ends
// with its test, which fails if it has ended by itself, and then shows what it wrote.
type Daemon struct {
	t       testing.TB
	lab     *Lab
	host    string
	program string
	args    []string
	log     string
	cmd     *exec.Cmd // nil while it is down
}

// Start starts the daemon if it is down. Where that does not work the test fails, and goes on.
func (d *Daemon) Start() {
	d.t.Helper()
	if d.cmd != nil {
		return
	}
	log, err := os.OpenFile(d.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o660)
	if err != nil {
		d.t.Errorf("the log of the daemon of %s: %v", d.host, err)
		return
	}
	defer log.Close() // the daemon has its own
	c := d.lab.Command(d.host, d.program, d.args...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		d.t.Errorf("start the daemon of %s: %v", d.host, err)
		return
	}
	d.cmd = c
}

// Kill ends the daemon by SIGKILL if it is up.
func (d *Daemon) Kill() {
	if d.cmd == nil {
		return
	}
	d.Signal(syscall.SIGKILL)
	err := d.cmd.Wait()
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	d.cmd = nil
	if !ok || status.Signal() != syscall.SIGKILL {
		d.t.Errorf("the daemon of %s has ended by itself: %v", d.host, err)
	}
}

// Signal sends sig to the daemon if it is up.
func (d *Daemon) Signal(sig syscall.Signal) {
	if d.cmd == nil {
		return
	}
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Errorf("signal %v to the daemon of %s: %v", sig, d.host, err)
	}
}

func (d *Daemon) end() {
	d.Kill()
	if !d.t.Failed() {
		return
	}
	text, err := os.ReadFile(d.log)
	if err != nil {
		text = []byte(err.Error())
	}
	d.t.Logf("daemon of %s:\n%s", d.host, text[max(0, len(text)-tailSize):])
}
