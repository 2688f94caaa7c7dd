// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// FuzzIdentity reads any URI: whatever is taken for a host's is written the one
// way that its name has.
func FuzzIdentity(f *testing.F) {
	for _, text := range []string{
		"skybus://host/east", "skybus://host/", "skybus:host/east", "skybus://u@host/east", "skybus://host:1/east",
		"SKYBUS://host/east", "skybus://host//east", "skybus://host/e%61st", "skybus://host/east#", "skybus://host/..",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		name, err := hostOf(&x509.Certificate{URIs: []*url.URL{u}})
		if err != nil {
			if name != "" || !errors.Is(err, ErrNoIdentity) {
				t.Fatalf("%q: %q, %v", text, name, err)
			}
			return
		}
		if CheckName(name) != nil || u.String() != "skybus://host/"+name {
			t.Fatalf("%q is host %q", text, name)
		}
	})
}

// FuzzLoad has any bytes for each of the files: an error says what is wrong with
// them, or they are what was made.
func FuzzLoad(f *testing.F) {
	dir := newCA(f, "east")
	ca, cert, key := files(dir, "east")
	for _, path := range []string{ca, cert, key} {
		f.Add(readFile(f, path))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	spoilt := filepath.Join(dir, "spoilt.pem")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(spoilt, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, paths := range [][3]string{{spoilt, cert, key}, {ca, spoilt, key}, {ca, cert, spoilt}} {
			id, err := Load(paths[0], paths[1], paths[2])
			if (id == nil) == (err == nil) {
				t.Fatalf("%v and %v", id, err)
			}
			if id != nil && id.Name() != "east" {
				t.Fatalf("host %q", id.Name())
			}
		}
	})
}
