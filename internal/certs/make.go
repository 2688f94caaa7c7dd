// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The files of the authority, in the folder of the certificates.
const (
	CAFile    = "ca.pem"
	CAKeyFile = "ca-key.pem"
)

const (
	certSuffix = ".pem"
	keySuffix  = "-key.pem"
)

const (
	// validCA is how long an authority lasts: ten years, with their leap days.
	validCA = 3653 * day

	day = 24 * time.Hour

	// backdated is how far back a certificate begins to be valid: clocks of
	// hosts differ.
	backdated = time.Hour
)

// HostFiles returns the paths of a host's certificate and key in dir.
func HostFiles(dir, name string) (cert, key string) {
	return filepath.Join(dir, name+certSuffix), filepath.Join(dir, name+keySuffix)
}

// CheckHost returns an error that wraps [ErrName] for a name that [MakeHost]
// refuses: one that [CheckName] does, and one whose files would be those of the
// authority or of another host's key.
func CheckHost(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if name+certSuffix == CAFile || strings.HasSuffix(name+certSuffix, keySuffix) {
		return fmt.Errorf("host %q: %w, its file %s is one for another use", name, ErrName, name+certSuffix)
	}
	return nil
}

// MakeCA makes a new authority in dir: ca.pem, which all may read, and
// ca-key.pem, which only its owner may. It makes dir, open to its owner alone,
// if need be. It never replaces a file: if one of the two is there, the error
// wraps fs.ErrExist and nothing is changed. The authority lasts ten years.
func MakeCA(dir string) error { return makeCA(dir, time.Now()) }

func makeCA(dir string, now time.Time) error {
	cert := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Skybus hosts"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(validCA),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs hosts, no further authorities
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make authority: %w", err)
	}
	made, err := sign(cert, nil)
	if err == nil {
		err = made.create(filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile))
	}
	if err != nil {
		return fmt.Errorf("make authority: %w", err)
	}
	return nil
}

// MakeHost makes a certificate and a key for the host called name in dir, signed
// by the authority there, for accepting connections and for making them: NAME.pem
// and NAME-key.pem, the latter for its owner alone. It is valid from an hour ago,
// as clocks differ, to valid from now, and not longer than the authority.
//
// It never replaces a file: if one of the two is there, the error wraps
// fs.ErrExist and nothing is changed. Without an authority it wraps
// fs.ErrNotExist. The name is refused if [CheckHost] refuses it.
func MakeHost(dir, name string, valid time.Duration) error {
	return makeHost(dir, name, valid, time.Now(), (*pair).create)
}

// RenewHost is MakeHost for a host that may have a certificate and a key: they
// are replaced, each at once and the key first. A daemon that loads the two in
// between is told that the key does not fit.
func RenewHost(dir, name string, valid time.Duration) error {
	return makeHost(dir, name, valid, time.Now(), (*pair).replace)
}

func makeHost(dir, name string, valid time.Duration, now time.Time, save func(p *pair, cert, key string) error) error {
	made, err := signHost(dir, name, valid, now)
	if err == nil {
		cert, key := HostFiles(dir, name)
		err = save(made, cert, key)
	}
	if err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	return nil
}

func signHost(dir, name string, valid time.Duration, now time.Time) (*pair, error) {
	if err := CheckHost(name); err != nil {
		return nil, err
	}
	ca, err := loadCA(dir, now)
	if err != nil {
		return nil, err
	}
	end := now.Add(valid)
	if valid <= 0 || end.After(ca.cert.NotAfter) {
		return nil, fmt.Errorf("host %s: valid for %s: want more than 0 and at most %s, until %s expires",
			name, days(valid), days(ca.cert.NotAfter.Sub(now)), filepath.Join(dir, CAFile))
	}
	return sign(hostTemplate(name, now.Add(-backdated), end), ca)
}

// days writes a time in whole days, as that is how certificates are asked for.
func days(d time.Duration) string { return fmt.Sprintf("%d days", d/day) }

func hostTemplate(name string, begin, end time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		URIs:                  []*url.URL{identity(name)},
		DNSNames:              []string{EngineName},
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// signer is an authority that can sign.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// loadCA loads the authority in dir.
func loadCA(dir string, now time.Time) (*signer, error) {
	certPath, keyPath := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	p, err := loadPair(certPath, keyPath)
	if err != nil {
		return nil, err
	}
	key, ok := p.PrivateKey.(crypto.Signer)
	if !ok || !p.Leaf.IsCA {
		return nil, fmt.Errorf("%s: %w: want the certificate of an authority", certPath, ErrFormat)
	}
	return &signer{p.Leaf, key}, inTime(certPath, p.Leaf, now)
}

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

// sign makes a key and completes a certificate for it. Without an authority the
// certificate is one itself.
func sign(cert *x509.Certificate, by *signer) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if by == nil {
		by = &signer{cert, key}
	}
	// 127 random bits: positive, and no two alike.
	if cert.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
