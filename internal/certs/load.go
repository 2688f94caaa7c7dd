// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// pemCert is what PEM calls a certificate.
const pemCert = "CERTIFICATE"

// maxFile is the size of the largest file that is read, in bytes. It holds
// hundreds of certificates.
const maxFile = 1 << 20

// Load loads a host's identity: the certificates of the authorities it trusts,
// of which the file ca may hold several while one takes over from another, its
// own certificate, with those between it and the authority below it if there are
// any, and its key, all in PEM.
//
// Every error names the file and what is wrong with it. It wraps fs.ErrNotExist
// where a file is missing, [ErrFormat] where one is not what it should be,
// [ErrKey], [ErrExpired], [ErrNotYet], [ErrNoIdentity], or [ErrUntrusted] where
// the authority has not signed the certificate for both uses.
func Load(ca, cert, key string) (*Identity, error) { return load(ca, cert, key, time.Now()) }

func load(ca, cert, key string, now time.Time) (*Identity, error) {
	roots, err := loadRoots(ca, now)
	if err != nil {
		return nil, err
	}
	own, err := loadPair(cert, key)
	if err != nil {
		return nil, err
	}
	if err := inTime(cert, own.Leaf, now); err != nil {
		return nil, err
	}
	name, err := hostOf(own.Leaf)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cert, err)
	}
	id := &Identity{name: name, own: own, roots: roots}
	chain, err := parseAll(own.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cert, err)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := id.verify(chain, use, now); err != nil {
			return nil, fmt.Errorf("%s: %w (its authorities are in %s)", cert, err, ca)
		}
	}
	return id, nil
}

// read reads a file of at most maxFile bytes.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // it names the path
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %w: larger than %d bytes", path, ErrFormat, maxFile)
	}
	return data, nil
}

// loadRoots reads the certificates of authorities. One of them has to be valid
// now; others may be those that were before or will be.
func loadRoots(path string, now time.Time) (*x509.CertPool, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	list, err := certificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	pool := x509.NewCertPool()
	valid, late := false, error(nil)
	for _, cert := range list {
		if !cert.IsCA {
			return nil, fmt.Errorf("%s: %w: the certificate of %q is not one of an authority", path, ErrFormat, cert.Subject.CommonName)
		}
		if err := inTime(path, cert, now); err == nil {
			valid = true
		} else {
			late = err
		}
		pool.AddCert(cert)
	}
	if !valid {
		return nil, late
	}
	return pool, nil
}

// certificates returns those in a file.
func certificates(data []byte) ([]*x509.Certificate, error) {
	ders, err := blocks(data)
	if err != nil {
		return nil, err
	}
	return parseAll(ders)
}

// blocks returns the certificates in a file. Anything else in PEM is a mistake:
// a key that was put into the file that all hosts have.
func blocks(data []byte) ([][]byte, error) {
	var ders [][]byte
	begun := bytes.Count(data, []byte("-----BEGIN "))
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCert {
			return nil, fmt.Errorf("%w: want certificates in PEM, got a %.40q", ErrFormat, block.Type)
		}
		ders = append(ders, block.Bytes)
	}
	if len(ders) == 0 || len(ders) != begun { // a broken one is skipped by Decode
		return nil, fmt.Errorf("%w: want certificates in PEM, found %d whole of %d", ErrFormat, len(ders), begun)
	}
	return ders, nil
}

func parseAll(ders [][]byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		list = append(list, cert)
	}
	return list, nil
}

// loadPair reads a certificate and its key.
func loadPair(certPath, keyPath string) (tls.Certificate, error) {
	cert, err := read(certPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(keyPath)
	if err != nil {
		return tls.Certificate{}, err
	}
	if _, err := certificates(cert); err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", certPath, err)
	}
	if block, _ := pem.Decode(key); block == nil || block.Type == pemCert {
		return tls.Certificate{}, fmt.Errorf("%s: %w: want a key in PEM", keyPath, ErrFormat)
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, keyError(certPath, keyPath, key, err)
	}
	return p, nil
}

// keyError tells a key that is none from one of another certificate: the
// certificate was found to be good before.
func keyError(certPath, keyPath string, key []byte, err error) error {
	block, _ := pem.Decode(key)
	_, pkcs8 := x509.ParsePKCS8PrivateKey(block.Bytes)
	_, ec := x509.ParseECPrivateKey(block.Bytes)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(block.Bytes)
	if pkcs8 != nil && ec != nil && pkcs1 != nil {
		return fmt.Errorf("%s: %w: want a key in PEM without a password: %w", keyPath, ErrFormat, err)
	}
	return fmt.Errorf("%s: %w the certificate in %s", keyPath, ErrKey, certPath)
}

// inTime checks that a certificate is valid now.
func inTime(path string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: %w since %s; it is %s here", path, ErrExpired, moment(cert.NotAfter), moment(now))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: %w before %s; it is %s here", path, ErrNotYet, moment(cert.NotBefore), moment(now))
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
