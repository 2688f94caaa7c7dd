// SPDX-License-Identifier: Apache-2.0

// Package certs makes and loads what mutual TLS between hosts needs: one
// authority for a cluster, and for each host a certificate that names it.
//
//	DIR/ca.pem        the authority's certificate: every host has it
//	DIR/ca-key.pem    its key: stays where certificates are made
//	DIR/NAME.pem      the certificate of host NAME
//	DIR/NAME-key.pem  its key: on that host alone
//
// A host's identity is a URI among its certificate's subject alternative names,
// skybus://host/NAME. It is not its DNS name or IP address: hosts are dialled by
// whatever address a route has, and a host that moves stays the same host. So
// both ends verify the chain up to the authority and the identity, and the
// client may say which host it means; no name is compared with an address.
//
// An [Identity] is what a host has loaded, and gives configurations for both
// ends of a connection: TLS 1.3, certificates on both sides, no session tickets,
// so that every connection proves who is there.
//
// Keys are ECDSA on P-256. Ed25519 would do as well between two daemons of this
// module; P-256 is also what certificate services of companies hand out, what
// hardware that guards keys offers and what the approved modes of cryptographic
// modules allow, and Go has it in assembly. Certificates and keys that others
// made are loaded whatever their algorithm, if Go's TLS 1.3 knows it and they
// carry the identity.
//
// The functions may be called from any goroutine. Making certificates in one
// folder at the same time is safe as nothing is overwritten: the later one fails.
package certs
