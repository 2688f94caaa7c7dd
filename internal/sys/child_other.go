// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import "syscall"

// Child returns how a program is started that outlives this process, if that is killed: there is no
// signal of a parent's death here.
func Child() *syscall.SysProcAttr { return nil }
