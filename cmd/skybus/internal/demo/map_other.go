// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package demo

import (
	"errors"
	"os"
)

func mapFile(string, int64) (*os.File, []byte, error) { return nil, nil, errors.ErrUnsupported }

func unmapFile(*os.File, []byte) {}

func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }
