// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/killtest"
)

// The users of the tests: nobody, and a number without a name.
const (
	strangerID = 65534
	memberID   = 61234
)

// asUser starts a peer as another user, which only root can.
func asUser(t *testing.T, root string, uid, gid uint32) peer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of other users")
	}
	executable(t)
	return peer{killtest.Start(t, "peer", peerArgs{Root: root}, killtest.Attr(func(a *syscall.SysProcAttr) {
		a.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}))}
}

// executable lets other users run the test binary, which lies in a folder of the
// user's own.
func executable(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for path := self; path != "/"; path = filepath.Dir(path) {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm()&1 != 0 || st.Mode()&fs.ModeSticky != 0 {
			continue
		}
		if err := os.Chmod(path, st.Mode().Perm()|0o011); err != nil {
			t.Skipf("other users cannot run the test binary: %v", err)
		}
	}
}

// TestFilesAreTheGroups: files have mode 0660 in a folder of 0770, whatever the
// umask says, and belong to the group that was asked for.
func TestFilesAreTheGroups(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	o := skybus.Options{AllowUnknown: true}
	if os.Geteuid() == 0 {
		o.User, o.Group = "65534", "61234"
	}
	d := open(t, o)
	from, _ := pair(t, d)
	send(t, from, b, string(make([]byte, 10_000)))
	err := filepath.WalkDir(d.Table().Folder(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		want := fs.FileMode(0o660)
		if entry.IsDir() {
			want = fs.ModeDir | 0o770
		}
		info, err := entry.Info()
		if err == nil && info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (st.Uid != 65534 || st.Gid != 61234) {
			t.Errorf("%s belongs to user %d, group %d", path, st.Uid, st.Gid)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnerByName takes names for users and groups as well as numbers.
func TestOwnerByName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	d := open(t, skybus.Options{User: "nobody", Group: "root"})
	st, err := os.Stat(d.Table().Folder())
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t); owner.Uid != strangerID || owner.Gid != 0 {
		t.Errorf("the folder belongs to user %d, group %d", owner.Uid, owner.Gid)
	}
}

// TestStrangerIsToldWhatIsMissing: a user without rights gets an error that names
// the file, the right, and whose the file is.
func TestStrangerIsToldWhatIsMissing(t *testing.T) {
	d := dynamic(t)
	reachable(t, d)
	p := asUser(t, rootOf(d), strangerID, strangerID)
	answer := p.ask("open")
	for _, part := range []string{"error ", "permission denied", "uid 65534 needs the right to", d.Table().Folder(), "mode 0770, uid 0, gid 0"} {
		if !strings.Contains(answer, part) {
			t.Errorf("the stranger is told %q, which lacks %q", answer, part)
		}
	}
}

// reachable opens the folders above the domain's, as /dev/shm is open.
func reachable(t *testing.T, d *skybus.Domain) {
	t.Helper()
	if err := os.Chmod(rootOf(d), 0o777); err != nil { //nolint:gosec // it is the folder of the test
		t.Fatal(err)
	}
}

// TestOneFileWithoutRight: the folder is open, one file is not.
func TestOneFileWithoutRight(t *testing.T) {
	d := dynamic(t)
	reachable(t, d)
	if err := os.Chmod(d.Table().Folder(), 0o777); err != nil { //nolint:gosec // likewise
		t.Fatal(err)
	}
	p := asUser(t, rootOf(d), strangerID, strangerID)
	answer := p.ask("open")
	for _, part := range []string{"uid 65534 needs the right to read and write", d.Table().Folder() + "/", "mode 0660"} {
		if !strings.Contains(answer, part) {
			t.Errorf("the stranger is told %q, which lacks %q", answer, part)
		}
	}
}

// TestMemberOfTheGroup takes part, and the files it makes belong to the group,
// so that root can use them and other members too.
func TestMemberOfTheGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	d := open(t, skybus.Options{AllowUnknown: true, Group: "61234"})
	reachable(t, d)
	p, q := asUser(t, rootOf(d), memberID, 61234), asUser(t, rootOf(d), memberID+1, 61234)
	for _, peer := range []peer{p, q} {
		peer.do(t, "open", "ok")
	}
	p.do(t, "bind 0.0.1.1", "ok")
	q.do(t, "bind 0.0.2.1", "ok")
	p.do(t, "send 0.0.2.1 among members", "ok")
	q.do(t, "recv", "0.0.1.1 1 new among members")
	host := bind(t, d, c)
	p.do(t, "send 0.0.3.1 to root", "ok")
	if m := recv(t, host); string(m.Data) != "to root" {
		t.Errorf("received %+v", m)
	}
	send(t, host, b, "from root")
	q.do(t, "recv", "0.0.3.1 1 new from root")
}
