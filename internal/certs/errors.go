// SPDX-License-Identifier: Apache-2.0

package certs

import "errors"

var (
	// ErrName says that a host's name is not 1 to 63 bytes of [a-zA-Z0-9._-],
	// or is one whose files would be taken for others.
	ErrName = errors.New("not a name for a host")

	// ErrFormat says that a file is not the PEM that it should be.
	ErrFormat = errors.New("not valid")

	// ErrKey says that a key does not belong to its certificate.
	ErrKey = errors.New("key does not fit")

	// ErrExpired says that a certificate is not valid any more.
	ErrExpired = errors.New("expired")

	// ErrNotYet says that a certificate is not valid yet: mostly, a clock is
	// wrong.
	ErrNotYet = errors.New("not yet valid")

	// ErrNoIdentity says that a certificate names no host.
	ErrNoIdentity = errors.New("no host identity")

	// ErrUntrusted says that a certificate is not signed by the authority, or
	// is not for the use that was made of it.
	ErrUntrusted = errors.New("not trusted")

	// ErrNoEngine says that a certificate is not for engines: it was made before there were
	// managed ones.
	ErrNoEngine = errors.New("not for a managed engine")

	// ErrPeer says that the other end is a host, but another one than was meant.
	ErrPeer = errors.New("another host")
)
