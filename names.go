// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/names/host"
)

// Names returns the names of the domain: one registry for all of its processes on this host. An owner is
// a service at an address that a process has bound here; its death releases what it has. The
// registry is valid until the domain is closed, which ends its watches; after that its errors are ErrClosed.
// Errors: ErrClosed, those of opening the domain's lock file.
func (d *Domain) Names() (names.Registry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, d.closedErr()
	case d.names != nil:
		return d.names, nil
	}
	r, err := host.Open(d.table.Folder(), d.table.Key(), d.table.Binds)
	if err != nil {
		return nil, fmt.Errorf("domain %d: %w", d.table.Key(), err)
	}
	d.names = r
	return r, nil
}

// closeNames ends the registry, while the table is still mapped.
func (d *Domain) closeNames() {
	d.mu.Lock()
	r := d.names
	d.mu.Unlock()
	if r != nil {
		r.Close()
	}
}

// CheckNames looks at the table of names, and reports what should not be, as [channel.Table.Check] does for
// the rest of the domain. It changes nothing. Errors: those of Names.
func (d *Domain) CheckNames() (list []channel.Violation, err error) {
	if _, err := d.Names(); err != nil {
		return nil, err
	}
	found, err := d.names.Check()
	for _, v := range found {
		list = append(list, channel.Violation{Where: host.FileName, What: v.What, Note: v.Note})
	}
	if errors.Is(err, ErrClosed) {
		err = d.closedErr()
	}
	return list, err
}
