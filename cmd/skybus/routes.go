// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
)

func newRoutesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "routes",
		Short: "List the routes that the domain follows",
		Long: `routes lists the rules of the route table that the domain follows: which addresses
live behind which host. Of several rules that have an address the one with the longest
prefix counts. An address that no rule has is on this host, as are those of
rules that are LOCAL. ADDRESS is where the host's daemon is reached.

RELEASE says when a sender gets its room back: consumed, once the receiver has
taken the message, or stored, once the other host has it. PRIORITY is 0 to 7,
higher ones go first.

SOURCE is configured for a rule of this host's configuration and published for one
that another host has told the cluster: that has bound the address, or is
configured to have it. If the daemon is in a cluster of several hosts, STATE is active for a rule in force;
conflict, pending, shadowed, doubted, moving and refused say with NOTE what is wrong with one that is
not, or not for long; and AGE is how long ago this host has learnt of it.

skybusd and trelaymgr write the table; trelaymgr lists one by its relay key.`,
		Example:           "  skybus routes -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			ctx, stop := context.WithTimeout(cmd.Context(), routesPatience)
			defer stop()
			c, err := askCluster(ctx, d)
			if err != nil && !errors.Is(err, errNoCluster) && !errors.Is(err, relay.ErrNoDaemon) {
				a.warnf("what the cluster says of the routes is not known: %s", printable(err.Error()))
			}
			return a.listRoutes(d, c)
		},
	}
}

// routesPatience is how long the daemon may take: the table itself is there without it.
const routesPatience = 3 * time.Second

// routesOf returns the route table that a domain follows, nil if it follows none
// or none is there: both mean that every address is on this host.
func routesOf(d *skybus.Domain, root string) (*route.Table, error) {
	key := d.Table().RelayKey()
	if key == 0 {
		return nil, nil
	}
	t, err := route.Load(root, key)
	if errors.Is(err, route.ErrNoTable) {
		return nil, nil
	}
	return t, err
}

// routeObject is a route in JSON: a rule of the table, what the cluster says of it, or both.
type routeObject struct {
	ruleObject
	Source   string        `json:"source"`
	State    string        `json:"state,omitzero"` // this and what follows: if a daemon in a cluster has answered
	Age      time.Duration `json:"age_ns,omitzero"`
	Conflict string        `json:"conflict,omitzero"`
	To       string        `json:"to,omitzero"`
	Error    string        `json:"error,omitzero"`
	Stale    time.Duration `json:"stale_ns,omitzero"`
}

// listRoutes shows the table, with what the cluster says if that is not nil.
func (a *app) listRoutes(d *skybus.Domain, c *report.Cluster) error {
	t, err := routesOf(d, a.rootDir())
	if err != nil {
		return err
	}
	objects := routeObjects(t, c)
	if !a.json {
		a.printf("%s\n", aboutRoutes(d, t))
		if c != nil {
			a.sayStale(c)
		}
		if len(objects) == 0 {
			return nil
		}
	}
	return list(a, objects, routeTable(objects, c != nil && c.Engine.Mode != report.ModeLocal))
}

func routeObjects(t *route.Table, c *report.Cluster) []routeObject {
	objects := []routeObject{}
	if t != nil {
		for i, r := range t.Rules {
			o := routeObject{ruleObject: ruleOf(t, i+1, r), Source: report.Configured}
			if r.Published {
				o.Source = report.Published
			}
			objects = append(objects, o)
		}
	}
	if c == nil {
		return objects
	}
	return addReport(objects, c)
}

// addReport adds to rules what the cluster says of them, and what it says of others.
func addReport(objects []routeObject, c *report.Cluster) []routeObject {
	at := map[[2]string]int{}
	for i := range objects {
		at[[2]string{objects[i].Prefix, objects[i].Host}] = i
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		n, ok := at[[2]string{r.Prefix, r.Host}]
		if !ok {
			n = len(objects)
			objects = append(objects, routeObject{ruleObject: ruleObject{Prefix: r.Prefix, Host: r.Host, Local: r.Host == c.Host}})
		}
		o := &objects[n]
		o.Source, o.State, o.Age, o.Conflict, o.To, o.Error, o.Stale = r.Source, r.State, r.Age, r.Conflict, r.To, r.Error, staleFor(c)
	}
	return objects
}

func routeTable(objects []routeObject, told bool) *table {
	headers := []string{">NO", "PREFIX", "HOST", "ADDRESS", "RELEASE", ">PRIORITY", "LOCAL"}
	if told {
		headers = append(headers, "SOURCE", "STATE", ">AGE", "NOTE", "DESC")
	} else {
		headers = append(headers, "SOURCE", "DESC")
	}
	lines := newTable(headers...)
	for i := range objects {
		o := &objects[i]
		number, priority := "-", "-"
		if o.Number > 0 {
			number, priority = strconv.Itoa(o.Number), strconv.Itoa(int(o.Priority))
		}
		cells := []string{number, o.Prefix, o.Host, orDash(o.Address), orDash(o.Release), priority, yesNo(o.Local), orDash(o.Source)}
		if told {
			cells = append(cells, orDash(o.State), o.age(), orDash(o.note()))
		}
		lines.row(append(cells, o.Desc)...)
	}
	return lines
}

func (o *routeObject) age() string {
	if o.State == "" {
		return "-"
	}
	return ageOf(o.Age)
}

// note says what is special about a route.
func (o *routeObject) note() string {
	var list []string
	if o.Conflict != "" {
		list = append(list, "host "+o.Conflict+" has it")
	}
	if o.To != "" {
		list = append(list, "to host "+o.To)
	}
	if o.Error != "" {
		list = append(list, o.Error)
	}
	return strings.Join(list, "; ")
}

// aboutRoutes says in a line which table it is.
func aboutRoutes(d *skybus.Domain, t *route.Table) string {
	key := d.Table().RelayKey()
	switch {
	case key == 0:
		return fmt.Sprintf("domain %d follows no route table: every address is on this host", d.Key())
	case t == nil:
		return fmt.Sprintf("domain %d follows route table %d, which is not there: every address is on this host", d.Key(), key)
	}
	self := "host not named"
	if t.Self != "" {
		self = "host " + t.Self
	}
	return fmt.Sprintf("domain %d follows route table %d, %s, %s, generation %d", d.Key(), key, self, count(len(t.Rules), "rule"), t.Generation)
}
