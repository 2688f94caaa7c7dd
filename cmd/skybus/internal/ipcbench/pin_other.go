// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package ipcbench

import (
	"errors"
	"fmt"
)

func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	return fmt.Errorf("pin to processor %d: %w", cpu, errors.ErrUnsupported)
}
