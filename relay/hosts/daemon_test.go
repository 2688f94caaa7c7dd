// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/netlab"
)

const (
	relayKey  = 2000
	relayPort = 4100
	tailSize  = 4 << 10 // bytes of a daemon's log that a failure shows
)

// hostNames are the hosts, in the order of their numbers.
var hostNames = []string{"a", "b", "c"}

// A daemon is the skybusd of one host, in all its lives.
type daemon struct {
	t       *testing.T
	lab     *netlab.Lab
	host    int
	program string
	args    []string
	log     string // path of what it writes
	cmd     *exec.Cmd
	ended   chan error // what Wait says; nil while it is down
}

// newDaemon prepares a host's daemon. Every host has a route to the addresses of
// every other one. certs is the folder of the certificates, or "" for none.
func newDaemon(t *testing.T, lab *netlab.Lab, program string, p *plan, host int, certs string) *daemon {
	t.Helper()
	name := hostNames[host]
	d := &daemon{t: t, lab: lab, host: host, program: program, log: p.path("daemon-" + name)}
	d.args = []string{
		"--root", p.Roots[host], "-k", fmt.Sprint(key), "--relay-key", fmt.Sprint(relayKey),
		"--host", name, "--listen", endpoint(lab, name), "--log", "text",
	}
	for other, peer := range hostNames {
		if other != host {
			d.args = append(d.args, "--peer", peer+"="+endpoint(lab, peer), "--route", fmt.Sprintf("0.0.%d.*=%s", other+1, peer))
		}
	}
	if certs == "" {
		d.args = append(d.args, "--insecure")
	} else {
		d.args = append(d.args, "--ca", filepath.Join(certs, "ca.pem"), "--cert", filepath.Join(certs, name+".pem"), "--key-file", filepath.Join(certs, name+".key"))
	}
	t.Cleanup(d.kill)
	return d
}

// endpoint is where a host's daemon listens.
func endpoint(lab *netlab.Lab, name string) string {
	return fmt.Sprintf("%s:%d", lab.Address(name), relayPort)
}

// start starts the daemon if it is down.
func (d *daemon) start() {
	d.t.Helper()
	if d.ended != nil {
		return
	}
	log, err := os.OpenFile(d.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o660)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close() // the daemon has its own
	d.cmd = d.lab.Command(hostNames[d.host], d.program, d.args...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatalf("start the daemon of %s: %v", hostNames[d.host], err)
	}
	ended := make(chan error, 1)
	go func(c *exec.Cmd) { ended <- c.Wait() }(d.cmd)
	d.ended = ended
}

// kill ends the daemon by SIGKILL if it is up.
func (d *daemon) kill() {
	if d.ended == nil {
		return
	}
	_ = d.cmd.Process.Kill() // it may have ended already
	err := <-d.ended
	d.ended = nil
	if status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		d.t.Errorf("the daemon of %s has ended by itself: %v", hostNames[d.host], err)
	}
}

// signal stops the daemon, or makes it go on, if it is up.
func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	if d.ended == nil {
		return
	}
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Errorf("signal %v to the daemon of %s: %v", s, hostNames[d.host], err)
	}
}

// look returns an error if the daemon has ended by itself.
func (d *daemon) look() error {
	if d.ended == nil {
		return nil
	}
	select {
	case err := <-d.ended:
		d.ended = nil
		return fmt.Errorf("the daemon of %s has ended by itself: %w", hostNames[d.host], err)
	default:
		return nil
	}
}

// listens reports whether the daemon takes connections, by what the kernel lists
// of its network: /proc/PID/net/tcp has addresses as hexadecimal words in the
// machine's order, and 0A for a socket that listens.
func (d *daemon) listens() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", d.cmd.Process.Pid))
	if err != nil {
		return false // it is gone
	}
	ip := netip.MustParseAddr(d.lab.Address(hostNames[d.host])).As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), relayPort)
	for line := range strings.Lines(string(text)) {
		if w := strings.Fields(line); len(w) > 3 && w[1] == local && w[3] == "0A" {
			return true
		}
	}
	return false
}

// stop ends the daemon the clean way, if it is up: it has to exit with 0. One
// that was just started gets the time to become a daemon: before that a signal
// ends it as it ends any program.
func (d *daemon) stop() error {
	if d.ended == nil {
		return nil
	}
	for end := time.Now().Add(patience); !d.listens(); time.Sleep(time.Millisecond) {
		if err := d.look(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the daemon of %s does not listen at port %d", hostNames[d.host], relayPort)
		}
	}
	d.signal(syscall.SIGTERM)
	select {
	case err := <-d.ended:
		d.ended = nil
		if err != nil {
			return fmt.Errorf("the daemon of %s, told to stop: %w", hostNames[d.host], err)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the daemon of %s does not stop", hostNames[d.host])
	}
}

// tail returns the end of what the daemon has written.
func (d *daemon) tail() string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("daemon of %s:\n%s", hostNames[d.host], text[max(0, len(text)-tailSize):])
}

// makeCerts makes an authority and a certificate for each host, in a folder.
func makeCerts(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := newKey(t)
	writeCert(t, filepath.Join(dir, "ca.pem"), ca, ca, caKey, caKey)
	for i, name := range hostNames {
		key := newKey(t)
		writeCert(t, filepath.Join(dir, name+".pem"), &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{{Scheme: "skybus", Host: "host", Path: "/" + name}},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, ca, key, caKey)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", der)
	}
	return dir
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func writeCert(t *testing.T, path string, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "CERTIFICATE", der)
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
