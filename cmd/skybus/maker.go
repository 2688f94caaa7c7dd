// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
)

// maker opens a domain and makes it if need be. Its flags say what kind of
// domain that is; they change nothing in one that exists.
type maker struct {
	unknown  bool
	template string
}

func (m *maker) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&m.unknown, "allow-unknown", false, "a domain that is made now takes messages to any address")
	cmd.Flags().StringVar(&m.template, "template", "", "a domain that is made now writes addresses so (default `8.8.8.8`)")
}

// open opens the domain and says so if it is new: the key may be a typing error.
func (m *maker) open(a *app) (*skybus.Domain, error) {
	opts := skybus.Options{AllowUnknown: m.unknown}
	if m.template != "" {
		t, err := addr.ParseTemplate(m.template)
		if err != nil {
			return nil, usagef("--template: %w", err)
		}
		opts.Template = t
	}
	d, err := a.openExisting()
	if errors.Is(err, skybus.ErrNoDomain) {
		if d, err = a.open(opts); err == nil {
			a.warnf("made domain %d in %s", d.Key(), d.Table().Folder())
		}
		return d, err
	}
	if err == nil && m.template != "" && d.Table().Template() != opts.Template {
		d.Close()
		return nil, usagef("--template %s: domain %d exists and has template %s", m.template, d.Key(), d.Table().Template())
	}
	return d, err
}
