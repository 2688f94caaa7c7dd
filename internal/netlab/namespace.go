// SPDX-License-Identifier: Apache-2.0

//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tunDevice is where network devices come from whose packets a program has.
	tunDevice = "/dev/net/tun"

	// namespaces is where ip keeps the namespaces' names.
	namespaces = "/var/run/netns"

	// device is what a host's network device is called in its namespace.
	device = "eth0"

	// killTime is how long killed processes may take to be gone.
	killTime = 90 * time.Second
)

// ip runs the command ip.
func ip(args ...string) error {
	if text, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

// make makes the namespace with its device.
func (h *host) make() (err error) {
	if err := ip("netns", "add", h.space); err != nil {
		return err
	}
	if h.tun, err = openTUN(h.space); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", h.address + "/24", "dev", device},
		{"link", "set", device, "up"},
	} {
		if err := ip(append([]string{"-n", h.space}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// openTUN makes a network device in a namespace and returns the end where its
// packets come out. The device is gone when that is closed.
func openTUN(space string) (*os.File, error) {
	var fd int
	err := inside(space, func() (err error) {
		fd, err = makeTUN()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the device %s in %s: %w", device, space, err)
	}
	return os.NewFile(uintptr(fd), tunDevice), nil
}

// inside calls f on a thread that is in the namespace meanwhile. It moves back,
// because it may be the process's first thread, which never ends: all tools
// would take the process for one of the namespace.
func inside(space string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := openSpace("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer unix.Close(home)
	away, err := openSpace(filepath.Join(namespaces, space))
	if err != nil {
		return err
	}
	defer unix.Close(away)
	if err := unix.Setns(away, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the namespace: %w", err)
	}
	err = f()
	if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
		runtime.LockOSThread() // once more than it is unlocked: nobody else may have this thread
		return fmt.Errorf("leave the namespace: %w", err)
	}
	return err
}

func openSpace(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the namespace %s: %w", path, err)
	}
	return fd, nil
}

// makeTUN makes a device in the calling thread's namespace.
func makeTUN() (int, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", tunDevice, err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// pids returns the processes that run in the namespace.
func (h *host) pids() (list []int, err error) {
	text, err := exec.Command("ip", "netns", "pids", h.space).Output()
	if err != nil {
		return nil, fmt.Errorf("ip netns pids %s: %w", h.space, err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("ip netns pids %s: want numbers of processes, got %q", h.space, word)
		}
		if pid != os.Getpid() { // a thread of ours may be making a device
			list = append(list, pid)
		}
	}
	return list, nil
}

// exists reports whether the namespace has its name.
func (h *host) exists() bool {
	_, err := os.Stat(filepath.Join(namespaces, h.space))
	return !errors.Is(err, fs.ErrNotExist)
}

// killAll ends what runs in the namespace, and waits until it has ended. A
// process may start another while it is being killed, so it looks again.
func (h *host) killAll() error {
	if !h.exists() {
		return nil
	}
	for end := time.Now().Add(killTime); ; time.Sleep(time.Millisecond) {
		pids, err := h.pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
	}
}

// remove takes the namespace away, if it was made.
func (h *host) remove() error {
	if !h.exists() {
		return nil
	}
	return ip("netns", "del", h.space)
}
