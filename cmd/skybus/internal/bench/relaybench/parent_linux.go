// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the process end when this one is gone, however that
// happened: a daemon would stay for ever.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
