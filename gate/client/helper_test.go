// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/internal/testutil"
)

// listen returns a listener at the loopback address.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// connect returns the client's and the server's end of a connection.
func connect(t testing.TB, l net.Listener) (far, near net.Conn) {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	near, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return far, near
}

func prepare(t testing.TB, o client.Options) *client.Setup {
	t.Helper()
	set, err := client.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newConn(t testing.TB, c net.Conn, set *client.Setup, l client.Link) *client.Conn {
	t.Helper()
	conn, err := client.New(c, set, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Kick(nil) })
	return conn
}

// certificate is one of the tests, for any name.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gate.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func serverConfig(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func clientConfig() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// secure makes the handshake of a client at the far end, and returns the server's end.
func secure(t testing.TB, near, far net.Conn) *client.TLS {
	t.Helper()
	s, _ := secureBoth(t, near, far)
	return s
}

func secureBoth(t testing.TB, near, far net.Conn) (*client.TLS, *tls.Conn) {
	t.Helper()
	s, err := client.Secure(near, nil, serverConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(far, clientConfig())
	failed := make(chan error, 1)
	go func() { failed <- c.Handshake() }()
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return s, c
}

func noLeaks(t testing.TB) {
	t.Helper()
	testutil.NoLeaks(t)
}
