// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// The certificate lives as long as the measurement, in the environment of its processes. All show it and
// all verify it, as two daemons do.
const (
	certVariable = "BENCH_CERT"
	keyVariable  = "BENCH_KEY"
	certHost     = "bench"
)

// MakeCertificate puts a new certificate where the processes find it that are started afterwards.
func MakeCertificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must("make a key", err)
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{certHost}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	Must("make a certificate", err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	Must("encode the key", err)
	for name, block := range map[string]*pem.Block{
		certVariable: {Type: "CERTIFICATE", Bytes: cert}, keyVariable: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		Must("hand over the certificate", os.Setenv(name, string(pem.EncodeToMemory(block))))
	}
}

// HasCertificate says whether a process that has started this one has made a certificate.
func HasCertificate() bool { return os.Getenv(certVariable) != "" }

// TLSConfig is TLS 1.3 with that certificate on both sides, for either of them.
func TLSConfig() *tls.Config {
	text := []byte(os.Getenv(certVariable))
	own, err := tls.X509KeyPair(text, []byte(os.Getenv(keyVariable)))
	Must("read the certificate", err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ServerName: certHost,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}
