// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindToParent makes the process end when this one is gone, however that
// happened: a daemon would stay for ever. Keys pressed in the terminal, such as
// Ctrl-C, are the parent's business.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// freeSpace returns how many bytes can be written below dir.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}
