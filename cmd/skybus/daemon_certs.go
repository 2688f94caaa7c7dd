// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/internal/certs"
)

// maxCertDays is a little less than a new authority lasts.
const maxCertDays = 3650

// daemonCerts is the command that makes certificates.
type daemonCerts struct {
	*app
	dir   string
	days  int
	force bool
	hosts []string
}

func newDaemonCertsCommand(a *app) *cobra.Command {
	c := &daemonCerts{app: a}
	cmd := &cobra.Command{
		Use:   "certs --dir DIR HOST...",
		Short: "Make the certificates by which hosts know each other",
		Long: `certs makes, in the folder DIR, a certificate and a key for each HOST, and at
first the authority that signs them: ca.pem, which every host gets, and
ca-key.pem, which stays in DIR. A HOST is a name, the one in its daemon's
configuration; it has nothing to do with DNS.

Nothing is overwritten. With --force, a HOST that has a certificate gets a new
one from the same authority; the authority itself is never replaced.`,
		Example: `  skybus daemon certs --dir certs east west
  skybus daemon certs --dir certs --force east`,
		Args:              takes(1, -1, "HOST..."),
		ValidArgsFunction: oneOf(),
		RunE: func(_ *cobra.Command, args []string) error {
			c.hosts = args
			return c.run()
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.dir, "dir", "", "`FOLDER` of the authority and the certificates, made if it is not there")
	f.IntVar(&c.days, "days", 825, "`N` days that the certificates are valid, at most 3650 and not longer than the authority")
	f.BoolVar(&c.force, "force", false, "make new certificates for hosts that have one")
	_ = cmd.MarkFlagDirname("dir") // for shells
	return cmd
}

func (c *daemonCerts) run() error {
	if err := c.checkFlags(); err != nil {
		return err
	}
	if err := c.checkHosts(); err != nil {
		return err
	}
	made, err := c.authority()
	if err != nil {
		return err
	}
	objects := []certObject{}
	for _, host := range c.hosts {
		o, err := c.host(host)
		if err != nil {
			return err
		}
		objects = append(objects, o)
	}
	return c.tell(made, objects)
}

func (c *daemonCerts) checkFlags() error {
	switch {
	case c.dir == "":
		return usagef("where? name the folder for the certificates with --dir DIR")
	case c.days < 1 || c.days > maxCertDays:
		return usagef("--days %d: want 1 to %d", c.days, maxCertDays)
	}
	return nil
}

// checkHosts refuses all before anything is made if one cannot be.
func (c *daemonCerts) checkHosts() error {
	seen := map[string]bool{}
	for _, host := range c.hosts {
		if err := certs.CheckHost(host); err != nil {
			return &usageError{err}
		}
		if seen[host] {
			return usagef("host %s is named twice", host)
		}
		seen[host] = true
	}
	if c.force {
		return nil
	}
	for _, host := range c.hosts {
		cert, key := certs.HostFiles(c.dir, host)
		for _, path := range []string{cert, key} {
			if _, err := os.Lstat(path); err == nil {
				return hinted(fmt.Errorf("%s is there already, nothing was made", path), "--force makes a new one")
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// authority makes the authority if there is none. That one of its files is there
// without the other is an error of whoever needs the other.
func (c *daemonCerts) authority() (made bool, err error) {
	err = certs.MakeCA(c.dir)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// certObject is a host's certificate in JSON.
type certObject struct {
	Host    string    `json:"host"`
	CA      string    `json:"ca"`
	Cert    string    `json:"cert"`
	Key     string    `json:"key"`
	Expires time.Time `json:"expires"`
}

// host makes a certificate, and loads it as the host's daemon will.
func (c *daemonCerts) host(name string) (certObject, error) {
	makeIt := certs.MakeHost
	if c.force {
		makeIt = certs.RenewHost
	}
	if err := makeIt(c.dir, name, time.Duration(c.days)*24*time.Hour); err != nil {
		return certObject{}, err
	}
	o := certObject{Host: name, CA: filepath.Join(c.dir, certs.CAFile)}
	o.Cert, o.Key = certs.HostFiles(c.dir, name)
	id, err := certs.Load(o.CA, o.Cert, o.Key)
	if err != nil {
		return certObject{}, err
	}
	o.Expires = id.Expires()
	return o, nil
}

// tell writes what was made and what to do with it.
func (c *daemonCerts) tell(authority bool, made []certObject) error {
	if c.json {
		return c.object(struct {
			Authority bool         `json:"authority"` // it was made too
			Hosts     []certObject `json:"hosts"`
		}{authority, made}, "  ")
	}
	if authority {
		c.printf("made the authority %s; its key %s stays here, no host needs it\n",
			filepath.Join(c.dir, certs.CAFile), filepath.Join(c.dir, certs.CAKeyFile))
	}
	for _, o := range made {
		c.printf("made %s, %s, valid until %s\n", o.Cert, o.Key, o.Expires.Local().Format("2006-01-02"))
	}
	for _, o := range made {
		c.tellNext(o)
	}
	return nil
}

// tellNext writes what has to be done on one host. The paths in the lines are
// relative to the configuration file.
func (c *daemonCerts) tellNext(o certObject) {
	cert, key := filepath.Base(o.Cert), filepath.Base(o.Key)
	c.printf(`
%s: copy %s, %s and %s there, beside its skybusd.yaml, which says
  host: %q
  tls:
    ca: %q
    cert: %q
    key: %q
`, o.Host, o.CA, o.Cert, o.Key, o.Host, certs.CAFile, cert, key)
}
