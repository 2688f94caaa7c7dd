// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"errors"
	"os"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/shm"
)

// Every refusal is one of these, wrapped in what was wanted and why it cannot
// be. A deadline or a cancelled context is the context's own error.
var (
	// ErrFull means that the receiver has not made room; only TrySend and TryClaim return it.
	ErrFull = channel.ErrFull
	// ErrEmpty means that there is no message now; only the calls that do not wait return it.
	ErrEmpty = errors.New("no message")
	// ErrTooBig means that a message is larger than the domain, or a configured lane, takes.
	ErrTooBig = channel.ErrTooBig
	// ErrNoRoute means that the domain knows no way to the address.
	ErrNoRoute = channel.ErrNoRoute
	// ErrInUse means that another live process, or this one, has the address bound.
	ErrInUse = channel.ErrInUse
	// ErrBoundElsewhere means that another host of the cluster has the address bound; the error says which.
	ErrBoundElsewhere = errors.New("the address is bound on another host")
	// ErrBudget means that a limit of the domain, the process or the file system is reached.
	ErrBudget = channel.ErrBudget
	// ErrClosed means that the endpoint or the domain was closed. It is os.ErrClosed.
	ErrClosed = os.ErrClosed
	// ErrNoDomain means that there is no domain of that key.
	ErrNoDomain = channel.ErrNoDomain
	// ErrNotEmpty means that messages would be lost.
	ErrNotEmpty = channel.ErrNotEmpty
	// ErrDamaged means that shared memory was overwritten by somebody else.
	ErrDamaged = channel.ErrDamaged
	// ErrLayout means that the domain was made by a build with another memory layout.
	ErrLayout = shm.ErrLayout
	// ErrReceiving means that a Receive or Messages loop already runs on the endpoint.
	ErrReceiving = errors.New("another Receive runs on this endpoint")
)
