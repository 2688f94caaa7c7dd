// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// sharedMemory is where Linux keeps files in memory.
	sharedMemory = "/dev/shm"

	// dirPrefix begins the names of the directories that Dir makes, and
	// strayPrefix those of everything that Skybus makes.
	dirPrefix   = "skybus-test-"
	strayPrefix = "skybus"

	// settleTime is how long something may take to go away: other test
	// processes run at the same time.
	settleTime = 90 * time.Second
)

// Dir returns a new empty directory for a domain, and removes it with all that
// is in it when the test and its subtests have ended. It lies in shared memory
// where the system has /dev/shm and lets the process write there, and in a
// directory of the test otherwise.
//
// The test fails if by its end something else of Skybus has appeared in
// /dev/shm and stays: a domain that was opened without the directory. Such a
// file does not tell who made it; the test that fails is one that ran when it
// was made.
func Dir(t testing.TB) string {
	t.Helper()
	return dirIn(t, sharedMemory, settleTime)
}

func dirIn(t testing.TB, top string, settle time.Duration) string {
	t.Helper()
	dir, err := os.MkdirTemp(top, dirPrefix)
	if err != nil {
		return t.TempDir()
	}
	before := strays(top)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the directory of the test: %v", err)
		}
		for _, path := range newStrays(top, before, settle) {
			t.Errorf("%s was made while the test ran and is still there", path)
		}
	})
	return dir
}

// strays lists what Skybus has in top apart from the directories of tests.
func strays(top string) []string {
	entries, err := os.ReadDir(top)
	if err != nil {
		return nil
	}
	var paths []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, strayPrefix) && !strings.HasPrefix(name, dirPrefix) {
			paths = append(paths, filepath.Join(top, name))
		}
	}
	return paths
}

// newStrays lists what is in top, was not there before, and does not go away
// within the time given.
func newStrays(top string, before []string, settle time.Duration) []string {
	for deadline := time.Now().Add(settle); ; time.Sleep(5 * time.Millisecond) {
		last := time.Now().After(deadline) // first: the machine may stand still while it is looked
		found := slices.DeleteFunc(strays(top), func(path string) bool { return slices.Contains(before, path) })
		if len(found) == 0 || last {
			return found
		}
	}
}
