// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/killtest"
)

func init() { roles["contained peer"] = containedPeer }

// containedPeer is a peer in PID and mount namespaces of its own, as a container
// with the host's /dev/shm has them: its /proc shows its own namespace.
func containedPeer(args []byte) error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if pid := os.Getpid(); pid != 1 {
		return fmt.Errorf("PID %d in a namespace of its own", pid)
	}
	return peerRole(args)
}

// startContained starts a peer in a container, or skips the test where that is
// not permitted; in CI it has to be.
func startContained(t *testing.T, root string) peer {
	t.Helper()
	p, err := killtest.TryStart(t, "contained peer", peerArgs{Root: root}, killtest.Attr(func(a *syscall.SysProcAttr) {
		a.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	}))
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	case errors.Is(err, fs.ErrPermission):
		t.Skipf("no namespaces for this user: %v", err)
	default:
		t.Fatal(err)
	}
	peer := peer{p}
	peer.do(t, "open", "ok")
	return peer
}

// TestContainers: two processes that are PID 1 of two namespaces, and one of the
// host, share a domain.
func TestContainers(t *testing.T) {
	d := dynamic(t)
	writer, reader := startContained(t, rootOf(d)), startContained(t, rootOf(d))
	writer.do(t, "bind 0.0.1.1", "ok")
	reader.do(t, "bind 0.0.2.1", "ok")
	writer.do(t, "send 0.0.2.1 out of a box", "ok")
	reader.do(t, "recv", "0.0.1.1 1 new out of a box")
	host := bind(t, d, c)
	send(t, host, b, "from the host")
	reader.do(t, "recv", "0.0.3.1 1 new from the host")
	reader.do(t, "send 0.0.3.1 and back", "ok")
	if m := recv(t, host); string(m.Data) != "and back" {
		t.Errorf("received %+v", m)
	}
	inUseAcross(t, d, writer, reader)

	writer.Kill() // the kernel frees the address, whatever its PID is called here
	bind(t, d, a)
	if l := d.Table().Lanes(); len(l) != 3 {
		t.Errorf("%d lanes", len(l))
	}
}

// inUseAcross: nobody gets an address that another namespace has bound, and is
// told which namespace's PID 1 has it.
func inUseAcross(t *testing.T, d *skybus.Domain, writer, reader peer) {
	t.Helper()
	_, err := d.Bind(a)
	want(t, err, skybus.ErrInUse)
	for _, text := range []string{fmt.Sprint(err), reader.ask("bind 0.0.1.1"), writer.ask("bind 0.0.2.1")} {
		if !strings.Contains(text, "by PID 1 (") || !strings.Contains(text, "of another PID namespace (") {
			t.Errorf("%q does not name the process in its namespace", text)
		}
	}
	if text := reader.ask("bind 0.0.3.1"); !strings.Contains(text, fmt.Sprintf("by PID %d (", os.Getpid())) {
		t.Errorf("%q does not name PID %d", text, os.Getpid())
	}
	one, _ := d.Table().Endpoint(a)
	two, _ := d.Table().Endpoint(b)
	if one.PID != 1 || two.PID != 1 || one.PIDNS == two.PIDNS || one.PIDNS == 0 || !one.Bound || one.Crashed {
		t.Errorf("the table says %+v and %+v", one, two)
	}
}
