// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Identity is what a host proves itself with and judges others by. It does not
// change; a daemon that reads its certificates again loads a new one. Its methods
// may be called from any goroutine.
type Identity struct {
	name  string
	own   tls.Certificate
	roots *x509.CertPool
}

// Name returns the name of the host.
func (id *Identity) Name() string { return id.name }

// Fingerprint is the SHA-256 of the certificate, in hexadecimal digits.
func (id *Identity) Fingerprint() string {
	sum := sha256.Sum256(id.own.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// Expires returns when the certificate expires. Peers refuse new connections
// from then on; those that are open stay.
func (id *Identity) Expires() time.Time { return id.own.Leaf.NotAfter }

// Server returns a configuration for accepting connections from any host whose
// certificate the authority has signed. The caller owns it.
//
// In TLS 1.3 a client is done before the server has looked at its certificate: a
// refusal reaches it as an error of its first read.
func (id *Identity) Server() *tls.Config {
	c := id.config()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = id.roots
	c.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := peerOf(state)
		return err
	}
	return c
}

// Client returns a configuration for connecting to the host called peer, or to
// any host if peer is empty. The caller owns it.
func (id *Identity) Client(peer string) *tls.Config {
	c := id.config()
	// This turns off the comparison of the certificate with a DNS name, and
	// with it the verification of the chain, which VerifyConnection does.
	c.InsecureSkipVerify = true
	// By default a client keeps a certificate back that the server will not
	// like, and the server is told of none instead of a wrong one.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.own, nil }
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if err := id.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
			return err
		}
		name, err := peerOf(state)
		if err != nil {
			return err
		}
		if peer != "" && name != peer {
			return fmt.Errorf("%w: the certificate is of %s, want %s", ErrPeer, name, peer)
		}
		return nil
	}
	return c
}

// config is what both ends have in common.
func (id *Identity) config() *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{id.own},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // each connection verifies anew
	}
}

// verify checks a chain, of which the first certificate is that of the host.
func (id *Identity) verify(chain []*x509.Certificate, use x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is no certificate", ErrUntrusted)
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: id.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// PeerName returns the name of the host at the other end of a connection, which
// must have been made with the configurations of this package: they are what
// verified it. Before the handshake is done there is no name, and an error.
func PeerName(state tls.ConnectionState) (string, error) {
	if !state.HandshakeComplete {
		return "", errors.New("peer name: the handshake is not done")
	}
	return peerOf(state)
}

func peerOf(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: the peer has shown no certificate", ErrNoIdentity)
	}
	return hostOf(state.PeerCertificates[0])
}
