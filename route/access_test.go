// SPDX-License-Identifier: Apache-2.0

package route

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// TestLaterFilesBelongToTheFolder: whoever changes a table, those that it was made
// for can read it.
func TestLaterFilesBelongToTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this test needs root")
	}
	root := testutil.Dir(t)
	check(t, Store(root, sample(t), shm.Access{UID: 12, GID: 34}))
	want := func() {
		t.Helper()
		for _, name := range []string{"", lockName, tableName} {
			uid, gid, err := sys.Owner(filepath.Join(Dir(root, key), name))
			if err != nil || uid != 12 || gid != 34 {
				t.Errorf("%q: uid %d, gid %d, %v", name, uid, gid, err)
			}
		}
	}
	want()
	check(t, Store(root, sample(t), shm.Keep))
	want()
	check(t, os.Remove(filepath.Join(Dir(root, key), lockName)))
	check(t, Update(root, key, shm.Access{UID: 1, GID: 2}, func(tab *Table) error { tab.Self = ""; tab.Rules = nil; return nil }))
	want()
}
