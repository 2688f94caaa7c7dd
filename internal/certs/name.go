// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
)

// An identity is the URI skybus://host/NAME.
const (
	scheme    = "skybus"
	authority = "host"
)

// maxName is the length of the longest host name, in bytes.
const maxName = 63

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// CheckName returns an error that wraps [ErrName] unless name can name a host:
// 1 to 63 bytes of [a-zA-Z0-9._-].
func CheckName(name string) error {
	if len(name) < 1 || len(name) > maxName || strings.Trim(name, nameBytes) != "" {
		return fmt.Errorf("host %.80q: %w, want 1 to %d of a-z A-Z 0-9 . _ -", name, ErrName, maxName)
	}
	return nil
}

// identity writes a host's name as a certificate has it.
func identity(name string) *url.URL {
	return &url.URL{Scheme: scheme, Host: authority, Path: "/" + name}
}

// hostOf returns the name of the host in a certificate. There is exactly one: a
// certificate for two would let each speak for the other.
func hostOf(cert *x509.Certificate) (string, error) {
	found := ""
	for _, u := range cert.URIs {
		if u.Scheme != scheme {
			continue
		}
		name := strings.TrimPrefix(u.Path, "/")
		if CheckName(name) != nil || u.String() != identity(name).String() {
			return "", fmt.Errorf("%w: %.200q is not of the form %s", ErrNoIdentity, u.String(), identity("NAME"))
		}
		if found != "" {
			return "", fmt.Errorf("%w: the certificate is for two hosts, %s and %s", ErrNoIdentity, found, name)
		}
		found = name
	}
	if found == "" {
		return "", fmt.Errorf("%w: want %s among the certificate's alternative names", ErrNoIdentity, identity("NAME"))
	}
	return found, nil
}
