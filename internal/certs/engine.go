// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// EngineName is the DNS name that all host certificates carry, whatever their host. Engines of a managed cluster
// and their clients want it of each other; nobody resolves it.
const EngineName = "engine.skybus.internal"

// ForEngine says whether an engine could be run, and spoken to, with the certificate. Errors: ErrNoEngine.
func (id *Identity) ForEngine() error {
	if err := id.own.Leaf.VerifyHostname(EngineName); err != nil {
		return fmt.Errorf("%w: the certificate of host %q does not carry the name %s, as those do that \"skybus daemon certs\" makes; with --force it makes a new one", ErrNoEngine, id.name, EngineName)
	}
	return nil
}

// Covers says whether the certificate is good for an address, as programs see it that know nothing of identities.
func (id *Identity) Covers(host string) error { return id.own.Leaf.VerifyHostname(host) }

// EngineClient returns a configuration for connecting to engines of hosts of the same authority. Each connection
// uses the identity that current returns then, so that a renewed certificate counts. The caller owns it.
func EngineClient(current func() *Identity) *tls.Config {
	c := current().config()
	// As in Client: there is no address to compare, VerifyConnection does all of it.
	c.InsecureSkipVerify = true
	c.Certificates = nil
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &current().own, nil }
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if err := current().verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
			return err
		}
		if err := state.PeerCertificates[0].VerifyHostname(EngineName); err != nil {
			return errors.Join(ErrNoEngine, err)
		}
		return nil
	}
	return c
}
