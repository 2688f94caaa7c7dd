// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/certs"
)

// runCerts calls the command as the user does, and returns its exit code and
// what it wrote.
func runCerts(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newApp("skybus", strings.NewReader(""), &stdout, &stderr)
	cmd := newDaemonCertsCommand(a)
	asRoot(a, cmd)
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	ran, err := cmd.ExecuteContextC(t.Context())
	return a.report(ran, err), stdout.String(), stderr.String()
}

func certNames(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func loadCert(t *testing.T, dir, host string) *certs.Identity {
	t.Helper()
	cert, key := certs.HostFiles(dir, host)
	id, err := certs.Load(filepath.Join(dir, certs.CAFile), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCertsAreMadeAndExplained(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	code, out, errOut := runCerts(t, "--dir", dir, "east", "west")
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	if got := certNames(t, dir); got != "ca-key.pem ca.pem east-key.pem east.pem west-key.pem west.pem" {
		t.Errorf("files %s", got)
	}
	end := time.Now().AddDate(0, 0, 825)
	for _, want := range []string{
		"made the authority " + dir + "/ca.pem; its key " + dir + "/ca-key.pem stays here, no host needs it\n",
		"made " + dir + "/west.pem, " + dir + "/west-key.pem, valid until " + loadCert(t, dir, "west").Expires().Local().Format("2006-01-02") + "\n",
		"\neast: copy " + dir + "/ca.pem, " + dir + "/east.pem and " + dir + "/east-key.pem there, beside its skybusd.yaml, which says\n" +
			"  host: \"east\"\n  tls:\n    ca: \"ca.pem\"\n    cert: \"east.pem\"\n    key: \"east-key.pem\"\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output has no\n%s\nbut\n%s", want, out)
		}
	}
	if left := loadCert(t, dir, "east").Expires().Sub(end); left.Abs() > 25*time.Hour { // a change of the clocks
		t.Errorf("expires %v after 825 days", left)
	}
}

func TestCertsForAFurtherHost(t *testing.T) {
	dir := t.TempDir()
	runCerts(t, "--dir", dir, "east")
	before, err := os.ReadFile(filepath.Join(dir, certs.CAFile))
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := runCerts(t, "--dir", dir, "--days", "3650", "--json", "west")
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	var got struct {
		Authority bool
		Hosts     []certObject
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := certObject{"west", dir + "/ca.pem", dir + "/west.pem", dir + "/west-key.pem", loadCert(t, dir, "west").Expires()}
	if got.Authority || len(got.Hosts) != 1 || got.Hosts[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	after, err := os.ReadFile(filepath.Join(dir, certs.CAFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the authority is another one, %v", err)
	}
}

func TestCertsAreNotOverwrittenUnasked(t *testing.T) {
	dir := t.TempDir()
	runCerts(t, "--dir", dir, "--days", "10", "east")
	code, _, errOut := runCerts(t, "--dir", dir, "north", "east")
	if want := "skybus: " + dir + "/east.pem is there already, nothing was made; --force makes a new one\n"; code != exitFailed || errOut != want {
		t.Errorf("exit %d, %s", code, errOut)
	}
	if got := certNames(t, dir); got != "ca-key.pem ca.pem east-key.pem east.pem" {
		t.Errorf("files %s", got)
	}
	before := loadCert(t, dir, "east").Expires()
	code, _, errOut = runCerts(t, "--dir", dir, "--force", "--days", "20", "east", "north")
	if code != exitOK || !loadCert(t, dir, "east").Expires().After(before.Add(9*24*time.Hour)) {
		t.Errorf("exit %d, %s", code, errOut)
	}
	loadCert(t, dir, "north")
}

// TestCertsOfHalfAnAuthority has lost one of its files, which is no reason to make
// another authority.
func TestCertsOfHalfAnAuthority(t *testing.T) {
	for _, lost := range []string{certs.CAFile, certs.CAKeyFile} {
		dir := t.TempDir()
		runCerts(t, "--dir", dir, "east")
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		code, _, errOut := runCerts(t, "--dir", dir, "--force", "east", "west")
		if code != exitFailed || !strings.Contains(errOut, lost+": no such file") {
			t.Errorf("without %s: exit %d, %s", lost, code, errOut)
		}
		if _, err := os.Stat(filepath.Join(dir, lost)); err == nil {
			t.Errorf("%s was made", lost)
		}
	}
}

func TestCertsThatMakeNoSenseAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--dir", dir}, "want HOST..., got 0 arguments"},
		{[]string{"east"}, "name the folder for the certificates with --dir DIR"},
		{[]string{"--dir", dir, "--days", "0", "east"}, "--days 0: want 1 to 3650"},
		{[]string{"--dir", dir, "--days", "3651", "east"}, "--days 3651: want 1 to 3650"},
		{[]string{"--dir", dir, "east", "we/st"}, `host "we/st": not a name for a host, want 1 to 63 of`},
		{[]string{"--dir", dir, "east", "ca"}, `host "ca": not a name for a host, its file ca.pem is one for another use`},
		{[]string{"--dir", dir, "east", "west", "east"}, "host east is named twice"},
	} {
		code, out, errOut := runCerts(t, test.args...)
		if code != exitUsage || out != "" || !strings.Contains(errOut, test.want) {
			t.Errorf("%q: exit %d, %s%s", test.args, code, out, errOut)
		}
	}
	if got := certNames(t, dir); got != "" {
		t.Errorf("made %s", got)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := runCerts(t, "--dir", file, "east"); code != exitFailed || !strings.Contains(errOut, file) {
		t.Errorf("a file for a folder: exit %d, %s", code, errOut)
	}
}
