// SPDX-License-Identifier: Apache-2.0

package sys

import "syscall"

// Child returns how a program is started that is killed when the thread that has started it ends: whoever
// starts it keeps to one thread (runtime.LockOSThread) until it has ended. Signals of a terminal do not
// reach it.
func Child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
