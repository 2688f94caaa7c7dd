// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// keys lists the domains of the root folder by their keys.
func (a *app) keys() ([]domainKey, error) {
	entries, err := os.ReadDir(a.rootDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no folder %s; --root or %s names the one that holds the domains", a.rootDir(), envRoot)
	}
	var list []domainKey
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "skybus-")
		n, err := strconv.ParseUint(text, 10, 31)
		if ok && err == nil && n > 0 && e.IsDir() && strconv.FormatUint(n, 10) == text {
			list = append(list, domainKey(n))
		}
	}
	slices.Sort(list)
	return list, err
}

// maxNamed is how many domains an error lists.
const maxNamed = 8

// domainsHere says which domains there are, for whoever named a wrong one.
func (a *app) domainsHere() string {
	keys, err := a.keys()
	if err != nil {
		return err.Error()
	}
	if len(keys) == 0 {
		return "there is no domain in " + a.rootDir()
	}
	var names []string
	for _, k := range keys[:min(len(keys), maxNamed)] {
		names = append(names, k.String())
	}
	if len(keys) > maxNamed {
		names = append(names, fmt.Sprintf("%d more", len(keys)-maxNamed))
	}
	return fmt.Sprintf("in %s there is %s", a.rootDir(), strings.Join(names, ", "))
}

// domain is what a listing shows of one domain.
type domain struct {
	key     domainKey
	info    channel.DomainInfo
	bound   int
	waiting uint64 // messages
	err     error  // why the rest could not be read
}

// readDomain reads what there is to know of a domain, without taking part.
func (a *app) readDomain(k domainKey) domain {
	v := domain{key: k}
	d, err := skybus.Open(int(k), skybus.Options{Root: a.rootDir(), MustExist: true, Logger: a.log})
	if err != nil {
		v.err = err
		return v
	}
	defer d.Close()
	v.read(d.Table())
	return v
}

func (v *domain) read(t *channel.Table) {
	v.info = t.Info()
	for _, l := range t.Lanes() {
		v.waiting += l.Messages
	}
	for _, e := range t.Endpoints() {
		if e.Bound {
			v.bound++
		}
	}
}

// kind is who decides which lanes there are.
func (v *domain) kind() string {
	switch {
	case v.err != nil:
		return "?"
	case v.info.Strict:
		return "strict"
	case v.info.AllowUnknown:
		return "open"
	}
	return "dynamic"
}

// summary is a domain in a few words.
func (v domain) summary() string {
	if v.err != nil {
		return "cannot be read"
	}
	return fmt.Sprintf("%s, %s, %s waiting", v.kind(), count(v.info.Lanes, "lane"), count(v.waiting, "message"))
}

// gone returns an error when the domain was removed under the feet of a command
// that goes on: what it has mapped stays as it was.
func gone(d *skybus.Domain) error {
	if _, err := os.Stat(filepath.Join(d.Table().Folder(), "table")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("domain %d was removed", d.Key())
	}
	return nil
}
