// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"

	"github.com/skybus-io/skybus/ring"
)

var (
	// ErrFull means that the lane has no room and may not grow.
	ErrFull = errors.New("lane is full")
	// ErrTooBig means that no lane to that address can take so large a message.
	ErrTooBig = errors.New("message is too big")
	// ErrNoRoute means that the domain knows no way to the address.
	ErrNoRoute = errors.New("no route")
	// ErrInUse means that another live process has the address bound.
	ErrInUse = errors.New("address is in use")
	// ErrBudget means that a limit of the domain or of the process is reached.
	ErrBudget = errors.New("budget is used up")
	// ErrNoDomain means that there is no domain of that key.
	ErrNoDomain = errors.New("no such domain")
	// ErrNotEmpty means that messages would be lost.
	ErrNotEmpty = errors.New("lane holds messages")
	// ErrDamaged means that shared memory breaks a rule of its format.
	ErrDamaged = ring.ErrDamaged
)
