// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const (
	network  = "10.77.0." // a host's address is its number in it, from 1
	maxHosts = 250
)

// hostName is what a host may be called; a namespace's name is made from it.
var hostName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// labs counts the labs of this process: their namespaces have it in their names.
var labs atomic.Int64

// A Lab is a number of hosts and the wire between them. Its methods may be
// called by several goroutines at a time, but one that is given the name of a
// host that is not there, or words that it cannot read, ends the test as t.Fatal
// does, which only the test's goroutine may.
type Lab struct {
	t     testing.TB
	hosts []*host
	wire  sync.WaitGroup // goroutines that carry packets

	mu   sync.RWMutex      // guards all below
	mute map[*host]bool    // what it sends is dropped
	deaf map[*host]bool    // what is sent to it is dropped
	cuts map[[2]*host]bool // nothing passes from the first to the second
}

// A host is one namespace.
type host struct {
	name, space string
	address     string
	tun         *os.File      // the other end of its network device
	done        chan struct{} // closed at its end
	out, in     *pipe         // what it sends, what comes to it
}

// New makes a lab with the hosts of these names: small letters and digits, at
// most 16 of them. They have the addresses 10.77.0.1, 10.77.0.2 and so on, in the
// order given, and nothing is wrong with the wire. The lab ends with the test:
// processes that still run on its hosts are killed, and all it has made is
// removed. Where the process may not make hosts, the test is skipped, or fails
// if the environment has CI set.
func New(t testing.TB, hosts ...string) *Lab {
	t.Helper()
	if err := usable(); err != nil {
		unavailable(t, err)
	}
	l := &Lab{t: t, mute: map[*host]bool{}, deaf: map[*host]bool{}, cuts: map[[2]*host]bool{}}
	t.Cleanup(l.end)
	if len(hosts) > maxHosts {
		t.Fatalf("a lab of %d hosts: want at most %d", len(hosts), maxHosts)
	}
	number := labs.Add(1)
	for i, name := range hosts {
		if !hostName.MatchString(name) || l.find(name) != nil {
			t.Fatalf("host %q: want a name of its own, of 1 to 16 small letters and digits", name)
		}
		h := &host{
			name: name, space: fmt.Sprintf("skybus-%d-%d-%s", os.Getpid(), number, name),
			address: fmt.Sprint(network, i+1), done: make(chan struct{}),
		}
		l.hosts = append(l.hosts, h) // also half made it is removed
		if err := h.make(); err != nil {
			t.Fatalf("host %s: %v", name, err)
		}
	}
	l.connect()
	return l
}

// usable says why this process cannot make hosts, or returns nil.
func usable() error {
	if os.Geteuid() != 0 {
		return errors.New("only root may make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("no command ip (iproute2): %w", err)
	}
	tun, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no network devices of our own: %w", err)
	}
	tun.Close()
	probe := fmt.Sprintf("skybus-%d-%d", os.Getpid(), labs.Add(1))
	if err := ip("netns", "add", probe); err != nil {
		return fmt.Errorf("no right to make network namespaces: %w", err)
	}
	return ip("netns", "del", probe)
}

// unavailable ends a test that cannot be run here.
func unavailable(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("several hosts cannot be had here, and CI must have them: %v", why)
	}
	t.Skipf("several hosts cannot be had here: %v", why)
}

// find returns the host of that name, or nil.
func (l *Lab) find(name string) *host {
	for _, h := range l.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// host returns the host of that name.
func (l *Lab) host(name string) *host {
	l.t.Helper()
	h := l.find(name)
	if h == nil {
		var names []string
		for _, h := range l.hosts {
			names = append(names, h.name)
		}
		l.t.Fatalf("the lab has no host %q: want one of %s", name, strings.Join(names, ", "))
	}
	return h
}

// Address returns the host's address, without a port.
func (l *Lab) Address(host string) string {
	l.t.Helper()
	return l.host(host).address
}

// Command returns a command that runs on the host, as exec.Command does: the
// caller starts it and waits for it. The process that is started is the program
// itself, with nothing between. It is killed when the test's process ends, and
// at the end of the lab; the caller has to wait for it all the same.
func (l *Lab) Command(host, name string, args ...string) *exec.Cmd {
	l.t.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.Enter(host)(c)
	return c
}

// Enter returns a function that makes a command run on the host. The command may
// not have been started.
func (l *Lab) Enter(host string) func(*exec.Cmd) {
	l.t.Helper()
	space := l.host(host).space
	return func(c *exec.Cmd) {
		if c.Err != nil {
			return // Start says it
		}
		inside := exec.Command("ip", append([]string{"netns", "exec", space, c.Path}, c.Args[1:]...)...)
		c.Path, c.Args, c.Err = inside.Path, inside.Args, inside.Err
	}
}

// end removes everything.
func (l *Lab) end() {
	for _, h := range l.hosts {
		if err := h.killAll(); err != nil {
			l.t.Errorf("host %s: %v", h.name, err)
		}
	}
	for _, h := range l.hosts {
		close(h.done)
		if h.tun != nil {
			h.tun.Close()
		}
	}
	l.wire.Wait()
	for _, h := range l.hosts {
		if err := h.remove(); err != nil {
			l.t.Errorf("host %s: %v", h.name, err)
		}
	}
}
