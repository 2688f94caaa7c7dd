// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import (
	"errors"
	"syscall"
)

// RawConn is the standard library's.
type RawConn = syscall.RawConn

// Writev is not there.
func Writev(RawConn, [][]byte) (int, error) { return 0, errors.ErrUnsupported }

// SetNotSentLowat is not there.
func SetNotSentLowat(RawConn, int) error { return errors.ErrUnsupported }
