// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// The certificate lives as long as the measurement, in the environment of its two processes. Both show it
// and both verify it, as two daemons do.
const (
	certVariable = "GOSOCK_CERT"
	keyVariable  = "GOSOCK_KEY"
	host         = "gosock"
)

// makeCertificate puts a new one where both processes find it.
func makeCertificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	peer.Must("make a key", err)
	now := time.Now()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	peer.Must("make a certificate", err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	peer.Must("encode the key", err)
	for name, block := range map[string]*pem.Block{
		certVariable: {Type: "CERTIFICATE", Bytes: cert}, keyVariable: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		peer.Must("hand over the certificate", os.Setenv(name, string(pem.EncodeToMemory(block))))
	}
}

// secured puts TLS 1.3 over a connection, with certificates on both sides.
func secured(conn net.Conn, server bool) net.Conn {
	text := []byte(os.Getenv(certVariable))
	own, err := tls.X509KeyPair(text, []byte(os.Getenv(keyVariable)))
	peer.Must("read the certificate", err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ServerName: host,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	t := tls.Client(conn, c)
	if server {
		t = tls.Server(conn, c)
	}
	peer.Must("shake hands", t.Handshake())
	return t
}
