// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// end is what one end of a connection has after the handshake and one byte in
// each direction.
type end struct {
	state tls.ConnectionState
	err   error
}

// connect shakes hands over loopback, and returns both ends.
func connect(t *testing.T, server, client *tls.Config) (atServer, atClient end) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan end)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			done <- end{err: err}
			return
		}
		done <- talk(tls.Server(conn, server))
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	atClient = talk(tls.Client(conn, client))
	return <-done, atClient
}

// talk proves that a connection works: in TLS 1.3 the client's handshake does.
func talk(conn *tls.Conn) end {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return end{err: err}
	}
	if err := conn.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return end{err: err}
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return end{err: err}
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return end{conn.ConnectionState(), err}
}

func TestHostsKnowEachOther(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east", "west")
	east, west := loaded(t, dir, "east"), loaded(t, dir, "west")
	for _, peer := range []string{"east", ""} {
		atServer, atClient := connect(t, east.Server(), west.Client(peer))
		for want, got := range map[string]end{"west": atServer, "east": atClient} {
			name, err := PeerName(got.state)
			if name != want || err != nil || got.err != nil {
				t.Errorf("peer %q, %v, %v, want %s", name, err, got.err, want)
			}
			if got.state.Version != tls.VersionTLS13 || got.state.DidResume {
				t.Errorf("version %x, resumed %v", got.state.Version, got.state.DidResume)
			}
		}
	}
}

// TestSwappedNames dials a host and reaches another one, which the authority has
// signed all the same.
func TestSwappedNames(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east", "west", "north")
	_, atClient := connect(t, loaded(t, dir, "east").Server(), loaded(t, dir, "west").Client("north"))
	if !errors.Is(atClient.err, ErrPeer) || atClient.err.Error() != "another host: the certificate is of east, want north" {
		t.Errorf("got %v", atClient.err)
	}
}

func TestAnotherAuthority(t *testing.T) {
	testutil.NoLeaks(t)
	dir, other := newCA(t, "east", "west"), newCA(t, "west", "east")
	// The server is the stranger.
	_, atClient := connect(t, loaded(t, other, "east").Server(), loaded(t, dir, "west").Client("east"))
	if !errors.Is(atClient.err, ErrUntrusted) {
		t.Errorf("the client takes it: %v", atClient.err)
	}
	// The client is: it trusts the server's authority, but is of another one.
	stranger := loaded(t, other, "west")
	stranger.roots = loaded(t, dir, "west").roots
	atServer, atClient := connect(t, loaded(t, dir, "east").Server(), stranger.Client("east"))
	var unknown x509.UnknownAuthorityError
	if !errors.As(atServer.err, &unknown) || atClient.err == nil {
		t.Errorf("the server takes it: %v, the client has %v", atServer.err, atClient.err)
	}
}

