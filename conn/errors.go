// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"errors"
	"fmt"
	"net"

	"github.com/skybus-io/skybus/actor"
)

var (
	// ErrTooLong means that a line, or all, is longer than the reader takes. Its bytes are
	// still there.
	ErrTooLong = errors.New("longer than the limit")
	// ErrNotOwner means that the connection belongs to another service.
	ErrNotOwner = errors.New("it belongs to another service")
	// ErrBusy means that a connection cannot be given away: handlers wait for it.
	ErrBusy = errors.New("handlers wait for it")
)

// errDrains ends what waits in a service that is about to end in good order.
var errDrains = fmt.Errorf("%w: its service ends", actor.ErrStopped)

// closedFor is why something is closed that its service has not closed itself.
func closedFor(why string) error { return fmt.Errorf("%w: %s", net.ErrClosed, why) }

var (
	errOwnerEnded = closedFor("its service has ended")
	errShut       = errors.New("CloseWrite was called")
)
