// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// newCA makes an authority and certificates for hosts, and returns the folder.
func newCA(t testing.TB, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := MakeCA(dir); err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		if err := MakeHost(dir, host, day); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files are what a host loads.
func files(dir, host string) (ca, cert, key string) {
	cert, key = HostFiles(dir, host)
	return filepath.Join(dir, CAFile), cert, key
}

func loaded(t testing.TB, dir, host string) *Identity {
	t.Helper()
	id, err := Load(files(dir, host))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMadeAndLoaded(t *testing.T) {
	dir := newCA(t, "east")
	id := loaded(t, dir, "east")
	if id.Name() != "east" {
		t.Errorf("name %q", id.Name())
	}
	if left := time.Until(id.Expires()); left > day || left < day-time.Hour {
		t.Errorf("expires in %v", left)
	}
	leaf := id.own.Leaf
	if !slices.Equal(leaf.DNSNames, []string{EngineName}) || leaf.IsCA || leaf.NotBefore.After(time.Now().Add(-backdated)) {
		t.Errorf("certificate %+v", leaf)
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "skybus://host/east" {
		t.Errorf("identity %v", leaf.URIs)
	}
}

func TestOnlyTheOwnerReadsKeys(t *testing.T) {
	dir := newCA(t, "east")
	for name, want := range map[string]fs.FileMode{
		"": fs.ModeDir | 0o700, "ca.pem": 0o644, "ca-key.pem": 0o600, "east.pem": 0o644, "east-key.pem": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 4 {
		t.Errorf("%v, %v, want 4 files", list, err)
	}
}

// TestNothingIsOverwritten has each of the files there alone.
func TestNothingIsOverwritten(t *testing.T) {
	for name, makeIt := range map[string]func(dir string) error{
		"ca.pem": MakeCA, "ca-key.pem": MakeCA,
		"east.pem":     func(dir string) error { return MakeHost(dir, "east", day) },
		"east-key.pem": func(dir string) error { return MakeHost(dir, "east", day) },
	} {
		dir := t.TempDir()
		if strings.HasPrefix(name, "east") {
			dir = newCA(t)
		}
		path := filepath.Join(dir, name)
		writeFile(t, path, []byte("precious"))
		before, _ := os.ReadDir(dir)
		if err := makeIt(dir); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		after, _ := os.ReadDir(dir)
		if string(readFile(t, path)) != "precious" || len(after) != len(before) {
			t.Errorf("%s: was overwritten, or left more than it found: %v", name, after)
		}
	}
}

func TestRenewReplacesBoth(t *testing.T) {
	dir := newCA(t, "east")
	_, cert, key := files(dir, "east")
	before := [][]byte{readFile(t, cert), readFile(t, key)}
	if err := RenewHost(dir, "east", 2*day); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(before[0], readFile(t, cert)) || slices.Equal(before[1], readFile(t, key)) {
		t.Error("a file is the same")
	}
	if left := time.Until(loaded(t, dir, "east").Expires()); left < 47*time.Hour {
		t.Errorf("expires in %v", left)
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("key %v, %v", info.Mode(), err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 4 {
		t.Errorf("left behind: %v", list)
	}
}

// TestRenewThatFailsChangesNothing has a folder where the certificate would be.
func TestRenewThatFailsChangesNothing(t *testing.T) {
	dir := newCA(t)
	_, cert, _ := files(dir, "east")
	if err := os.MkdirAll(filepath.Join(cert, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := RenewHost(dir, "east", day); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("got %v", err)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(hidden) > 0 {
		t.Errorf("left behind: %v", hidden)
	}
}

func TestNames(t *testing.T) {
	dir := newCA(t)
	for _, name := range []string{"a", "A.b_c-9", ".", "..", "-", strings.Repeat("x", maxName), "ca.", "key"} {
		if err := MakeHost(dir, name, day); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := loaded(t, dir, name).Name(); got != name {
			t.Errorf("%s is loaded as %s", name, got)
		}
	}
	for _, name := range []string{"", "a/b", "a b", "é", "a\n", "a%20", "*", strings.Repeat("x", maxName+1), "ca", "ca-key", "east-key"} {
		if err := MakeHost(dir, name, day); !errors.Is(err, ErrName) || len(err.Error()) > 200 {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNoHostWithoutAuthority(t *testing.T) {
	empty := t.TempDir()
	if err := MakeHost(empty, "east", day); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), CAFile) {
		t.Errorf("no authority: %v", err)
	}
	dir := newCA(t, "east")
	other := newCA(t)
	writeFile(t, filepath.Join(dir, CAKeyFile), readFile(t, filepath.Join(other, CAKeyFile)))
	if err := MakeHost(dir, "west", day); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), CAKeyFile) {
		t.Errorf("another authority's key: %v", err)
	}
	_, cert, key := files(dir, "east")
	if err := errors.Join(os.Rename(cert, filepath.Join(dir, CAFile)), os.Rename(key, filepath.Join(dir, CAKeyFile))); err != nil {
		t.Fatal(err)
	}
	if err := MakeHost(dir, "west", day); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), CAFile) {
		t.Errorf("a host as the authority: %v", err)
	}
}

func TestNoHostOutlivesItsAuthority(t *testing.T) {
	dir := newCA(t)
	for _, valid := range []time.Duration{0, -day, validCA + day} {
		if err := MakeHost(dir, "east", valid); err == nil || !strings.Contains(err.Error(), "at most 3652 days") {
			t.Errorf("%v: %v", valid, err)
		}
	}
	old := t.TempDir()
	if err := makeCA(old, time.Now().Add(-validCA-day)); err != nil {
		t.Fatal(err)
	}
	if err := MakeHost(old, "east", day); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), CAFile) {
		t.Errorf("an expired authority: %v", err)
	}
}

// TestLoadSaysWhatIsWrong spoils one of the files of a host each time.
func TestLoadSaysWhatIsWrong(t *testing.T) {
	other := newCA(t, "east", "west")
	otherCA, otherCert, otherKey := files(other, "east")
	for name, test := range map[string]struct {
		spoil func(t *testing.T, ca, cert, key string)
		want  error
		file  int // which of the three the error names first
	}{
		"no authority":     {func(t *testing.T, ca, _, _ string) { remove(t, ca) }, fs.ErrNotExist, 0},
		"no certificate":   {func(t *testing.T, _, cert, _ string) { remove(t, cert) }, fs.ErrNotExist, 1},
		"no key":           {func(t *testing.T, _, _, key string) { remove(t, key) }, fs.ErrNotExist, 2},
		"other authority":  {func(t *testing.T, ca, _, _ string) { writeFile(t, ca, readFile(t, otherCA)) }, ErrUntrusted, 1},
		"other cert":       {func(t *testing.T, _, cert, _ string) { writeFile(t, cert, readFile(t, otherCert)) }, ErrKey, 2},
		"other key":        {func(t *testing.T, _, _, key string) { writeFile(t, key, readFile(t, otherKey)) }, ErrKey, 2},
		"host for CA":      {func(t *testing.T, ca, cert, _ string) { writeFile(t, ca, readFile(t, cert)) }, ErrFormat, 0},
		"key in authority": {func(t *testing.T, ca, _, key string) { writeFile(t, ca, append(readFile(t, ca), readFile(t, key)...)) }, ErrFormat, 0},
		"empty authority":  {func(t *testing.T, ca, _, _ string) { writeFile(t, ca, nil) }, ErrFormat, 0},
		"empty cert":       {func(t *testing.T, _, cert, _ string) { writeFile(t, cert, nil) }, ErrFormat, 1},
		"empty key":        {func(t *testing.T, _, _, key string) { writeFile(t, key, nil) }, ErrFormat, 2},
		"cert for key":     {func(t *testing.T, _, cert, key string) { writeFile(t, key, readFile(t, cert)) }, ErrFormat, 2},
		"key for cert":     {func(t *testing.T, _, cert, key string) { writeFile(t, cert, readFile(t, key)) }, ErrFormat, 1},
		"huge":             {func(t *testing.T, ca, _, _ string) { writeFile(t, ca, make([]byte, maxFile+1)) }, ErrFormat, 0},
		"torn cert":        {func(t *testing.T, _, cert, _ string) { tear(t, cert) }, ErrFormat, 1},
		"torn key":         {func(t *testing.T, _, _, key string) { tear(t, key) }, ErrFormat, 2},
		"words for a key": {func(t *testing.T, _, _, key string) {
			writeFile(t, key, []byte("-----BEGIN PRIVATE KEY-----\nd29yZHM=\n-----END PRIVATE KEY-----\n"))
		}, ErrFormat, 2},
		"words for a cert": {func(t *testing.T, _, cert, _ string) {
			writeFile(t, cert, []byte("-----BEGIN CERTIFICATE-----\nd29yZHM=\n-----END CERTIFICATE-----\n"))
		}, ErrFormat, 1},
		"broken first": {func(t *testing.T, ca, _, _ string) {
			writeFile(t, ca, append([]byte("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), readFile(t, ca)...))
		}, ErrFormat, 0},
		"authority as host": {func(t *testing.T, ca, cert, key string) {
			writeFile(t, cert, readFile(t, ca))
			writeFile(t, key, readFile(t, filepath.Join(filepath.Dir(ca), CAKeyFile)))
		}, ErrNoIdentity, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newCA(t, "east")
			ca, cert, key := files(dir, "east")
			test.spoil(t, ca, cert, key)
			_, err := Load(ca, cert, key)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			names := []string{ca, cert, key}
			first := slices.MinFunc(names, func(a, b string) int { return place(err, a) - place(err, b) })
			if first != names[test.file] {
				t.Errorf("%v does not name %s first", err, names[test.file])
			}
		})
	}
}

// place is where an error names a file.
func place(err error, path string) int {
	if i := strings.Index(err.Error(), path); i >= 0 {
		return i
	}
	return len(err.Error())
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// tear leaves the first half of a file.
func tear(t *testing.T, path string) {
	t.Helper()
	data := readFile(t, path)
	writeFile(t, path, data[:len(data)/2])
}

func TestLoadAtTheWrongTime(t *testing.T) {
	dir := newCA(t, "east")
	ca, cert, key := files(dir, "east")
	for after, want := range map[time.Duration]error{
		-2 * day:          ErrNotYet, // the authority's turn comes first
		-backdated / 2:    nil,
		0:                 nil,
		day + time.Minute: ErrExpired,
		validCA + day:     ErrExpired,
	} {
		now := time.Now().Add(after)
		_, err := load(ca, cert, key, now)
		if !errors.Is(err, want) {
			t.Errorf("after %v: %v, want %v", after, err, want)
		}
		if want != nil && !strings.Contains(err.Error(), now.UTC().Format("2006-01-02")) {
			t.Errorf("after %v: %v does not say the date", after, err)
		}
	}
	_, err := load(ca, cert, key, time.Now().Add(2*day))
	if end := x509time(t, cert).UTC().Format(time.RFC3339); err == nil || !strings.HasPrefix(err.Error(), cert+": expired since "+end) {
		t.Errorf("got %v, want it since %s", err, end)
	}
}

func x509time(t *testing.T, path string) time.Time {
	t.Helper()
	list, err := certificates(readFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return list[0].NotAfter
}

// TestAuthoritiesInTurn trusts an old and a new authority, in either order.
func TestAuthoritiesInTurn(t *testing.T) {
	old, dir := t.TempDir(), newCA(t, "east")
	if err := makeCA(old, time.Now().Add(-validCA-day)); err != nil {
		t.Fatal(err)
	}
	oldCA, newCA := readFile(t, filepath.Join(old, CAFile)), readFile(t, filepath.Join(dir, CAFile))
	ca, cert, key := files(dir, "east")
	for _, both := range [][]byte{slices.Concat(oldCA, newCA), slices.Concat(newCA, []byte("\nthe old one:\n"), oldCA)} {
		writeFile(t, ca, both)
		if _, err := Load(ca, cert, key); err != nil {
			t.Error(err)
		}
	}
	writeFile(t, ca, oldCA)
	if _, err := Load(ca, cert, key); !errors.Is(err, ErrExpired) || !strings.HasPrefix(err.Error(), ca) {
		t.Errorf("only the old one: %v", err)
	}
}

func TestPeerNameNeedsAConnection(t *testing.T) {
	if _, err := PeerName(tls.ConnectionState{}); err == nil {
		t.Error("a name before the handshake")
	}
	if _, err := PeerName(tls.ConnectionState{HandshakeComplete: true}); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("without certificates: %v", err)
	}
	cert := &x509.Certificate{}
	if _, err := PeerName(tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}}); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
}

// TestHostsMadeAtOnce makes one certificate in many goroutines: one makes it.
func TestHostsMadeAtOnce(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newCA(t)
	const n = 8
	errs := make(chan error, n)
	for range n {
		go func() { errs <- MakeHost(dir, "east", day) }()
	}
	made := 0
	for range n {
		if err := <-errs; err == nil {
			made++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
	loaded(t, dir, "east") // the files are of one and the same
}
