// SPDX-License-Identifier: Apache-2.0

package vault

import "errors"

// What may go wrong beside the errors of package shm and of the operating system.
var (
	// ErrDamaged means that bytes in shared memory break a rule of the format.
	ErrDamaged = errors.New("vault is damaged")
	// ErrInUse means that another process, or another Vault of this one, has the home's vault open.
	ErrInUse = errors.New("vault is in use")
	// ErrFull means that there is no slot for another session.
	ErrFull = errors.New("vault is full")
	// ErrTooBig means that something is larger than its place.
	ErrTooBig = errors.New("too big for the vault")
	// ErrTooOld means that not all packets which were asked for are there any more.
	ErrTooOld = errors.New("packets are gone")
	// ErrAhead means that a client says it has more packets than it was ever given.
	ErrAhead = errors.New("more packets than were sent")
	// ErrFreed means that the session of a Slot is no longer in the vault.
	ErrFreed = errors.New("session is no longer in the vault")
)
