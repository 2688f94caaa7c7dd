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
	"slices"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/internal/sys"
)

// EnvRun is the variable that names the folder of the consoles; see [Dir].
const EnvRun = "SKYBUS_RUN"

const (
	socketEnd  = ".sock" // of the names of sockets there
	maxSockets = 100     // of one process there
)

// Dir returns the folder where Listen puts the socket of a console that is given no
// address: $SKYBUS_RUN; without that $XDG_RUNTIME_DIR/skybus; without that
// /tmp/skybus-UID. Its sockets are called PID.sock, and PID-2.sock and so on for
// further consoles of a process.
func Dir() string {
	if dir := runDir(); dir != "" {
		return dir
	}
	return userDirs()[0]
}

// runDir is what EnvRun says, as an absolute path: a relative one may not look like a
// path.
func runDir() string {
	dir := os.Getenv(EnvRun)
	if dir == "" {
		return ""
	}
	if whole, err := filepath.Abs(dir); err == nil {
		return whole
	}
	return dir
}

// Dirs returns the folders where tools look: $SKYBUS_RUN; without that both of the
// user's, for a program that a service manager has started may lack the variable that the shell
// has. The superuser's tools look into those of all users.
func Dirs() []string {
	if dir := runDir(); dir != "" {
		return []string{dir}
	}
	dirs := userDirs()
	if os.Geteuid() != 0 {
		return dirs
	}
	for _, pattern := range []string{"/run/user/*/skybus", "/tmp/skybus-*"} {
		more, _ := filepath.Glob(pattern) // the patterns are well formed
		for _, dir := range more {
			uid := strings.TrimPrefix(dir, "/tmp/skybus-")
			if (uid == dir || strings.Trim(uid, "0123456789") == "") && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// userDirs are the folders of this user, the one to use first.
func userDirs() []string {
	tmp := "/tmp/skybus-" + strconv.Itoa(os.Geteuid())
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return []string{filepath.Join(dir, "skybus"), tmp}
	}
	return []string{tmp}
}

// Sockets returns the paths of the sockets in a folder of [Dirs], in the order of their names;
// none if there is no folder. That somebody listens, it does not say. Errors: a
// folder that others may write to, for their sockets could pose as a program's.
func Sockets(dir string) ([]string, error) {
	switch err := private(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("console: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var list []string
	for _, e := range entries {
		if e.Type() == fs.ModeSocket && strings.HasSuffix(e.Name(), socketEnd) {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list, nil
}

// private refuses what is no folder, or one that another user could have put there or
// can change. The superuser looks into folders of all users.
func private(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder: remove it, or set %s", dir, EnvRun)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("folder %s has the mode %04o: want 0700, for whoever reaches a console can do anything", dir, info.Mode().Perm())
	}
	uid, _, err := sys.Owner(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case int(uid) != os.Geteuid() && os.Geteuid() != 0:
		return fmt.Errorf("folder %s belongs to user %d, and this is user %d: set %s to a folder of your own", dir, uid, os.Geteuid(), EnvRun)
	}
	return nil
}

// listenHere opens a socket in Dir, and clears away those of processes that have died.
func listenHere(ctx context.Context) (net.Listener, error) {
	dir := Dir()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	sweep(ctx, dir)
	for n := 1; ; n++ {
		name := strconv.Itoa(os.Getpid())
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		ln, err := listenUnix(ctx, filepath.Join(dir, name+socketEnd))
		if !errors.Is(err, errTaken) || n == maxSockets {
			return ln, err
		}
	}
}

// sweep removes sockets on which nobody listens: those of processes that were killed.
// A socket gets its place when it listens already, so none is removed too early.
func sweep(ctx context.Context, dir string) {
	list, _ := Sockets(dir) // what is left lies there until the next time
	for _, path := range list {
		d := net.Dialer{Timeout: socketPatience}
		c, err := d.DialContext(ctx, "unix", path)
		switch {
		case err == nil:
			_ = c.Close()
		case sys.Refused(err):
			_ = os.Remove(path)
		}
	}
}
