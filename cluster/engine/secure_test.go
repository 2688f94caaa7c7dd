// SPDX-License-Identifier: Apache-2.0

//go:build linux && !noengine

package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/etcd"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/internal/testutil"
)

// unnamed makes a host certificate as they were before there were managed engines.
func unnamed(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(dir, certs.CAFile), filepath.Join(dir, certs.CAKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), URIs: []*url.URL{{Scheme: "skybus", Host: "host", Path: "/b"}}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// An engine lets in hosts of its authority whose certificates carry the name for it, on both of its ports.
func TestOnlyHostsAreLetIn(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(t.TempDir(), "certs")
	if err := certs.MakeCA(dir); err != nil {
		t.Fatal(err)
	}
	if err := certs.MakeHost(dir, "a", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	cert, key := certs.HostFiles(dir, "a")
	ca := filepath.Join(dir, certs.CAFile)
	id, err := certs.Load(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	client := certs.EngineClient(func() *certs.Identity { return id })
	c := configIn(t, t.TempDir())
	c.TLS = &TLS{CA: ca, Cert: cert, Key: key, Client: client}
	e, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, err := etcd.Dial(etcd.Options{Cluster: "test", Endpoints: e.Endpoints(), TLS: client})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{c.Client, c.Peer} {
		for name, own := range map[string][]tls.Certificate{"host": nil, "old": {unnamed(t, dir)}, "none": {}} {
			o := client.Clone()
			if own != nil {
				o.Certificates, o.GetClientCertificate = own, nil
			}
			if got := letsIn(t, at, o); got != (name == "host") {
				t.Errorf("%s: a client with the certificate %q is let in: %v", at, name, got)
			}
		}
	}
}

// letsIn says whether a server answers a client: in TLS 1.3 it is refused by what it reads first.
func letsIn(t *testing.T, at string, o *tls.Config) bool {
	t.Helper()
	nc, err := tls.Dial("tcp", at, o)
	if err != nil {
		return false
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(90 * time.Second))
	if _, err := nc.Write([]byte("GET /version HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")); err != nil {
		return false
	}
	n, _ := nc.Read(make([]byte, 1))
	return n == 1
}
