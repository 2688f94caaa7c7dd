// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

import "errors"

// Turn is not there.
func Turn(RawConn) (bool, error) { return false, errors.ErrUnsupported }