func TestNoCertificate(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east", "west")
	client := loaded(t, dir, "west").Client("east")
	client.Certificates, client.GetClientCertificate = nil, nil
	atServer, atClient := connect(t, loaded(t, dir, "east").Server(), client)
	if atServer.err == nil || atClient.err == nil {
		t.Errorf("got %v, %v", atServer.err, atClient.err)
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east", "west")
	server, client := loaded(t, dir, "east").Server(), loaded(t, dir, "west").Client("east")
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if atServer, atClient := connect(t, server, old); atServer.err == nil || atClient.err == nil {
		t.Errorf("the server takes TLS 1.2: %v, %v", atServer.err, atClient.err)
	}
	old = server.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if atServer, atClient := connect(t, old, client); atServer.err == nil || atClient.err == nil {
		t.Errorf("the client takes TLS 1.2: %v, %v", atServer.err, atClient.err)
	}
}

// TestNothingIsResumed lets a client keep sessions, of which there are none.
func TestNothingIsResumed(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east", "west")
	server, client := loaded(t, dir, "east").Server(), loaded(t, dir, "west").Client("east")
	client.SessionTicketsDisabled = false
	client.ServerName = "east" // what sessions are kept by
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 3 {
		atServer, atClient := connect(t, server, client)
		if atServer.err != nil || atClient.err != nil || atServer.state.DidResume || atClient.state.DidResume {
			t.Fatalf("got %v, %v, resumed %v", atServer.err, atClient.err, atClient.state.DidResume)
		}
	}
}

// crafted is an identity whose certificate the authority in dir has signed, with
// whatever is in it. Load would refuse most of them.
func crafted(t *testing.T, dir string, cert *x509.Certificate) *Identity {
	t.Helper()
	ca, err := loadCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	made, err := sign(cert, ca)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.X509KeyPair(made.cert, made.key)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := loadRoots(filepath.Join(dir, CAFile), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{name: "crafted", own: own, roots: roots}
}

// TestCraftedPeers has peers that got their certificates from the authority and
// are refused at either end.
func TestCraftedPeers(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east")
	east := loaded(t, dir, "east")
	now := time.Now()
	west := func(change func(*x509.Certificate)) *x509.Certificate {
		cert := hostTemplate("west", now.Add(-day), now.Add(day))
		change(cert)
		return cert
	}
	uris := func(texts ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = nil
			for _, text := range texts {
				u, err := url.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				c.URIs = append(c.URIs, u)
			}
		}
	}
	for name, change := range map[string]func(*x509.Certificate){
		"expired":        func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) },
		"not yet":        func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) },
		"no identity":    uris(),
		"another scheme": uris("https://host/west"),
		"not a host":     uris("skybus://user/west"),
		"no name":        uris("skybus://host/"),
		"a longer path":  uris("skybus://host/west/x"),
		"a query":        uris("skybus://host/west?x"),
		"escapes":        uris("skybus://host/w%65st"),
		"two hosts":      uris("skybus://host/west", "skybus://host/north"),
		"the same twice": uris("skybus://host/west", "skybus://host/west"),
		"a DNS name":     func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"west"} },
		"another use":    func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} },
	} {
		peer := crafted(t, dir, west(change))
		if atServer, _ := connect(t, east.Server(), peer.Client("east")); atServer.err == nil {
			t.Errorf("%s: a server takes it", name)
		}
		if _, atClient := connect(t, peer.Server(), east.Client("")); atClient.err == nil {
			t.Errorf("%s: a client takes it", name)
		}
	}
	for name, change := range map[string]func(*x509.Certificate){
		"as it is":       func(*x509.Certificate) {},
		"with other URI": uris("https://example/", "skybus://host/west"),
	} {
		peer := crafted(t, dir, west(change))
		if atServer, atClient := connect(t, east.Server(), peer.Client("east")); atServer.err != nil || atClient.err != nil {
			t.Errorf("%s: %v, %v", name, atServer.err, atClient.err)
		}
	}
}

// TestOneUseIsNotEnough has certificates for one end of a connection at the other,
// and Load, which wants both.
func TestOneUseIsNotEnough(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t, "east")
	east := loaded(t, dir, "east")
	now := time.Now()
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		cert := hostTemplate("west", now.Add(-day), now.Add(day))
		cert.ExtKeyUsage = []x509.ExtKeyUsage{use}
		peer := crafted(t, dir, cert)
		atServer, _ := connect(t, east.Server(), peer.Client("east"))
		_, atClient := connect(t, peer.Server(), east.Client("west"))
		if isClient := use == x509.ExtKeyUsageClientAuth; (atServer.err == nil) != isClient || (atClient.err == nil) == isClient {
			t.Errorf("use %v: at the server %v, at the client %v", use, atServer.err, atClient.err)
		}
		ca, err := loadCA(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		made, err := sign(cert, ca)
		if err != nil {
			t.Fatal(err)
		}
		_, certPath, keyPath := files(t.TempDir(), "west")
		if err := made.create(certPath, keyPath); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(filepath.Join(dir, CAFile), certPath, keyPath); !errors.Is(err, ErrUntrusted) {
			t.Errorf("use %v: Load has %v", use, err)
		}
	}
}
