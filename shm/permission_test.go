// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const nobody = 65534

func init() {
	children["open"] = func(args []string) error {
		_, err := Open(args[0], testMagic, false)
		return err
	}
	children["create"] = func(args []string) error {
		_, err := Create(args[0], spec(testSize))
		return err
	}
	children["lock"] = func(args []string) error {
		_, err := OpenLocks(args[0], true, Keep)
		return err
	}
}

// asNobody runs a child without rights and returns the error that it ends with.
func asNobody(name string, args ...string) string {
	cmd := child(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Stderr = nil
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "no error"
	}
	return strings.TrimSpace(string(out))
}

// TestPermissionErrorsSayWhatIsMissing: whoever reads the error must know which
// right is missing to whom, and whose the file is.
func TestPermissionErrorsSayWhatIsMissing(t *testing.T) {
	asRoot(t)
	dir := testutil.Dir(t)
	check(t, os.Chmod(dir, 0o755))
	open, closed := filepath.Join(dir, "open"), filepath.Join(dir, "closed")
	for path, mode := range map[string]os.FileMode{open: 0o755, closed: 0o700} {
		check(t, os.Mkdir(path, mode))
		check(t, os.Chmod(path, mode))
		s, err := Create(filepath.Join(path, "a"), Spec{Magic: testMagic, Size: testSize, Access: Access{UID: -1, GID: 7}})
		check(t, err)
		s.Close()
		f, err := OpenLockFile(filepath.Join(path, "lock"), true, Keep)
		check(t, err)
		f.Close()
	}
	right := fmt.Sprintf("permission denied: uid %d needs the right to ", nobody)
	for _, c := range []struct{ child, path, want string }{
		{"open", open + "/a", "read and write " + open + "/a, which has mode 0660, uid 0, gid 7"},
		{"open", closed + "/a", "write and search " + closed + ", which has mode 0700, uid 0, gid 0"},
		{"create", open + "/b", "write and search " + open + ", which has mode 0755, uid 0, gid 0"},
		{"create", closed + "/b", "write and search " + closed + ", which has mode 0700, uid 0, gid 0"},
		{"lock", open + "/lock", "read and write " + open + "/lock, which has mode 0660, uid 0, gid 0"},
		{"lock", open + "/lock2", "write and search " + open + ", which has mode 0755, uid 0, gid 0"},
	} {
		if got := asNobody(c.child, c.path); !strings.HasSuffix(got, right+c.want) {
			t.Errorf("%s %s:\n got %s\nwant ...%s%s", c.child, c.path, got, right, c.want)
		}
	}
}

func TestExplainLeavesOtherErrorsAlone(t *testing.T) {
	_, err := os.Open("/nowhere/at/all")
	if !errors.Is(Explain(err, "/nowhere/at/all"), err) || Explain(nil, "x") != nil {
		t.Error("an error that has nothing to do with rights was changed")
	}
}
