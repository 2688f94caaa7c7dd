// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package demo

import (
	"errors"
	"os/exec"
)

// bindToParent does nothing where there are no domains to relay.
func bindToParent(*exec.Cmd) {}

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
