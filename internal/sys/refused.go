// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"syscall"
)

// Refused reports whether err of a dial says that nobody listens there: at a Unix
// socket, that its process has closed it or has died. A process that is stopped, or
// has too much to do, does not refuse.
func Refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
