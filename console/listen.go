// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrOutside means that a console would be reached from other hosts.
var ErrOutside = errors.New("the address is not loopback")

// ParseAddress tells where a console is: "unix" and a path for what has a slash or
// begins with "unix:", else "tcp" and HOST:PORT.
func ParseAddress(address string) (network, at string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q: want unix: and a path", address)
		}
		return "unix", path, nil
	}
	if strings.Contains(address, "/") {
		return "unix", address, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", "", fmt.Errorf("address %q: want the path of a socket, as /run/game.sock or unix:game.sock, or HOST:PORT", address)
	}
	return "tcp", address, nil
}

// Listen opens a listener for Serve; see ParseAddress for addresses. The empty address is a
// socket of this process in [Dir], where `skybus services` and `skybus call` look for it; the folder is
// made with the mode 0700, and sockets of dead processes in it are removed. A Unix socket has
// the mode 0600, replaces one on which nobody listens any more, and goes away when
// the listener is closed. A TCP address that is not loopback is refused with ErrOutside, unless
// Config.Outside is set. Other errors: what the system says, somebody who listens there.
func (k *Console) Listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		ln, err := listenHere(ctx)
		if err != nil {
			return nil, fmt.Errorf("console: listen: %w", err)
		}
		return ln, nil
	}
	network, at, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var ln net.Listener
	if network == "unix" {
		ln, err = listenUnix(ctx, at)
	} else {
		ln, err = k.listenTCP(ctx, at)
	}
	if err != nil {
		return nil, fmt.Errorf("console: listen at %q: %w", address, err)
	}
	return ln, nil
}

// listenTCP opens a port. A name is resolved once, and what is listened at is what was
// judged.
func (k *Console) listenTCP(ctx context.Context, at string) (net.Listener, error) {
	a, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		return nil, err
	}
	if err := k.judge(a); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", a.String())
}

// judge refuses an address that others may reach.
func (k *Console) judge(a net.Addr) error {
	if k.cfg.Outside {
		return nil
	}
	switch a := a.(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("%v: %w, and whoever reaches a console can do anything: want 127.0.0.1, ::1 or a Unix socket, or Config.Outside", a, ErrOutside)
}

// longestPath is what the address of a Unix socket holds on every system, in bytes.
const longestPath = 103

// longestMade is what the path has behind its folder while the socket is made: a folder
// with a number of 32 bits, and a name.
const longestMade = len("/.4294967295/s")

// socketPatience is how long somebody who listens at a socket may take to show it.
const socketPatience = time.Second

// listenUnix makes the socket in a folder that is closed to others, and moves it to its
// place when it has its mode: at no time another user can connect.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	s := &socket{UnixListener: ln.(*net.UnixListener), path: path}
	s.SetUnlinkOnClose(false)
	if err = os.Chmod(made, 0o600); err == nil {
		if s.info, err = os.Lstat(made); err == nil {
			err = os.Rename(made, path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return s, nil
}

// errTaken means that a path is of use, for another console.
var errTaken = errors.New("somebody listens there already: want another path")

// vacant refuses a path that is too long, or where something else is than a socket on
// which nobody listens.
func vacant(ctx context.Context, path string) error {
	if n := max(len(path), len(filepath.Dir(path))+longestMade); n > longestPath {
		return fmt.Errorf("the path has %d bytes, in the making: want %d at most", n, longestPath)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("there is a file that is no socket: want a path where nothing is")
	}
	d := net.Dialer{Timeout: socketPatience}
	c, err := d.DialContext(ctx, "unix", path)
	var slow net.Error
	switch {
	case err == nil:
		_ = c.Close()
		return errTaken
	case errors.As(err, &slow) && slow.Timeout(), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("somebody may listen there already: %w", err)
	}
	return nil
}

// A socket is a listener at a path.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

// Addr returns where it is now.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close also removes the socket, unless another one has its place.
func (s *socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}
