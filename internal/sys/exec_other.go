// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import (
	"errors"
	"os"
)

// Memfd is not supported here.
func Memfd(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// Exec is not supported here.
func Exec(string, []string, []string, []*os.File) error { return errors.ErrUnsupported }

// Inherited is not supported here.
func Inherited(int, string) (*os.File, error) { return nil, errors.ErrUnsupported }

// UnlockOthers is not supported here.
func UnlockOthers(*os.File, int64) error { return errors.ErrUnsupported }
