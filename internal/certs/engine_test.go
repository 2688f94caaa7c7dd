// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// Engines and their clients want the name of each other that all host certificates carry, and no other.
func TestEngineNames(t *testing.T) {
	dir := newCA(t, "east", "west")
	east, west := loaded(t, dir, "east"), loaded(t, dir, "west")
	if err := east.ForEngine(); err != nil {
		t.Error(err)
	}
	client := EngineClient(func() *Identity { return east })
	if atServer, atClient := connect(t, west.Server(), client); atServer.err != nil || atClient.err != nil {
		t.Errorf("%v, %v", atServer.err, atClient.err)
	}
	now := time.Now()
	with := func(change func(c *x509.Certificate)) *Identity {
		c := hostTemplate("west", now.Add(-time.Minute), now.Add(time.Hour))
		change(c)
		return crafted(t, dir, c)
	}
	old := with(func(c *x509.Certificate) { c.DNSNames = nil })
	if err := old.ForEngine(); !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "skybus daemon certs") {
		t.Errorf("an old certificate: %v", err)
	}
	for name, peer := range map[string]*Identity{
		"old": old, "of another authority": loaded(t, newCA(t, "west"), "west"),
		"for clients": with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
	} {
		if _, atClient := connect(t, peer.Server(), client); atClient.err == nil {
			t.Errorf("a client takes an engine whose certificate is %s", name)
		}
	}
	if err := east.Covers("10.0.0.1"); err == nil {
		t.Error("a host certificate is good for any address")
	}
	covers := with(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} })
	if err := covers.Covers("10.0.0.1"); err != nil {
		t.Error(err)
	}
}
